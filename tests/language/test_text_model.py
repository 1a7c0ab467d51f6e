"""The bundled model's side of the protocol that every text model keeps."""

import pytest
import torch

from kinora.core.errors import PromptError
from kinora.language.encoder import TextEncoder, TextEncoderConfig, token_ids
from kinora.language.text_model import TextModel, Words
from kinora.language.tokenizer import build_vocabulary

TOKENIZER = build_vocabulary(["a red ball rolls left .", "a blue cube stands"])


@pytest.fixture(scope="module")
def words() -> Words:
    torch.manual_seed(0)
    config = TextEncoderConfig(vocabulary=len(TOKENIZER), width=32, layers=2, heads=2, ffn_width=48, length=12)
    return Words(TOKENIZER, TextEncoder(config).eval())


def test_it_is_a_text_model_of_the_encoder_s_sizes(words):
    model: TextModel = words
    assert (model.width, model.length) == (32, 12)


def test_texts_are_cut_at_the_longest_and_zero_past_each_end(words):
    text_BLD = words.encode(["a red ball rolls left", "a cube"])
    assert text_BLD.shape == (2, 6, 32)
    assert (text_BLD[1, 3:] == 0).all()
    assert (text_BLD[0].abs().sum(-1) > 0).all()
    assert (text_BLD[1, :3].abs().sum(-1) > 0).all()


def test_what_is_cut_off_is_only_what_the_encoder_gave_as_zero(words):
    whole_BLD = words.encoder(token_ids(TOKENIZER, ["a red ball"], 12))
    text_BLD = words.encode(["a red ball"])
    assert torch.equal(text_BLD, whole_BLD[:, :4])
    assert (whole_BLD[:, 4:] == 0).all()


def test_a_text_comes_out_the_same_to_the_bit_whatever_stands_beside_it(words):
    alone_BLD = words.encode(["a red ball"])
    beside_BLD = words.encode(["a red ball", "a blue cube stands left ."])
    assert torch.equal(alone_BLD[0], beside_BLD[0, :4])


def test_a_text_too_long_is_cut_by_encode_and_refused_by_check(words):
    assert words.encode(["red " * 40]).shape == (1, 12, 32)
    with pytest.raises(PromptError, match="41 tokens"):
        words.check("red " * 40)


def test_no_gradient_is_kept(words):
    assert not words.encode(["a red ball"]).requires_grad


def test_check_names_what_was_never_learnt(words):
    report = words.check("a red dragon")
    assert (report.unknown, report.known, report.tokens) == (("dragon",), ("a", "red"), 4)
