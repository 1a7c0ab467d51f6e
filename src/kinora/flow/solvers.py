"""From noise to latents: the equation dx / dsigma = v, walked down a schedule.

A cell's own level is `min(sigma, cap)`, so a step is a different length in different cells, and a cell whose level
does not change is not touched at all. Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.state import LatentState

__all__ = ["SOLVERS", "OnStep", "Velocity", "sample"]

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x_BCTHW, sigma_BTHW, position_BT) -> v_BCTHW."""

OnStep = Callable[[int, int], None]
"""Told (steps done, steps in all) after each step; may raise `Cancelled`."""

SOLVERS = ("euler", "heun", "ab2")
"""Euler: first order. Heun: second order, two evaluations a step. ab2 (Adams-Bashforth): second order, one
evaluation a step.
"""


@torch.no_grad()
def sample(
    velocity: Velocity,
    state: LatentState,
    sigmas: Tensor,
    solver: str = "euler",
    on_step: OnStep | None = None,
) -> Tensor:
    """The latents (B, C, T, H, W) that `state` becomes when the schedule has reached its end."""
    if solver not in SOLVERS:
        raise InputError(f"There is no solver {solver!r}; choose one of {', '.join(SOLVERS)}.")
    levels = [float(sigma) for sigma in sigmas]
    x_BCTHW = state.at(levels[0])
    before: tuple[Tensor, Tensor] | None = None
    for i in range(len(levels) - 1):
        now_BTHW, next_BTHW = state.sigma_at(levels[i]), state.sigma_at(levels[i + 1])
        step_B1THW = (next_BTHW - now_BTHW)[:, None]
        v_BCTHW = velocity(x_BCTHW, now_BTHW, state.position_BT)
        slope_BCTHW = v_BCTHW
        if solver == "heun":
            there_BCTHW = velocity(_advance(x_BCTHW, step_B1THW, v_BCTHW), next_BTHW, state.position_BT)
            slope_BCTHW = 0.5 * (v_BCTHW + there_BCTHW)
        elif solver == "ab2" and before is not None:
            # A cell whose cap lies inside the last step came in late: it has no whole step to extrapolate from.
            whole_B1THW = (state.cap_BTHW >= levels[i - 1])[:, None]
            slope_BCTHW = torch.where(whole_B1THW, _extrapolated(v_BCTHW, step_B1THW, *before), v_BCTHW)
        x_BCTHW = _advance(x_BCTHW, step_B1THW, slope_BCTHW)
        before = v_BCTHW, step_B1THW
        if on_step is not None:
            on_step(i + 1, len(levels) - 1)
    return x_BCTHW


def _advance(x_BCTHW: Tensor, step_B1THW: Tensor, slope_BCTHW: Tensor) -> Tensor:
    """One straight step; cells whose level stays are returned bit for bit."""
    return torch.where(step_B1THW == 0, x_BCTHW, x_BCTHW + step_B1THW * slope_BCTHW)


def _extrapolated(v_BCTHW: Tensor, step_B1THW: Tensor, last_v_BCTHW: Tensor, last_step_B1THW: Tensor) -> Tensor:
    """The slope at the middle of this step, on the line through the last two: v + r / 2 (v - v_last), r = step /
    last step.
    """
    moved_B1THW = last_step_B1THW != 0
    ratio_B1THW = torch.where(moved_B1THW, step_B1THW / torch.where(moved_B1THW, last_step_B1THW, 1.0), 0.0)
    return v_BCTHW + 0.5 * ratio_B1THW * (v_BCTHW - last_v_BCTHW)
