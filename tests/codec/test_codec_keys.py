"""Names of published files: whose they are, and what they are here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinora.codec import build_codec
from kinora.codec.keys import rename
from kinora.core.errors import WeightsError

TINY21 = {"kind": "wan21", "width": 4, "channels": 3}
TINY22 = {"kind": "wan22", "encoder_width": 4, "decoder_width": 4, "channels": 3}


def names_of(values: dict[str, object]) -> list[str]:
    module: nn.Module = build_codec(values)
    return list(module.state_dict())


@pytest.mark.parametrize("values", [TINY21, TINY22])
@pytest.mark.parametrize("prefix", ["", "vae.", "first_stage_model."])
def test_wans_own_names_stay_and_lose_their_prefix(values: dict[str, object], prefix: str) -> None:
    own = names_of(values)
    to_ours = rename([*(prefix + name for name in own), "text_encoders.shared.weight"])
    assert [to_ours(prefix + name) for name in own] == own
    assert to_ours("text_encoders.shared.weight") == (None if prefix else "text_encoders.shared.weight")


def test_a_half_alone_is_recognised() -> None:
    decoder = [name for name in names_of(TINY21) if name.startswith("decoder.")]
    assert [rename(decoder)(name) for name in decoder] == decoder


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("encoder.conv_in.weight", "encoder.conv1.weight"),
        ("encoder.down_blocks.3.conv_shortcut.bias", "encoder.downsamples.3.shortcut.bias"),
        ("encoder.down_blocks.5.time_conv.weight", "encoder.downsamples.5.time_conv.weight"),
        ("encoder.mid_block.resnets.1.norm2.gamma", "encoder.middle.2.residual.3.gamma"),
        ("decoder.mid_block.attentions.0.to_qkv.weight", "decoder.middle.1.to_qkv.weight"),
        ("decoder.up_blocks.1.resnets.0.conv1.weight", "decoder.upsamples.4.residual.2.weight"),
        ("decoder.up_blocks.1.upsamplers.0.resample.1.bias", "decoder.upsamples.7.resample.1.bias"),
        ("decoder.up_blocks.3.resnets.2.conv2.weight", "decoder.upsamples.14.residual.6.weight"),
        ("decoder.norm_out.gamma", "decoder.head.0.gamma"),
        ("quant_conv.weight", "conv1.weight"),
        ("post_quant_conv.bias", "conv2.bias"),
        ("decoder.something.new", "decoder.something.new"),
    ],
)
def test_names_of_diffusers_for_wan21(theirs: str, ours: str) -> None:
    blocks = [f"decoder.up_blocks.{i}.resnets.{j}.conv1.weight" for i in range(4) for j in range(3)]
    assert rename(["encoder.conv_in.weight", *blocks])(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("encoder.down_blocks.1.resnets.0.conv_shortcut.weight", "encoder.downsamples.1.downsamples.0.shortcut.weight"),
        ("encoder.down_blocks.2.downsampler.time_conv.bias", "encoder.downsamples.2.downsamples.2.time_conv.bias"),
        ("decoder.up_blocks.0.resnets.2.norm1.gamma", "decoder.upsamples.0.upsamples.2.residual.0.gamma"),
        ("decoder.up_blocks.0.upsampler.resample.1.weight", "decoder.upsamples.0.upsamples.3.resample.1.weight"),
    ],
)
def test_names_of_diffusers_for_wan22(theirs: str, ours: str) -> None:
    down = [f"encoder.down_blocks.{i}.resnets.{j}.conv1.weight" for i in range(4) for j in range(2)]
    up = [f"decoder.up_blocks.{i}.resnets.{j}.conv1.weight" for i in range(4) for j in range(3)]
    seen = ["encoder.conv_in.weight", "decoder.up_blocks.0.upsampler.resample.1.weight", *down, *up]
    assert rename(seen)(theirs) == ours


def test_names_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"no weights of a Wan autoencoder.*\(1 tensors: blocks\.0\.ffn\.0\.weight"):
        rename(["blocks.0.ffn.0.weight"])
    with pytest.raises(WeightsError, match="nothing"):
        rename([])


def test_what_is_no_weight_keeps_its_name_so_that_loading_lists_it() -> None:
    module = build_codec(TINY21)
    to_ours = rename([*module.state_dict(), "decoder.extra"])
    with pytest.raises(RuntimeError, match=r"decoder\.extra"):
        module.load_state_dict(
            {to_ours(name) or "": torch.zeros_like(value) for name, value in module.state_dict().items()}
            | {to_ours("decoder.extra") or "": torch.zeros(1)}
        )
