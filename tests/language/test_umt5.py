"""umT5 beside transformers, diffusers and, where a checkout is named, Wan's own encoder; with small random weights."""

import copy
import importlib
import io
import os
import sys
import types
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors

from kinora.core.errors import PromptError, WeightsError
from kinora.language.keys import rename
from kinora.language.pieces import Pieces, clean_prompt, read_pieces
from kinora.language.umt5 import open_umt5

SIZES = {"kind": "umt5", "width": 64, "layers": 3, "heads": 4, "ffn_width": 96, "vocabulary": 400, "length": 32}
WAN_REPOSITORY = os.environ.get("KINORA_WAN_REPOSITORY")
CORPUS = [
    "a red ball rolls to the left on sand", "two cats fight while a dog sleeps", "红色的球向左滚动",
    "一只猫在草地上走", "the quick brown fox jumps over the lazy dog", 'he says "hello" & goes',
]  # fmt: skip
PROMPTS = [
    "a red ball rolls",
    "  Two   cats\n\tfight &amp; sleep ",
    "红色的球，向左滚动。一只猫",
    "“quoted” &amp;amp; broken: schÃ¶n",
    "",
]
ODD = ["ﬁne ＡＢＣ，全角！", "&lt;b&gt; &amp;lt;", "a\u3000b\u00a0c\u2003d", "‘curly’ – dash…", "é e\u0301"]


@pytest.fixture(scope="module")
def spiece() -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20), model_writer=model, vocab_size=330, hard_vocab_limit=False, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, byte_fallback=True, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


@pytest.fixture(scope="module")
def tokenizer(spiece) -> tokenizers.Tokenizer:
    """The same pieces as tokenizer.json has them."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=spiece)
    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    made = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=True))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return made


@pytest.fixture(scope="module")
def theirs():
    """transformers' encoder with random weights, large enough that every part has its say."""
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    model = UMT5EncoderModel(
        UMT5Config(vocab_size=400, d_model=64, d_kv=16, d_ff=96, num_layers=3, num_heads=4, dropout_rate=0.1)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name else 0.0, 0.3)
    return model.eval()


def hf_tensors(model) -> dict:
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    del tensors["encoder.embed_tokens.weight"]
    return tensors


def wan_tensors(model) -> dict:
    """The same weights under the names of Wan's own file, each written out."""
    hf = hf_tensors(model)
    wan = {"token_embedding.weight": hf["shared.weight"], "norm.weight": hf["encoder.final_layer_norm.weight"]}
    for i in range(3):
        attention, feed = f"encoder.block.{i}.layer.0.", f"encoder.block.{i}.layer.1."
        bias = hf[attention + "SelfAttention.relative_attention_bias.weight"]
        wan |= {f"blocks.{i}.attn.{part}.weight": hf[f"{attention}SelfAttention.{part}.weight"] for part in "qkvo"}
        wan |= {
            f"blocks.{i}.norm1.weight": hf[attention + "layer_norm.weight"],
            f"blocks.{i}.norm2.weight": hf[feed + "layer_norm.weight"],
            f"blocks.{i}.pos_embedding.embedding.weight": bias,
            f"blocks.{i}.ffn.gate.0.weight": hf[feed + "DenseReluDense.wi_0.weight"],
            f"blocks.{i}.ffn.fc1.weight": hf[feed + "DenseReluDense.wi_1.weight"],
            f"blocks.{i}.ffn.fc2.weight": hf[feed + "DenseReluDense.wo.weight"],
        }
    return wan


@pytest.fixture(scope="module")
def folder(tmp_path_factory, theirs, tokenizer, spiece) -> Path:
    """The download in every layout."""
    home = tmp_path_factory.mktemp("umt5")
    hf = hf_tensors(theirs)
    save_file(wan_tensors(theirs), home / "wan.safetensors")
    save_file(hf, home / "hf.safetensors")
    save_file(hf | {"encoder.embed_tokens.weight": hf["shared.weight"].clone()}, home / "both.safetensors")
    carried = torch.frombuffer(bytearray(spiece), dtype=torch.uint8)
    save_file(hf | {"spiece_model": carried}, home / "comfy.safetensors")
    names = sorted(hf)
    save_file({name: hf[name] for name in names[:10]}, home / "part1.safetensors")
    save_file({name: hf[name] for name in names[10:]}, home / "part2.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in hf.items()}, home / "half.safetensors")
    (home / "tokenizer").mkdir()
    tokenizer.save(str(home / "tokenizer" / "tokenizer.json"))
    (home / "tokenizer" / "spiece.model").write_bytes(spiece)
    return home


def opened(folder, *names, tokenizer=("tokenizer",), dtype=torch.float32):
    paths = [folder / f"{name}.safetensors" for name in names]
    return open_umt5(SIZES, paths, [folder / name for name in tokenizer], dtype=dtype)


def relative(value, wanted) -> float:
    return ((value - wanted).norm() / wanted.norm()).item()


def embeds_of_diffusers(theirs, tokenizer, prompts):
    """What diffusers' own pipeline gives its transformer, filled up to 32 positions."""
    from diffusers import UniPCMultistepScheduler, WanPipeline
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    pipeline = WanPipeline(
        tokenizer=wrapped, text_encoder=theirs, vae=None, scheduler=UniPCMultistepScheduler(), transformer=None
    )
    with torch.no_grad():
        return pipeline._get_t5_prompt_embeds(
            prompts, max_sequence_length=32, device=torch.device("cpu"), dtype=torch.float32
        )


def test_embeddings_are_those_of_diffusers(folder, theirs, tokenizer):
    wanted_BLD = embeds_of_diffusers(theirs, tokenizer, PROMPTS)
    text_BLD = opened(folder, "hf").encode(PROMPTS)
    length = text_BLD.shape[1]
    assert relative(text_BLD, wanted_BLD[:, :length]) < 1e-5
    assert (wanted_BLD[:, length:] == 0).all()
    assert ((text_BLD == 0).all(-1) == (wanted_BLD[:, :length] == 0).all(-1)).all()


def test_a_text_too_long_is_cut_as_diffusers_cuts_it(folder, theirs, tokenizer):
    long = "two cats fight while a dog sleeps " * 10
    text_BLD = opened(folder, "hf").encode([long])
    assert text_BLD.shape == (1, 32, 64)
    assert relative(text_BLD, embeds_of_diffusers(theirs, tokenizer, [long])) < 1e-5


@pytest.mark.parametrize("names", [("wan",), ("both",), ("part1", "part2"), ("comfy",)])
def test_every_layout_gives_the_same(folder, names):
    wanted_BLD = opened(folder, "hf").encode(PROMPTS[:3])
    assert torch.equal(opened(folder, *names).encode(PROMPTS[:3]), wanted_BLD)


def test_comfy_s_file_brings_its_tokenizer(folder):
    model = opened(folder, "comfy", tokenizer=())
    assert torch.equal(model.encode(PROMPTS[:2]), opened(folder, "hf").encode(PROMPTS[:2]))


def test_a_text_is_the_same_alone_and_beside_others(folder):
    model = opened(folder, "hf")
    together_BLD = model.encode(PROMPTS)
    for row, prompt in zip(together_BLD, PROMPTS, strict=True):
        alone_BLD = model.encode([prompt])
        assert relative(row[: alone_BLD.shape[1]], alone_BLD[0]) < 1e-5
        assert (row[alone_BLD.shape[1] :] == 0).all()


def test_half_weights_are_mapped_and_computed_in_what_is_asked(folder, theirs):
    model = opened(folder, "half")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    text_BLD = model.encode(PROMPTS[:2])
    assert text_BLD.dtype == torch.float32
    save_file({name: t.bfloat16().float() for name, t in hf_tensors(theirs).items()}, folder / "rounded.safetensors")
    assert torch.equal(text_BLD, opened(folder, "rounded").encode(PROMPTS[:2]))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_that_of_transformers(folder, theirs, dtype):
    model = opened(folder, "hf", dtype=dtype)
    half = copy.deepcopy(theirs).to(dtype)
    if dtype == torch.float16:
        for block, full in zip(half.encoder.block, theirs.encoder.block, strict=True):
            block.layer[1].DenseReluDense.wo = full.layer[1].DenseReluDense.wo  # from_pretrained leaves it in float32
    with torch.no_grad():
        wanted_BLD = half(torch.tensor([model.pieces(PROMPTS[0])])).last_hidden_state
    text_BLD = model.encode(PROMPTS[:1])
    assert text_BLD.dtype == dtype
    assert torch.equal(text_BLD, wanted_BLD.to(dtype))


def test_weights_in_eight_bits_are_read(folder, theirs):
    eight = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in hf_tensors(theirs).items()}
    save_file(eight, folder / "eight.safetensors")
    save_file({name: tensor.float() for name, tensor in eight.items()}, folder / "wide.safetensors")
    text_BLD = opened(folder, "eight").encode(PROMPTS[:1])
    assert torch.equal(text_BLD, opened(folder, "wide").encode(PROMPTS[:1]))


def test_loading_and_reading_say_nothing_and_ask_no_network(folder, capfd, monkeypatch):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    opened(folder, "hf").encode(["a cat"])
    assert capfd.readouterr() == ("", "")


def test_prompts_are_cleaned_as_diffusers_cleans_them():
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    texts = [
        *PROMPTS,
        "ﬁne ＡＢＣ，全角！",
        "&lt;b&gt; &amp;lt;",
        "a\u3000b\u00a0c\u2003d",
        "‘curly’ – dash…",
        "é e\u0301",
    ]
    for text in texts:
        assert clean_prompt(text) == prompt_clean(text), text
    assert clean_prompt("“a&amp;amp;b”  c\n") == '"a&b" c'


def test_both_forms_of_the_tokenizer_agree(folder):
    by_json = read_pieces([folder / "tokenizer" / "tokenizer.json"])
    by_model = read_pieces([folder / "tokenizer" / "spiece.model"])
    for text in [*PROMPTS, *CORPUS, "unseen: ŵ 🙂 漢"]:
        assert by_json(text) == by_model(text), text
    assert by_json.end == by_model.end == 1
    assert by_json("")[-1:] == [1]


def test_check_counts_tokens_and_knows_every_word(folder):
    model = opened(folder, "hf")
    report = model.check("红色的球 rolls left")
    assert (report.language, report.unknown, report.sentence) == ("mixed", (), "")
    assert report.known == ("红色的球", "rolls", "left")
    assert report.tokens == len(model.pieces("红色的球 rolls left"))


def test_check_refuses_the_empty_and_the_too_long(folder):
    model = opened(folder, "hf")
    for empty in ["", "  \n", "&nbsp;"]:
        with pytest.raises(PromptError, match="Say what should happen"):
            model.check(empty)
    with pytest.raises(PromptError, match=r"comes to \d+ tokens; the model reads 32"):
        model.check("a red ball rolls to the left on sand " * 4)


def test_missing_and_unknown_tensors_are_listed(folder, theirs):
    tensors = wan_tensors(theirs)
    del tensors["blocks.1.attn.k.weight"]
    save_file(tensors | {"blocks.1.attn.bias.weight": torch.ones(3)}, folder / "odd.safetensors")
    with pytest.raises(WeightsError, match=r"block\.1\.layer\.0\.SelfAttention\.k\.weight.*blocks\.1\.attn\.bias"):
        opened(folder, "odd")


def test_a_tokenizer_that_is_not_there_or_not_one_is_named(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"No tokenizer in .*google/umt5-xxl"):
        opened(folder, "hf", tokenizer=())
    with pytest.raises(WeightsError, match="No tokenizer"):
        read_pieces([tmp_path])
    for name in ("tokenizer.json", "spiece.model"):
        (tmp_path / name).write_bytes(b"<html>not found</html>")
        with pytest.raises(WeightsError, match=rf"{name} is no tokenizer of umT5"):
            read_pieces([tmp_path / name])


def test_another_model_s_tokenizer_and_config_are_refused(folder, theirs):
    tensors = hf_tensors(theirs)
    save_file(tensors | {"shared.weight": tensors["shared.weight"][:100].clone()}, folder / "narrow.safetensors")
    with pytest.raises(WeightsError, match="different models"):
        open_umt5(
            SIZES | {"vocabulary": 100},
            [folder / "narrow.safetensors"],
            [folder / "tokenizer"],
            dtype=torch.float32,
        )
    for wrong in ({"kind": "clip"}, {"depth": 3}, {"heads": 5}):
        with pytest.raises(WeightsError, match="no umT5"):
            open_umt5(SIZES | wrong, [folder / "hf.safetensors"], dtype=torch.float32)


@pytest.mark.parametrize("package", ["ftfy", "tokenizers", "sentencepiece", "transformers"])
def test_a_package_that_is_missing_is_named_with_its_remedy(folder, spiece, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WeightsError, match=rf"needs the package {package}.*pip install 'kinora\[wan\]'"):
        Pieces.from_sentencepiece(spiece)
        opened(folder, "hf").encode(["a cat"])


def test_renaming_leaves_strange_names_for_the_error_that_lists_them():
    assert rename(["token_embedding.weight"])("blocks.0.strange.weight") == "blocks.0.strange.weight"
    assert rename(["shared.weight"])("decoder.block.0.weight") == "decoder.block.0.weight"
    assert rename(["encoder.embed_tokens.weight"])("encoder.embed_tokens.weight") == "embed_tokens.weight"


@pytest.mark.skipif(not WAN_REPOSITORY, reason="KINORA_WAN_REPOSITORY names no checkout of Wan-Video/Wan2.1")
def test_embeddings_are_those_of_wan_s_own_encoder(folder, theirs, monkeypatch):
    original = wan_t5(monkeypatch)
    model = original.T5Encoder(400, 64, 64, 96, 4, 3, 32, shared_pos=False).eval()
    model.load_state_dict(wan_tensors(theirs))
    ours = opened(folder, "wan")
    ids_BL, mask_BL = torch.zeros(len(PROMPTS), 32, dtype=torch.long), torch.zeros(len(PROMPTS), 32)
    for row, prompt in enumerate(PROMPTS):
        ids = ours.pieces(prompt)
        ids_BL[row, : len(ids)], mask_BL[row, : len(ids)] = torch.tensor(ids), 1
    with torch.no_grad():
        wanted_BLD = model(ids_BL, mask_BL) * mask_BL[..., None]
    text_BLD = ours.encode(PROMPTS)
    assert relative(text_BLD, wanted_BLD[:, : text_BLD.shape[1]]) < 1e-5


@pytest.mark.skipif(not WAN_REPOSITORY, reason="KINORA_WAN_REPOSITORY names no checkout of Wan-Video/Wan2.1")
def test_prompts_are_cleaned_as_wan_cleans_them(monkeypatch):
    wan_t5(monkeypatch)
    original = importlib.import_module("wan_reference.tokenizers")
    for text in [*PROMPTS, *ODD]:
        assert clean_prompt(text) == original.whitespace_clean(original.basic_clean(text))


def wan_t5(monkeypatch):
    """`wan/modules/t5.py` without the package around it, which asks for a GPU when it is imported."""
    package = types.ModuleType("wan_reference")
    package.__path__ = [str(Path(WAN_REPOSITORY) / "wan" / "modules")]
    monkeypatch.setitem(sys.modules, "wan_reference", package)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return importlib.import_module("wan_reference.t5")
