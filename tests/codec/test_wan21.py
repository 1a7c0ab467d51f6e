"""Wan 2.1's autoencoder in full size, on no device: the names, shapes and counts of its checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinora.codec.wan21 import Wan21Codec, wan21
from kinora.core.shapes import Compression


def wan_checkpoint() -> dict[str, tuple[int, ...]]:
    """Names and shapes of Wan2.1_VAE.pth, written down layer by layer."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        found.update({f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)})

    def residual(name: str, inputs: int, outputs: int) -> None:
        found.update({f"{name}.residual.0.gamma": (inputs, 1, 1, 1), f"{name}.residual.3.gamma": (outputs, 1, 1, 1)})
        conv(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
        conv(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
        if inputs != outputs:
            conv(f"{name}.shortcut", outputs, inputs, 1, 1, 1)

    def half(name: str, inputs: int, first: int, last: int, outputs: int) -> None:
        conv(f"{name}.conv1", first, inputs, 3, 3, 3)
        residual(f"{name}.middle.0", 384, 384)
        found[f"{name}.middle.1.norm.gamma"] = (384, 1, 1)
        conv(f"{name}.middle.1.to_qkv", 1152, 384, 1, 1)
        conv(f"{name}.middle.1.proj", 384, 384, 1, 1)
        residual(f"{name}.middle.2", 384, 384)
        found[f"{name}.head.0.gamma"] = (last, 1, 1, 1)
        conv(f"{name}.head.2", outputs, last, 3, 3, 3)

    half("encoder", 3, 96, 384, 32)
    pairs = {0: (96, 96), 1: (96, 96), 3: (96, 192), 4: (192, 192), 6: (192, 384), 7: (384, 384), 9: (384, 384)}
    for number, (inputs, outputs) in {**pairs, 10: (384, 384)}.items():
        residual(f"encoder.downsamples.{number}", inputs, outputs)
    for number, width in {2: 96, 5: 192, 8: 384}.items():
        conv(f"encoder.downsamples.{number}.resample.1", width, width, 3, 3)
    for number, width in {5: 192, 8: 384}.items():
        conv(f"encoder.downsamples.{number}.time_conv", width, width, 3, 1, 1)
    conv("conv1", 32, 32, 1, 1, 1)
    conv("conv2", 16, 16, 1, 1, 1)
    half("decoder", 16, 384, 96, 3)
    widths = {**dict.fromkeys(range(7), 384), **dict.fromkeys(range(8, 11), 192), **dict.fromkeys(range(12, 15), 96)}
    for number in set(widths) - {3}:
        residual(f"decoder.upsamples.{number}", 192 if number == 4 else widths[number], widths[number])
    for number, width in {3: 384, 7: 384, 11: 192}.items():
        conv(f"decoder.upsamples.{number}.resample.1", width // 2, width, 3, 3)
    for number in (3, 7):
        conv(f"decoder.upsamples.{number}.time_conv", 768, 384, 3, 1, 1)
    return found


@pytest.fixture(scope="module")
def published() -> Wan21Codec:
    with torch.device("meta"):
        return Wan21Codec(wan21())


def test_the_published_form_has_wans_names_and_shapes(published: Wan21Codec) -> None:
    assert {name: tuple(value.shape) for name, value in published.state_dict().items()} == wan_checkpoint()


def test_the_published_form_has_wans_size(published: Wan21Codec) -> None:
    def numbers(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert numbers(published.encoder) == 53_595_872
    assert numbers(published.decoder) == 73_295_331
    assert numbers(published) == 126_892_531
    assert published.config.compression == Compression(time=4, space=8)
