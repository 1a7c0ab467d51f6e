"""Clips made for the codec's tests: coloured squares gliding over gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kinora.codec import Codec, CodecConfig, LinearBasis, measure_patches
from kinora.core.shapes import Compression

ClipMaker = Callable[..., Tensor]


def gliding_squares(seed: int, *, frames: int = 9, size: int = 32, batch: int = 1) -> Tensor:
    """A video (batch, 3, frames, size, size) in [-1, 1]; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    clips = []
    for _ in range(batch):
        slope_33, paint_3 = torch.randn(3, 3, generator=generator) * 0.3, torch.rand(3, generator=generator) * 2 - 1
        start_2, step_2 = torch.rand(2, generator=generator) - 0.5, torch.randn(2, generator=generator) * 0.04
        ground_3HW = torch.einsum("ck,khw->chw", slope_33, torch.stack([rows, columns, torch.ones_like(rows)]))
        pictures = []
        for frame in range(frames):
            y, x = (start_2 + step_2 * frame).tolist()
            inside_HW = ((rows - y).abs() < 0.3) & ((columns - x).abs() < 0.3)
            pictures.append(torch.where(inside_HW, paint_3[:, None, None], ground_3HW))
        clips.append(torch.stack(pictures, dim=1))
    return torch.stack(clips).clamp(-1, 1)


@pytest.fixture(scope="session")
def make_clip() -> ClipMaker:
    return gliding_squares


@pytest.fixture(scope="session")
def small_config() -> CodecConfig:
    return CodecConfig(
        compression=Compression(time=4, space=8),
        channels=12,
        trunk_width=16,
        trunk_blocks=2,
        picture_features=8,
        picture_width=16,
        picture_blocks=1,
    )


@pytest.fixture(scope="session")
def small_basis(small_config: CodecConfig) -> LinearBasis:
    return measure_patches([gliding_squares(seed) for seed in range(24)], small_config.compression).basis()


@pytest.fixture
def fitted(small_config: CodecConfig, small_basis: LinearBasis) -> Codec:
    """A small codec at its linear optimum for gliding squares."""
    codec = Codec(small_config)
    codec.use_basis(small_basis)
    return codec


@pytest.fixture
def trained_like(fitted: Codec) -> Codec:
    """The same with a correction that is not zero, so that streams and causality are really tested."""
    assert fitted.decoder is not None
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in fitted.decoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return fitted


def give_random_weights(module: nn.Module) -> None:
    """Random weights everywhere, also where training would start at ones or zeros; nothing is neutral."""
    generator = torch.Generator().manual_seed(3)
    module.requires_grad_(False).eval()
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = parameter[0].numel() if parameter.ndim > 1 and "gamma" not in name else 1
        parameter.copy_(1 + 0.2 * noise if "gamma" in name else noise * (0.1 if fan_in == 1 else fan_in**-0.5))


@pytest.fixture(scope="session")
def randomise() -> Callable[[nn.Module], None]:
    return give_random_weights
