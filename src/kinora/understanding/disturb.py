"""What generation and files do to pictures, done to true renders, so that the reader reads generated clips as well.

Axes: B batch, K moments, C channels (3 picture, 3 change), S side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["disturb"]


_COARSEST = 32
"""Cells along a picture's side that is seen through the coarser mosaic; twice as many through the finer one."""


def disturb(moments_BKCSS: Tensor, generator: torch.Generator) -> Tensor:
    """Other light, blur, the mosaic of a coarse codec, and grain; each clip its own amounts, a quarter of the clips
    none.

    Contrast 0.85 to 1.15, light +-0.1, colour balance +-4% (colours must keep their names), grain up to 0.06.
    """
    batch = moments_BKCSS.shape[0]
    device = moments_BKCSS.device

    def amount(low: float, high: float, *sizes: int) -> Tensor:
        drawn = torch.rand(batch, *sizes, generator=generator, device=generator.device).to(device)
        return low + (high - low) * drawn

    touched = (amount(0, 1) < 0.75).float()[:, None, None, None, None]
    shown = moments_BKCSS.shape[2]
    gain_B = amount(0.85, 1.15, 1, 1, 1, 1) * amount(0.96, 1.04, 1, 3, 1, 1).repeat(1, 1, shown // 3, 1, 1)
    light_B = amount(-0.1, 0.1, 1, 1, 1, 1) * moments_BKCSS.new_tensor([1, 1, 1, 0, 0, 0])[:shown, None, None]
    x = moments_BKCSS * gain_B + light_B
    coarser = float(torch.rand((), generator=generator, device=generator.device)) < 0.4
    coarse = _coarse(x, factor=max(2, x.shape[-1] // (_COARSEST if coarser else 2 * _COARSEST)))
    x = torch.lerp(x, coarse, amount(-0.6, 0.9, 1, 1, 1, 1).clamp(min=0))
    grain = torch.randn(x.shape, generator=generator, device=generator.device).to(device)
    x = x + amount(0, 0.06, 1, 1, 1, 1) * grain
    return torch.lerp(moments_BKCSS, x, touched)


def _coarse(x_BKCSS: Tensor, factor: int) -> Tensor:
    """The pictures through a grid `factor` times as coarse."""
    flat = x_BKCSS.flatten(0, 1)
    small = functional.avg_pool2d(flat, factor)
    large = functional.interpolate(small, scale_factor=factor, mode="bilinear", align_corners=False)
    return large.view_as(x_BKCSS)
