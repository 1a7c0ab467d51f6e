"""Random tables on endless lattices: the randomness of pictures, fixed by a seed and the same on every device.

A lattice gives every integer cell of the plane one of 256 rows, by looking twice into a shuffled table (the
permutation hash of K. Perlin, "An image synthesizer", 1985). Tables are drawn by NumPy, so only exact integer
look-ups happen on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["ROWS", "Lattice", "coverage", "linear_rgb", "random_colours"]

ROWS = 256
"""Distinct cells of a lattice; it repeats after as many cells along each axis."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """A shuffled table on a device."""

    shuffle_R: Tensor

    @classmethod
    def draw(cls, rng: np.random.Generator, device: torch.device) -> Lattice:
        """A new lattice; draws from `rng` once."""
        return cls(shuffle_R=torch.as_tensor(rng.permutation(ROWS), device=device))

    def rows(self, i_P: Tensor, j_P: Tensor, layer: int = 0) -> Tensor:
        """The row, int64 in [0, ROWS), of the cells (i, j), given as whole float32 numbers; layers are independent
        lattices.
        """
        across_P = self.shuffle_R[(i_P.long() + 89 * layer) & (ROWS - 1)]
        return self.shuffle_R[(across_P + j_P.long()) & (ROWS - 1)]


def coverage(distance_P: Tensor, footprint_P: Tensor, thickness: Tensor | float | None = None) -> Tensor:
    """Share of a footprint inside a shape, in [0, 1], from the signed distance to its edge (negative inside).

    Exact for a straight edge under a box filter. A shape only `thickness` thick (its narrowest extent) also loses
    what lies beyond its far edge.
    """
    near_P = (0.5 - distance_P / footprint_P).clamp(0.0, 1.0)
    if thickness is None:
        return near_P
    return near_P - (0.5 - (distance_P + thickness) / footprint_P).clamp(0.0, 1.0)


def linear_rgb(srgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """sRGB values in [0, 1] to linear ones (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def random_colours(rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Linear RGB (count, 3) of one random mood: vivid or muted, narrow or wide in hue, dark to light."""
    hue = rng.uniform() + rng.uniform(0.06, 1.0) * rng.uniform(-0.5, 0.5, count)
    saturation = rng.uniform(0.1, 1.0) * rng.uniform(0.5, 1.0, count)
    value = rng.uniform(0.05, 1.0, count) ** rng.uniform(0.4, 1.1)
    wheel = np.abs((hue[:, None] + np.array([0.0, 2 / 3, 1 / 3])) % 1.0 * 6.0 - 3.0) - 1.0
    pure = 1.0 - saturation[:, None] * (1.0 - np.clip(wheel, 0.0, 1.0))
    return linear_rgb(np.clip(value[:, None] * pure, 0.0, 1.0))
