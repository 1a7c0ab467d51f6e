"""Which noise levels a sampler visits, and which a training run draws.

Kinora's own schedule runs from exactly 1 to exactly 0. Wan's begins at 0.999 before the shift; diffusers' begins just
below 1 and steps towards 0.001 before it jumps to 0. Weights of the Wan family are sampled on theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.step import Velocity

__all__ = ["diffusers_schedule", "logit_normal", "schedule", "shifted", "wan_schedule", "whole_times"]


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """`shift s / (1 + (shift - 1) s)`: more of the way at high noise, as long clips need (Esser et al. 2024, eq.
    23).
    """
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def schedule(steps: int, shift: float = 1.0) -> Tensor:
    """`steps + 1` noise levels from exactly 1 down to exactly 0, float32."""
    _check(steps, shift)
    return shifted(torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64), shift).float()


def wan_schedule(steps: int, shift: float = 1.0) -> Tensor:
    """`steps + 1` noise levels as the Wan repositories have them (FlowUniPCMultistepScheduler.set_timesteps), float32.

    The first is a little below 1, which pure noise there counts as.
    """
    _check(steps, shift)
    # 1 - 1/1000 in single precision, whose rounding reaches the levels.
    start = torch.tensor(1.0 - 0.001, dtype=torch.float32).double()
    return _levels(start, torch.zeros((), dtype=torch.float64), steps, shift)


def diffusers_schedule(steps: int, shift: float = 1.0) -> Tensor:
    """`steps + 1` noise levels as diffusers has them (UniPCMultistepScheduler with `use_flow_sigmas`), float32."""
    _check(steps, shift)
    levels = _levels(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.001, dtype=torch.float64), steps, shift)
    levels[0] = 1.0 - 1e-6  # so that its logarithms are finite
    return levels


def whole_times(velocity: Velocity) -> Velocity:
    """`velocity` told 1000 sigma as a whole number, rounded down, as Wan's samplers tell their models; a solver around
    it keeps the exact levels.
    """

    def told(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        return velocity(x_BCTHW, (1000.0 * sigma_BTHW).floor() / 1000.0, position_BT)

    return told


def logit_normal(
    shape: tuple[int, ...], generator: torch.Generator, *, mean: float = 0.0, std: float = 1.0, shift: float = 1.0
) -> Tensor:
    """Noise levels `shifted(sigmoid(N(mean, std)))`, drawn on the generator's device (Esser et al. 2024, section
    3.1).
    """
    normal = torch.randn(shape, generator=generator, device=generator.device)
    return shifted(torch.sigmoid(mean + std * normal), shift)


def _check(steps: int, shift: float) -> None:
    if steps < 1:
        raise InputError(f"A film needs at least 1 denoising step, not {steps}.")
    if shift <= 0:
        raise InputError(f"The schedule's shift must be greater than 0, not {shift}; 1 leaves the steps evenly spaced.")


def _levels(start: Tensor, end: Tensor, steps: int, shift: float) -> Tensor:
    """`steps` levels evenly from `start` towards `end`, which is left out, shifted, and then 0."""
    even = start + (end - start) * torch.arange(steps, dtype=torch.float64) / steps
    return torch.cat([shifted(even, shift), torch.zeros(1, dtype=torch.float64)]).float()
