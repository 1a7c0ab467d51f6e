"""Classifier-free guidance (Ho and Salimans 2022). Axes: B batch, C channels, T latent frames, H W latent grid."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kinora.flow.step import Velocity

__all__ = ["Pair", "Scale", "guided", "guided_pair"]

Pair = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(x_BCTHW, sigma_BTHW, position_BT) -> v_BCTHW with the prompt, v_BCTHW without it: one call for both."""

Scale = float | Callable[[float], float]
"""A factor, or one for each noise level: a model of two experts wants another in each (Wan 2.2)."""


def guided(conditional: Velocity, unconditional: Velocity, scale: float, floor: float = 0.0) -> Velocity:
    """`v_u + scale (v_c - v_u)`, and `v_c` for clips that have no cell at level `floor` or above; at scale 1 the
    unconditional velocity is never asked for.
    """
    if scale == 1.0:
        return conditional

    def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        without_BCTHW = unconditional(x_BCTHW, sigma_BTHW, position_BT)
        high_B1111 = (sigma_BTHW.amax(dim=(1, 2, 3)) >= floor)[:, None, None, None, None]
        factor_B1111 = high_B1111.to(without_BCTHW.dtype) * (scale - 1.0) + 1.0
        return without_BCTHW + factor_B1111 * (conditional(x_BCTHW, sigma_BTHW, position_BT) - without_BCTHW)

    return velocity


def guided_pair(both: Pair, scale: Scale) -> Velocity:
    """The same where one call gives both sides, as a batch of two does.

    A scale that depends on the level is asked for the highest that any cell has, which is the schedule's own wherever
    a cell is free. Where the scale is 1 throughout, ask for the side with the prompt alone: half the work.
    """

    def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        factor = scale(float(sigma_BTHW.max())) if callable(scale) else scale
        with_BCTHW, without_BCTHW = both(x_BCTHW, sigma_BTHW, position_BT)
        return without_BCTHW + factor * (with_BCTHW - without_BCTHW)

    return velocity
