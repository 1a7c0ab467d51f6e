"""The same velocities as diffusers' WanTransformer3DModel, from the same random weights, for every published model."""

from __future__ import annotations

import gc
import warnings
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.keys import from_diffusers, to_diffusers, wan_names
from kinora.transformer.model import Conditions, Transformer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import WanTransformer3DModel

TOLERANCE = 1e-5
"""Largest relative error in float32. diffusers computes the time features in float32, we in float64 as Wan does: that
is where nearly all of the difference comes from.
"""

PUBLISHED = {
    "wan2.1-t2v-1.3b": 1.419,
    "wan2.1-t2v-14b": 14.288,
    "wan2.1-i2v-14b-480p": 16.395,
    "wan2.1-i2v-14b-720p": 16.395,
    "wan2.1-flf2v-14b": 16.396,
    "wan2.2-ti2v-5b": 5.000,
    "wan2.2-t2v-a14b": 14.288,
    "wan2.2-i2v-a14b": 14.289,
}
"""Parameters in billions; the channels beside the latents add 0.0004 to the last."""


def theirs(model: Transformer) -> WanTransformer3DModel:
    """diffusers' model of the same sizes, holding the very same tensors."""
    config = model.config
    with torch.device("meta"):
        other = WanTransformer3DModel(
            num_attention_heads=config.heads,
            attention_head_dim=config.head_width,
            in_channels=config.channels + config.extra_channels,
            out_channels=config.channels,
            text_dim=config.text_width,
            ffn_dim=config.ffn_width,
            num_layers=config.layers,
            image_dim=config.image_width or None,
            added_kv_proj_dim=config.width if config.image_width else None,
            pos_embed_seq_len=config.image_positions or None,
        )
    # The rotary tables are no part of a checkpoint and want computing.
    other.rope = type(other.rope)(config.head_width, (1, 2, 2), 1024)
    other.load_state_dict({to_diffusers(name): t for name, t in model.state_dict().items()}, strict=True, assign=True)
    return other.eval()


def their_velocity(other, latent, sigma, conditions, text_length=512):
    """diffusers wants the texts filled up, a time a clip or token, and both pictures' tokens one after the other."""
    text = functional.pad(conditions.text_BLD, (0, 0, 0, text_length - conditions.text_BLD.shape[1]))
    time = 1000 * sigma[:, :, ::2, ::2].flatten(1)
    if bool((time == time[:, :1]).all()):
        time = time[:, 0]
    image = conditions.image_BLD
    if other.config.pos_embed_seq_len:
        image = image.unflatten(1, (2, -1)).flatten(0, 1)
    if conditions.extra_BCTHW is not None:
        latent = torch.cat([latent, conditions.extra_BCTHW], dim=1)
    with torch.no_grad():
        return other(latent, time, text, image, return_dict=False)[0]


def difference(got, wanted):
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("head_width", [128, 20])
@pytest.mark.parametrize("name", OPEN_MODELS)
def test_every_published_model_gives_what_diffusers_gives(small_wan, name, head_width):
    case = small_wan(name, head_width=head_width)
    wanted = their_velocity(theirs(case.model), case.latent_BCTHW, case.sigma_BTHW, case.conditions)
    assert difference(case.model(*case.inputs), wanted) < TOLERANCE
    with torch.inference_mode():
        assert difference(case.model(*case.inputs), wanted) < TOLERANCE
        prepared = case.model.prepare(case.conditions)
        assert difference(case.model(*case.inputs[:3], prepared), wanted) < TOLERANCE


@pytest.mark.parametrize("levels", ["frame", "token"])
@pytest.mark.parametrize("name", ["wan2.2-ti2v-5b", "wan2.2-i2v-a14b"])
def test_levels_of_frames_and_tokens_are_diffusers_timesteps(small_wan, name, levels):
    case = small_wan(name, levels=levels)
    wanted = their_velocity(theirs(case.model), case.latent_BCTHW, case.sigma_BTHW, case.conditions)
    assert difference(case.model(*case.inputs), wanted) < TOLERANCE
    with torch.inference_mode():
        prepared = case.model.prepare(case.conditions)
        assert difference(case.model(*case.inputs[:3], prepared), wanted) < TOLERANCE


def test_bfloat16_is_no_coarser_than_diffusers(small_wan):
    case = small_wan("wan2.1-t2v-1.3b")
    exact = case.model(*case.inputs)
    other = theirs(case.model.to(torch.bfloat16))
    conditions = Conditions(text_BLD=case.conditions.text_BLD.bfloat16())
    coarse = their_velocity(other, case.latent_BCTHW.bfloat16(), case.sigma_BTHW, conditions).float()
    with torch.inference_mode():
        got = case.model(*case.inputs[:3], case.model.prepare(case.conditions))
    assert difference(got, exact) < 1.1 * difference(coarse, exact)


def test_a_wrong_weight_would_be_noticed(small_wan):
    """The comparison can fail: one bias of one block, moved a little, is far outside the tolerance."""
    case = small_wan("wan2.1-i2v-14b-480p")
    other = theirs(case.model)
    wanted = their_velocity(other, case.latent_BCTHW, case.sigma_BTHW, case.conditions)
    case.model.blocks[1].cross_attn.v_img.bias.data += 0.01
    changed = {name: t.clone() for name, t in case.model.state_dict().items()}
    case.model.load_state_dict(changed, assign=True)
    assert difference(case.model(*case.inputs), wanted) > 10 * TOLERANCE


@pytest.mark.parametrize("name", OPEN_MODELS)
def test_published_sizes_and_names(name):
    config = OPEN_MODELS[name].transformer
    with torch.device("meta"):
        model = Transformer(config)
    state = model.state_dict()
    assert round(sum(t.numel() for t in state.values()) / 1e9, 3) == PUBLISHED[name]
    image, positions = bool(config.image_width), bool(config.image_positions)
    assert sorted(state) == wan_names(config.layers, image=image, positions=positions)


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.1-flf2v-14b"])
def test_names_and_shapes_are_diffusers_own(name, small_wan):
    """Nothing is left over on either side, whatever diffusers calls it."""
    state = {from_diffusers(foreign): t.shape for foreign, t in theirs(small_wan(name).model).state_dict().items()}
    assert state == {own: t.shape for own, t in small_wan(name).model.state_dict().items()}


@pytest.mark.slow
def test_the_true_1_3_b_gives_what_diffusers_gives():
    """One forward at full size; both models hold the same 5.7 GB of random weights."""
    config = OPEN_MODELS["wan2.1-t2v-1.3b"].transformer
    with torch.device("meta"):
        model = Transformer(config)
    draw = torch.Generator().manual_seed(2)
    state = {}
    for name, t in model.state_dict().items():
        std = 0.1 if t.dim() < 2 else t[0].numel() ** -0.5
        state[name] = torch.empty(t.shape).normal_(std=std, generator=draw)
        if "norm" in name and name.endswith("weight"):
            state[name] += 1.0
    model.load_state_dict(state, assign=True)
    del state
    model.requires_grad_(requires_grad=False).eval()
    latent = torch.randn(1, 16, 3, 16, 16, generator=draw)
    sigma = torch.full((1, 3, 16, 16), 0.731)
    conditions = Conditions(text_BLD=torch.randn(1, 23, config.text_width, generator=draw))
    wanted = their_velocity(theirs(model), latent, sigma, conditions)
    position = torch.arange(3.0)[None]
    with torch.no_grad():
        assert difference(model(latent, sigma, position, conditions), wanted) < TOLERANCE
        assert difference(model(latent, sigma, position, model.prepare(conditions)), wanted) < TOLERANCE
        silent = replace(conditions, text_BLD=torch.zeros(1, 0, config.text_width))
        wanted = their_velocity(theirs(model), latent, sigma, silent)
        assert difference(model(latent, sigma, position, model.prepare(silent)), wanted) < TOLERANCE
    del model
    gc.collect()
