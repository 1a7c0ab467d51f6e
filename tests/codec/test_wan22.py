"""Wan 2.2's autoencoder in full size, on no device: the names, shapes and counts of its checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinora.codec.wan22 import Wan22Codec, wan22
from kinora.core.shapes import Compression


def wan_checkpoint() -> dict[str, tuple[int, ...]]:
    """Names and shapes of Wan2.2_VAE.pth, written down layer by layer."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        found.update({f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)})

    def residual(name: str, inputs: int, outputs: int) -> None:
        found.update({f"{name}.residual.0.gamma": (inputs, 1, 1, 1), f"{name}.residual.3.gamma": (outputs, 1, 1, 1)})
        conv(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
        conv(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
        if inputs != outputs:
            conv(f"{name}.shortcut", outputs, inputs, 1, 1, 1)

    def ends(name: str, inputs: int, first: int, inner: int, last: int, outputs: int) -> None:
        conv(f"{name}.conv1", first, inputs, 3, 3, 3)
        residual(f"{name}.middle.0", inner, inner)
        found[f"{name}.middle.1.norm.gamma"] = (inner, 1, 1)
        conv(f"{name}.middle.1.to_qkv", 3 * inner, inner, 1, 1)
        conv(f"{name}.middle.1.proj", inner, inner, 1, 1)
        residual(f"{name}.middle.2", inner, inner)
        found[f"{name}.head.0.gamma"] = (last, 1, 1, 1)
        conv(f"{name}.head.2", outputs, last, 3, 3, 3)

    ends("encoder", 12, 160, 640, 640, 96)
    for i, (inputs, outputs) in enumerate([(160, 160), (160, 320), (320, 640), (640, 640)]):
        stage = f"encoder.downsamples.{i}.downsamples"
        residual(f"{stage}.0", inputs, outputs)
        residual(f"{stage}.1", outputs, outputs)
        if i < 3:
            conv(f"{stage}.2.resample.1", outputs, outputs, 3, 3)
        if i in {1, 2}:
            conv(f"{stage}.2.time_conv", outputs, outputs, 3, 1, 1)
    conv("conv1", 96, 96, 1, 1, 1)
    conv("conv2", 48, 48, 1, 1, 1)
    ends("decoder", 48, 1024, 1024, 256, 12)
    for i, (inputs, outputs) in enumerate([(1024, 1024), (1024, 1024), (1024, 512), (512, 256)]):
        stage = f"decoder.upsamples.{i}.upsamples"
        residual(f"{stage}.0", inputs, outputs)
        residual(f"{stage}.1", outputs, outputs)
        residual(f"{stage}.2", outputs, outputs)
        if i < 3:
            conv(f"{stage}.3.resample.1", outputs, outputs, 3, 3)
        if i in {0, 1}:
            conv(f"{stage}.3.time_conv", 2 * outputs, outputs, 3, 1, 1)
    return found


@pytest.fixture(scope="module")
def published() -> Wan22Codec:
    with torch.device("meta"):
        return Wan22Codec(wan22())


def test_the_published_form_has_wans_names_and_shapes(published: Wan22Codec) -> None:
    assert {name: tuple(value.shape) for name, value in published.state_dict().items()} == wan_checkpoint()


def test_the_published_form_has_wans_size(published: Wan22Codec) -> None:
    def numbers(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert numbers(published.encoder) == 149_627_776
    assert numbers(published.decoder) == 555_049_228
    assert numbers(published) == 704_688_668
    assert published.config.compression == Compression(time=4, space=16)
