"""Wan's autoencoders in full size, on no device: the names, shapes and counts of their checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from kinora.codec.wan import WanCodec
from kinora.codec.wan21 import Wan21Codec, wan21
from kinora.codec.wan22 import Wan22Codec, wan22
from kinora.core.shapes import Compression


@dataclass(frozen=True)
class Layers:
    """Names and shapes of a checkpoint, written down layer by layer."""

    found: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def conv(self, name: str, outputs: int, inputs: int, *kernel: int) -> None:
        self.found.update({f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)})

    def residual(self, name: str, inputs: int, outputs: int) -> None:
        self.found.update(
            {f"{name}.residual.0.gamma": (inputs, 1, 1, 1), f"{name}.residual.3.gamma": (outputs, 1, 1, 1)}
        )
        self.conv(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
        self.conv(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
        if inputs != outputs:
            self.conv(f"{name}.shortcut", outputs, inputs, 1, 1, 1)

    def ends(self, name: str, inputs: int, first: int, inner: int, last: int, outputs: int) -> None:
        self.conv(f"{name}.conv1", first, inputs, 3, 3, 3)
        self.residual(f"{name}.middle.0", inner, inner)
        self.found[f"{name}.middle.1.norm.gamma"] = (inner, 1, 1)
        self.conv(f"{name}.middle.1.to_qkv", 3 * inner, inner, 1, 1)
        self.conv(f"{name}.middle.1.proj", inner, inner, 1, 1)
        self.residual(f"{name}.middle.2", inner, inner)
        self.found[f"{name}.head.0.gamma"] = (last, 1, 1, 1)
        self.conv(f"{name}.head.2", outputs, last, 3, 3, 3)


def wan21_checkpoint() -> dict[str, tuple[int, ...]]:
    """Of Wan2.1_VAE.pth."""
    layers = Layers()
    layers.ends("encoder", 3, 96, 384, 384, 32)
    pairs = {0: (96, 96), 1: (96, 96), 3: (96, 192), 4: (192, 192), 6: (192, 384), 7: (384, 384), 9: (384, 384)}
    for number, (inputs, outputs) in {**pairs, 10: (384, 384)}.items():
        layers.residual(f"encoder.downsamples.{number}", inputs, outputs)
    for number, width in {2: 96, 5: 192, 8: 384}.items():
        layers.conv(f"encoder.downsamples.{number}.resample.1", width, width, 3, 3)
    for number, width in {5: 192, 8: 384}.items():
        layers.conv(f"encoder.downsamples.{number}.time_conv", width, width, 3, 1, 1)
    layers.conv("conv1", 32, 32, 1, 1, 1)
    layers.conv("conv2", 16, 16, 1, 1, 1)
    layers.ends("decoder", 16, 384, 384, 96, 3)
    widths = {**dict.fromkeys(range(7), 384), **dict.fromkeys(range(8, 11), 192), **dict.fromkeys(range(12, 15), 96)}
    for number in set(widths) - {3}:
        layers.residual(f"decoder.upsamples.{number}", 192 if number == 4 else widths[number], widths[number])
    for number, width in {3: 384, 7: 384, 11: 192}.items():
        layers.conv(f"decoder.upsamples.{number}.resample.1", width // 2, width, 3, 3)
    for number in (3, 7):
        layers.conv(f"decoder.upsamples.{number}.time_conv", 768, 384, 3, 1, 1)
    return layers.found


def wan22_checkpoint() -> dict[str, tuple[int, ...]]:
    """Of Wan2.2_VAE.pth."""
    layers = Layers()
    layers.ends("encoder", 12, 160, 640, 640, 96)
    for i, (inputs, outputs) in enumerate([(160, 160), (160, 320), (320, 640), (640, 640)]):
        stage = f"encoder.downsamples.{i}.downsamples"
        layers.residual(f"{stage}.0", inputs, outputs)
        layers.residual(f"{stage}.1", outputs, outputs)
        if i < 3:
            layers.conv(f"{stage}.2.resample.1", outputs, outputs, 3, 3)
        if i in {1, 2}:
            layers.conv(f"{stage}.2.time_conv", outputs, outputs, 3, 1, 1)
    layers.conv("conv1", 96, 96, 1, 1, 1)
    layers.conv("conv2", 48, 48, 1, 1, 1)
    layers.ends("decoder", 48, 1024, 1024, 256, 12)
    for i, (inputs, outputs) in enumerate([(1024, 1024), (1024, 1024), (1024, 512), (512, 256)]):
        stage = f"decoder.upsamples.{i}.upsamples"
        layers.residual(f"{stage}.0", inputs, outputs)
        layers.residual(f"{stage}.1", outputs, outputs)
        layers.residual(f"{stage}.2", outputs, outputs)
        if i < 3:
            layers.conv(f"{stage}.3.resample.1", outputs, outputs, 3, 3)
        if i in {0, 1}:
            layers.conv(f"{stage}.3.time_conv", 2 * outputs, outputs, 3, 1, 1)
    return layers.found


@pytest.fixture(scope="module", params=["wan21", "wan22"])
def published(request: pytest.FixtureRequest) -> tuple[str, WanCodec]:
    with torch.device("meta"):
        return request.param, Wan21Codec(wan21()) if request.param == "wan21" else Wan22Codec(wan22())


def test_the_published_form_has_wans_names_and_shapes(published: tuple[str, WanCodec]) -> None:
    kind, codec = published
    expected = wan21_checkpoint() if kind == "wan21" else wan22_checkpoint()
    assert {name: tuple(value.shape) for name, value in codec.state_dict().items()} == expected


SIZES = {
    "wan21": (53_595_872, 73_295_331, 126_892_531, Compression(time=4, space=8)),
    "wan22": (149_627_776, 555_049_228, 704_688_668, Compression(time=4, space=16)),
}


def test_the_published_form_has_wans_size(published: tuple[str, WanCodec]) -> None:
    def numbers(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    kind, codec = published
    found = (numbers(codec.encoder), numbers(codec.decoder), numbers(codec), codec.config.compression)
    assert found == SIZES[kind]
