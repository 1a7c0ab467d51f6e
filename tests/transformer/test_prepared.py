"""What is prepared once gives the same velocities as what is done anew every step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from kinora.core.errors import InputError, ShapeError
from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.conditions import collapse_padding
from kinora.transformer.model import Conditions, Transformer

T2V, I2V, FLF = "wan2.1-t2v-1.3b", "wan2.1-i2v-14b-480p", "wan2.1-flf2v-14b"


def difference(got, wanted):
    return float((got - wanted).norm() / wanted.norm())


def both(case, conditions, **change):
    """Velocities under the conditions as they are (the way of learning) and as they are prepared."""
    inputs = {"latent": case.latent_BCTHW, "sigma": case.sigma_BTHW, "position": case.position_BT} | change
    plain = case.model(*inputs.values(), conditions)
    with torch.inference_mode():
        return plain, case.model(*inputs.values(), case.model.prepare(conditions))


def texts(*ends, length=40):
    text_BLD = torch.randn(len(ends), length, 24, generator=torch.Generator().manual_seed(1))
    for row_LD, end in zip(text_BLD, ends, strict=True):
        row_LD[end:] = 0
    return text_BLD


# The text's padding


@pytest.mark.parametrize("ends", [(17, 40), (40, 40), (1, 39), (0, 12), (12, 0), (0, 0)])
def test_any_lengths_of_text_are_collapsed_exactly(small_wan, ends):
    case = small_wan(T2V)
    plain, prepared = both(case, Conditions(text_BLD=texts(*ends)))
    assert difference(prepared, plain) < 2e-6


def test_a_text_that_fills_every_position_has_no_padding_to_count(small_wan):
    case = small_wan(T2V)
    plain, prepared = both(case, Conditions(text_BLD=texts(512, 30, length=512)))
    assert difference(prepared, plain) < 2e-6


def test_zeros_inside_a_text_are_no_padding(small_wan):
    case = small_wan(T2V)
    text_BLD = texts(20, 20)
    text_BLD[:, 5:8] = 0
    plain, prepared = both(case, Conditions(text_BLD=text_BLD))
    assert difference(prepared, plain) < 2e-6
    assert case.model.prepare(Conditions(text_BLD=text_BLD)).contexts[0].key_RLAK.shape[1] == 21


def test_one_key_stands_for_all_the_padding(small_wan):
    contexts = small_wan(T2V).model.prepare(Conditions(text_BLD=texts(17, 40))).contexts
    assert len(contexts) == 2
    assert contexts[0].key_RLAK.shape == (2, 41, 2, 64)
    assert contexts[0].bias_RL[:, -1].exp().tolist() == pytest.approx([512 - 17, 512 - 40], rel=1e-6)
    assert contexts[0].bias_RL[0, 17:40].eq(-math.inf).all()
    assert contexts[0].bias_RL[0, :17].eq(0).all()


def test_a_text_without_words_is_asked_nothing(small_wan):
    context = small_wan(T2V).model.prepare(Conditions(text_BLD=texts(0, 0))).contexts[1]
    assert context.key_RLAK is None
    assert context.silence_B1D.shape == (2, 1, 128)
    mixed = small_wan(T2V).model.prepare(Conditions(text_BLD=texts(0, 9))).contexts[1]
    assert mixed.key_RLAK.shape == (1, 10, 2, 64)
    assert mixed.spoken_R.tolist() == [1]


def test_image_tokens_are_attended_to_beside_a_text_without_words(small_wan):
    case = small_wan(I2V)
    plain, prepared = both(case, replace(case.conditions, text_BLD=texts(0, 0)))
    assert difference(prepared, plain) < 2e-6
    other = replace(case.conditions, text_BLD=texts(0, 0), image_BLD=case.conditions.image_BLD.flip(0))
    assert difference(both(case, other)[1], prepared) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("end", [0, 1, 13, 37, 511, 512])
def test_rows_for_the_padding_weigh_what_it_weighed(dtype, end):
    """A single bfloat16 key would be wrong by up to 1.6%: further ones make up for it."""
    text = collapse_padding(texts(end, 40, length=512), 512, dtype)
    extra = text.bias_BL[:, max(end, 40) :].double().exp().sum(dim=1)
    assert text.bias_BL.dtype == dtype
    assert extra.tolist() == pytest.approx([512 - end, 472], abs=0.01)
    assert text.spoken_B == (end > 0, True)


# Several texts over one clip


@pytest.mark.parametrize("ends", [(17, 40), (9, 0), (0, 9)])
@pytest.mark.parametrize("name", [T2V, I2V])
def test_one_clip_under_two_texts_comes_back_once_for_each(small_wan, name, ends):
    case = small_wan(name)
    first = {
        key: None if tensor is None else tensor[:1]
        for key, tensor in vars(case.conditions).items()
        if key != "text_BLD"
    }
    inputs = {"latent": case.latent_BCTHW[:1], "sigma": case.sigma_BTHW[:1], "position": case.position_BT[:1]}
    pair = both(case, Conditions(text_BLD=texts(*ends), **first), **inputs)
    for index in range(2):
        alone, _ = both(case, Conditions(text_BLD=texts(*ends)[index : index + 1], **first), **inputs)
        for velocities in pair:
            assert velocities.shape == (2, 16, 3, 6, 8)
            assert difference(velocities[index : index + 1], alone) < 2e-6


def test_two_clips_cannot_share_three_texts(small_wan):
    case = small_wan(T2V)
    with pytest.raises(ShapeError, match="3 texts for 2 clips"):
        both(case, Conditions(text_BLD=texts(1, 2, 3)))


# What is reused


@pytest.mark.parametrize("name", [T2V, FLF])
@pytest.mark.parametrize("levels", ["clip", "token"])
def test_nothing_given_is_written_over(small_wan, name, levels):
    case = small_wan(name, levels=levels)
    with torch.inference_mode():
        prepared = case.model.prepare(case.conditions)
        before = [tensor.clone() for tensor in case.inputs[:3]]
        state = {name: tensor.clone() for name, tensor in case.model.state_dict().items()}
        first = case.model(*case.inputs[:3], prepared)
        again = case.model(*case.inputs[:3], prepared)
    assert torch.equal(first, again)
    assert all(torch.equal(old, new) for old, new in zip(before, case.inputs[:3], strict=True))
    assert all(torch.equal(state[name], tensor) for name, tensor in case.model.state_dict().items())


def test_levels_are_held_once_however_many_cells_have_them(small_wan):
    case = small_wan("wan2.2-ti2v-5b")
    seen = []
    case.model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1:3]))
    three_BTHW = torch.zeros_like(case.sigma_BTHW)
    three_BTHW[:, 1, :2], three_BTHW[0, 2, 4:] = 0.5, 0.9
    for sigma_BTHW in (torch.full_like(three_BTHW, 0.3), case.sigma_BTHW, three_BTHW):
        case.model(case.latent_BCTHW, sigma_BTHW, case.position_BT, case.conditions)
    (same, same_row), (by_clip, clip_row), (by_token, token_row) = seen
    assert (same.shape, same_row.shape) == ((1, 6, 128), (1, 1, 1))
    assert (by_clip.shape, clip_row.shape) == ((2, 6, 128), (2, 3, 1))
    assert (by_token.shape, token_row.shape) == ((3, 6, 128), (2, 3, 12))


@pytest.mark.slow
def test_a_block_is_one_graph_to_a_compiler(small_wan):
    case = small_wan(T2V)
    wanted, _ = both(case, case.conditions)
    torch._dynamo.reset()
    case.model.blocks[1].compile(backend="eager", fullgraph=True)
    plain, prepared = both(case, case.conditions)
    torch._dynamo.reset()
    assert difference(plain, wanted) < 1e-6
    assert difference(prepared, wanted) < 2e-6


def test_bfloat16_weights_run_without_autocast(small_wan):
    case = small_wan(I2V)
    wanted, _ = both(case, case.conditions)
    case.model.to(torch.bfloat16)
    plain, prepared = both(case, case.conditions)
    assert plain.dtype == prepared.dtype == torch.float32
    assert difference(plain, wanted) < 0.03
    assert difference(prepared, wanted) < 0.03


# What a model is built for


def test_a_picture_is_asked_for_by_name_where_the_model_needs_one(small_wan):
    case = small_wan(I2V)
    for lacking in ("extra_BCTHW", "image_BLD"):
        with pytest.raises(InputError, match=lacking):
            case.model.prepare(replace(case.conditions, **{lacking: None}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"extra_BCTHW": torch.zeros(2, 20, 3, 6, 8)}, "no channels beside"),
        ({"image_BLD": torch.zeros(2, 257, 1280)}, "no image tokens"),
    ],
)
def test_a_picture_is_refused_where_the_model_takes_none(small_wan, given, message):
    case = small_wan(T2V)
    conditions = replace(case.conditions, **given)
    with pytest.raises(InputError, match=message):
        case.model.prepare(conditions)
    with pytest.raises(InputError, match=message):
        case.model(*case.inputs[:3], conditions)


def test_shapes_of_a_picture_are_checked(small_wan):
    case = small_wan(FLF)
    with pytest.raises(ShapeError, match="514"):
        case.model.prepare(replace(case.conditions, image_BLD=case.conditions.image_BLD[:, :257]))
    narrow = replace(case.conditions, extra_BCTHW=case.conditions.extra_BCTHW[:, :16])
    with pytest.raises(ShapeError, match="cannot lie beside"):
        case.model(*case.inputs[:3], narrow)


def test_blocks_are_walked_once_and_in_order(small_wan):
    """Blocks that are fetched when they are used (see the pipeline's streaming) are met by iteration alone."""

    class Walk(torch.nn.Module):
        def __init__(self, blocks):
            super().__init__()
            self.given, self.walks = tuple(blocks), 0

        def __iter__(self):
            self.walks += 1
            yield from self.given

    case = small_wan(T2V)
    wanted, _ = both(case, case.conditions)
    case.model.blocks = walk = Walk(case.model.blocks)
    _, got = both(case, case.conditions)
    assert difference(got, wanted) < 2e-6
    assert walk.walks == 4  # two for the plain way, two for the prepared one


def test_a_model_of_every_kind_can_be_built_without_memory():
    with torch.device("meta"):
        model = Transformer(OPEN_MODELS[FLF].transformer)
    assert model.img_emb.emb_pos.shape == (1, 514, 1280)
    assert model.blocks[0].cross_attn.k_img.weight.shape == (5120, 5120)
