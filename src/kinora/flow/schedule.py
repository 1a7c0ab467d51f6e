"""Which noise levels a sampler visits, and which a training run draws."""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.core.errors import InputError

__all__ = ["logit_normal", "schedule", "shifted"]


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """`shift s / (1 + (shift - 1) s)`: more of the way at high noise, as long clips need (Esser et al. 2024, eq.
    23).
    """
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def schedule(steps: int, shift: float = 1.0) -> Tensor:
    """`steps + 1` noise levels from exactly 1 down to exactly 0, float32."""
    if steps < 1:
        raise InputError(f"A film needs at least 1 denoising step, not {steps}.")
    if shift <= 0:
        raise InputError(f"The schedule's shift must be greater than 0, not {shift}; 1 leaves the steps evenly spaced.")
    return shifted(torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64), shift).float()


def logit_normal(
    shape: tuple[int, ...], generator: torch.Generator, *, mean: float = 0.0, std: float = 1.0, shift: float = 1.0
) -> Tensor:
    """Noise levels `shifted(sigmoid(N(mean, std)))`, drawn on the generator's device (Esser et al. 2024, section
    3.1).
    """
    normal = torch.randn(shape, generator=generator, device=generator.device)
    return shifted(torch.sigmoid(mean + std * normal), shift)
