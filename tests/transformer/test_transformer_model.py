"""The transformer: its layout is Wan's, and what Kinora adds changes nothing until it is trained."""

import dataclasses

import pytest
import torch

from kinora.core.errors import InputError, ShapeError
from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.config import TransformerConfig
from kinora.transformer.embeddings import PatchEmbedding, patchify, unpatchify
from kinora.transformer.keys import wan_names
from kinora.transformer.model import Conditions, Transformer

CONFIG = TransformerConfig(
    width=48, layers=2, heads=2, ffn_width=96, channels=4, text_width=12, text_length=6, control_channels=3
)
GRID = (2, 3, 4, 6)  # batch, frames, height, width
POSITION = torch.arange(3.0).expand(2, -1)


@pytest.fixture
def model():
    """A model whose head is not zero, so that its output tells something."""
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    return model


def noisy(seed=0):
    return torch.randn(2, 4, *GRID[1:], generator=torch.Generator().manual_seed(seed))


def text():
    return torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(9))


def level(value):
    return torch.full(GRID, value)


def everything():
    draw = torch.Generator().manual_seed(3)
    return Conditions(
        text_BLD=text(),
        control_BCTHW=torch.randn(2, 3, *GRID[1:], generator=draw),
        pose_BT12=torch.randn(2, 3, 12, generator=draw),
        mouth_BTS=torch.rand(2, 3, 48, generator=draw),
        face_BTHW=torch.rand(GRID, generator=draw),
    )


def test_wan_2_1_t2v_1_3b_has_its_published_size():
    with torch.device("meta"):
        model = Transformer(OPEN_MODELS["wan2.1-t2v-1.3b"].transformer)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_418_996_800


def test_names_are_wans_and_additions_stand_beside_them():
    plain = Transformer(dataclasses.replace(CONFIG, control_channels=0, pose_width=0, mouth_width=0))
    assert sorted(plain.state_dict()) == wan_names(layers=2)
    added = set(Transformer(CONFIG).state_dict()) - set(wan_names(layers=2))
    assert added == {
        "control_embedding.weight",
        "frame_cond.pose.weight",
        "frame_cond.mouth.weight",
        "frame_cond.mouth.bias",
    }


def test_shapes_are_wans():
    shapes = {name: tuple(tensor.shape) for name, tensor in Transformer(CONFIG).state_dict().items()}
    assert shapes["patch_embedding.weight"] == (48, 4, 1, 2, 2)
    assert shapes["time_embedding.0.weight"] == (48, 256)
    assert shapes["time_projection.1.weight"] == (6 * 48, 48)
    assert shapes["blocks.1.modulation"] == (1, 6, 48)
    assert shapes["blocks.0.self_attn.norm_q.weight"] == (48,)
    assert shapes["head.head.weight"] == (4 * 4, 48)
    assert shapes["head.modulation"] == (1, 2, 48)


def test_an_untrained_model_predicts_nothing():
    velocity = Transformer(CONFIG)(noisy(), level(0.5), POSITION, everything())
    assert velocity.shape == (2, 4, *GRID[1:])
    assert (velocity == 0).all()


def test_conditions_change_nothing_before_training(model):
    bare = model(noisy(), level(0.6), POSITION, Conditions(text_BLD=text()))
    assert torch.allclose(model(noisy(), level(0.6), POSITION, everything()), bare, atol=1e-5)


def test_every_condition_reaches_the_output_once_trained(model):
    for addition in (model.control_embedding, model.frame_cond.pose, model.frame_cond.mouth):
        torch.nn.init.normal_(addition.weight, std=0.3)
    full = model(noisy(), level(0.6), POSITION, everything())
    for absent in ("control_BCTHW", "pose_BT12", "mouth_BTS"):
        without = dataclasses.replace(everything(), **{absent: None})
        assert not torch.allclose(model(noisy(), level(0.6), POSITION, without), full, atol=1e-3), absent


def test_a_condition_of_zeros_is_an_absent_one(model):
    for parameter in [*model.control_embedding.parameters(), *model.frame_cond.parameters()]:
        torch.nn.init.normal_(parameter, std=0.3)
    zeros = Conditions(
        text_BLD=text(),
        control_BCTHW=torch.zeros(2, 3, *GRID[1:]),
        pose_BT12=torch.zeros(2, 3, 12),
        mouth_BTS=torch.rand(2, 3, 48),
        face_BTHW=torch.zeros(GRID),
    )
    bare = model(noisy(), level(0.6), POSITION, Conditions(text_BLD=text()))
    assert torch.allclose(model(noisy(), level(0.6), POSITION, zeros), bare, atol=1e-5)


def test_a_level_told_per_cell_is_the_level_told_once(model):
    """The path with one row per token and the path with one row per frame are the same function."""
    conditions = Conditions(text_BLD=text())
    once = model(noisy(), level(0.3), POSITION, conditions)
    nearly = level(0.3)
    nearly[:, :, 0, 0] = 0.3 + 1e-7  # not equal any more, so every token gets a row of its own
    assert torch.allclose(model(noisy(), nearly, POSITION, conditions), once, atol=1e-4)


def test_each_sample_answers_to_its_own_level(model):
    conditions = Conditions(text_BLD=text())
    mixed = level(0.2)
    mixed[1] = 0.9
    got = model(noisy(), mixed, POSITION, conditions)
    assert torch.allclose(got[0], model(noisy(), level(0.2), POSITION, conditions)[0], atol=1e-5)
    assert torch.allclose(got[1], model(noisy(), level(0.9), POSITION, conditions)[1], atol=1e-5)
    assert not torch.allclose(got[1], model(noisy(), level(0.2), POSITION, conditions)[1], atol=1e-3)


def test_a_token_takes_the_mean_of_its_cells(model):
    conditions = Conditions(text_BLD=text())
    uneven = level(0.5)
    uneven[..., 0::2], uneven[..., 1::2] = 0.25, 0.75
    even = model(noisy(), level(0.5), POSITION, conditions)
    assert torch.allclose(model(noisy(), uneven, POSITION, conditions), even, atol=1e-5)


def test_time_features_are_wans():
    """cat[cos, sin] of 1000 sigma times 10000 ** (-i / half): the first of each half has frequency 1."""
    model = Transformer(dataclasses.replace(CONFIG, frequency_width=4))
    seen = []
    model.time_embedding[0].register_parameter("weight", torch.nn.Parameter(torch.eye(4).repeat(12, 1)))
    torch.nn.init.zeros_(model.time_embedding[0].bias)
    model.time_embedding[2].register_parameter("weight", torch.nn.Parameter(torch.eye(48)))
    torch.nn.init.zeros_(model.time_embedding[2].bias)
    model.head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    model(noisy(), level(0.25), POSITION, Conditions(text_BLD=text()))
    features = torch.tensor([250.0, 2.5, 250.0, 2.5], dtype=torch.float64)
    features = torch.cat([features[:2].cos(), features[2:].sin()]).float()
    assert torch.allclose(seen[0][0, :4], torch.nn.functional.silu(features), atol=1e-5)


def test_frames_are_told_apart_by_position_alone(model):
    """Frames given in another order, with their positions, give the same velocities in that order."""
    order = [2, 0, 1]
    conditions = Conditions(text_BLD=text())
    sigma = torch.rand(2, 3, 1, 1).expand(GRID)
    straight = model(noisy(), sigma, POSITION, conditions)
    shuffled = model(noisy()[:, :, order], sigma[:, order], POSITION[:, order], conditions)
    assert torch.allclose(shuffled, straight[:, :, order], atol=1e-5)
    unmoved = model(noisy()[:, :, order], sigma[:, order], POSITION, conditions)
    assert not torch.allclose(unmoved, straight[:, :, order], atol=1e-3)


def test_only_differences_of_time_matter(model):
    conditions = Conditions(text_BLD=text())
    here = model(noisy(), level(0.5), POSITION, conditions)
    assert torch.allclose(model(noisy(), level(0.5), POSITION + 500.0, conditions), here, atol=1e-3)
    assert not torch.allclose(model(noisy(), level(0.5), POSITION * 3.0, conditions), here, atol=1e-3)


def test_short_texts_are_filled_with_zeros_that_are_attended(model):
    padded = torch.nn.functional.pad(text(), (0, 0, 0, 1))
    short = model(noisy(), level(0.5), POSITION, Conditions(text_BLD=text()))
    assert torch.equal(model(noisy(), level(0.5), POSITION, Conditions(text_BLD=padded)), short)
    other = model(noisy(), level(0.5), POSITION, Conditions(text_BLD=text()[:, :2]))
    assert not torch.allclose(other, short, atol=1e-4)


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model(noisy(), torch.rand(GRID), POSITION, everything()).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


def test_patches_are_laid_back_channel_last():
    patches = torch.arange(2.0 * 2 * 2 * 3).reshape(1, 1, 2, 12)  # two tokens side by side, 3 channels, 2 x 2 cells
    grid = unpatchify(patches, 2, 4, 2)
    assert grid.shape == (1, 3, 1, 2, 4)
    assert grid[0, 1, 0].tolist() == [[1, 4, 13, 16], [7, 10, 19, 22]]


def test_patch_embedding_is_the_convolution_it_stands_for():
    layer = PatchEmbedding(3, 8, 2)
    grid = torch.randn(2, 3, 2, 4, 6)
    by_convolution = torch.nn.Conv3d.forward(layer, grid).flatten(3).permute(0, 2, 3, 1)
    assert torch.allclose(layer(grid), by_convolution, atol=1e-5)
    assert patchify(grid, 2).shape == (2, 2, 6, 12)


def test_bfloat16_weights_keep_time_in_float32(model):
    half = Transformer(CONFIG).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    whole = model(noisy(), level(0.5), POSITION, Conditions(text_BLD=text()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = half(noisy(), level(0.5), POSITION, Conditions(text_BLD=text()))
    assert torch.allclose(got.float(), whole, atol=0.1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"latent": torch.zeros(2, 5, *GRID[1:])}, ShapeError, "4 channels"),
        ({"latent": torch.zeros(2, 4, 3, 5, 6)}, ShapeError, "multiples of 2"),
        ({"sigma": torch.zeros(2, 3, 4, 4)}, ShapeError, "a level per cell"),
        ({"position": torch.zeros(2, 4)}, ShapeError, "a position per frame"),
        ({"conditions": Conditions(text_BLD=torch.zeros(2, 7, 12))}, ShapeError, "7 positions"),
        ({"conditions": Conditions(text_BLD=text(), mouth_BTS=torch.zeros(2, 3, 48))}, InputError, "face_BTHW"),
    ],
)
def test_what_does_not_fit_is_refused(model, change, error, message):
    given = {"latent": noisy(), "sigma": level(0.5), "position": POSITION, "conditions": Conditions(text_BLD=text())}
    with pytest.raises(error, match=message):
        model(*(given | change).values())


def test_a_model_refuses_by_name_what_it_was_not_built_for():
    plain = Transformer(dataclasses.replace(CONFIG, pose_width=0, mouth_width=0))
    with pytest.raises(InputError, match="no camera poses"):
        plain(noisy(), level(0.5), POSITION, Conditions(text_BLD=text(), pose_BT12=torch.zeros(2, 3, 12)))


@pytest.mark.parametrize("change", [{"heads": 5}, {"heads": 16}, {"patch": 3}])
def test_configs_that_cannot_be_are_refused(change):
    with pytest.raises(InputError):
        dataclasses.replace(CONFIG, **change)
