"""Classifier-free guidance (Ho and Salimans 2022)."""

from __future__ import annotations

from torch import Tensor

from kinora.flow.solvers import Velocity

__all__ = ["guided"]


def guided(conditional: Velocity, unconditional: Velocity, scale: float) -> Velocity:
    """`v_u + scale (v_c - v_u)`; at scale 1 the unconditional velocity is never asked for."""
    if scale == 1.0:
        return conditional

    def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        without_BCTHW = unconditional(x_BCTHW, sigma_BTHW, position_BT)
        return without_BCTHW + scale * (conditional(x_BCTHW, sigma_BTHW, position_BT) - without_BCTHW)

    return velocity
