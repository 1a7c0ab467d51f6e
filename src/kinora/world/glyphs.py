"""Rows of an invented script: the kind of procedural picture that stands in for writing.

Axes in names: P pixels, G signs, K columns of the table of signs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.world.lattice import ROWS, Lattice, coverage, random_colours

__all__ = ["glyphs"]

SIGNS = 32
STROKES = 4
ASPECT = 1.45
"""Height of a row over the width of a sign."""


def glyphs(rng: np.random.Generator, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """A ground of one colour covered with rows of signs from a random alphabet, with gaps like spaces between words."""
    ground, ink = _ground_and_ink(rng)
    ground_3, ink_3 = torch.as_tensor(ground, device=device), torch.as_tensor(ink, device=device)
    lattice = Lattice.draw(rng, device)
    alphabet_GK = torch.as_tensor(_alphabet(rng), device=device)
    # Which sign a cell holds; the last one is empty.
    sign = np.where(rng.uniform(size=ROWS) < 0.16, SIGNS, rng.integers(0, SIGNS, ROWS))
    sign_R = torch.as_tensor(sign, device=device)
    width, stroke = float(np.exp(rng.uniform(np.log(0.035), np.log(0.13)))), float(rng.uniform(0.045, 0.085))

    def paint(point_P2: Tensor, footprint_P: Tensor) -> Tensor:
        x_P, y_P = point_P2[:, 0] / width, point_P2[:, 1] / (width * ASPECT)
        i_P, j_P = x_P.floor(), y_P.floor()
        sign_P = sign_R[lattice.rows(i_P, j_P)]
        distance_P = _distance(x_P - i_P, (y_P - j_P) * ASPECT, alphabet_GK[sign_P]) - stroke
        ink_P = coverage(distance_P, footprint_P / width, 2 * stroke)
        return torch.lerp(ground_3, ink_3, ink_P[:, None])

    return paint


def _ground_and_ink(rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two colours that can be told apart: light on dark or dark on light."""
    dark, light = random_colours(rng, 2)
    dark, light = 0.15 * dark, 0.35 + 0.6 * light
    return (light, dark) if rng.uniform() < 0.65 else (dark, light)


def _alphabet(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Signs (SIGNS + 1, 4 * STROKES + 3): the ends of straight strokes on a 3 x 4 grid of points, then a ring; the
    last is empty.
    """
    x, y = np.array([0.2, 0.5, 0.8]), np.array([0.25, 0.55, 0.85, 1.15]) * ASPECT / 1.4
    sign_GK = np.zeros((SIGNS + 1, 4 * STROKES + 3))
    for g in range(SIGNS):
        column, row = rng.integers(3), rng.integers(4)
        for s in range(STROKES):
            # A stroke goes on from where the last one ended, or starts anew.
            if rng.uniform() < 0.4:
                column, row = rng.integers(3), rng.integers(4)
            start = x[column], y[row]
            if rng.uniform() < 0.8:
                column, row = (column + rng.integers(0, 3)) % 3, (row + rng.integers(1, 3)) % 4
            sign_GK[g, 4 * s : 4 * s + 4] = *start, x[column], y[row]
        ring = rng.uniform() < 0.45
        sign_GK[g, -3:] = (0.5, y[rng.integers(1, 3)], rng.uniform(0.12, 0.26)) if ring else (0.0, 0.0, -9.0)
    sign_GK[SIGNS] = -9.0
    return sign_GK.astype(np.float32)


def _distance(x_P: Tensor, y_P: Tensor, sign_PK: Tensor) -> Tensor:
    """Distance to the nearest stroke of a sign's middle line, in widths of a sign."""
    ring_x_P, ring_y_P, ring_P = sign_PK[:, -3:].unbind(-1)
    nearest_P = (torch.sqrt((x_P - ring_x_P) ** 2 + (y_P - ring_y_P) ** 2) - ring_P).abs()
    for s in range(STROKES):
        from_x_P, from_y_P, to_x_P, to_y_P = sign_PK[:, 4 * s : 4 * s + 4].unbind(-1)
        along_x_P, along_y_P = to_x_P - from_x_P, to_y_P - from_y_P
        x_off_P, y_off_P = x_P - from_x_P, y_P - from_y_P
        length_P = (along_x_P * along_x_P + along_y_P * along_y_P).clamp(min=1e-6)
        share_P = ((x_off_P * along_x_P + y_off_P * along_y_P) / length_P).clamp(0.0, 1.0)
        gap_P = torch.sqrt((x_off_P - share_P * along_x_P) ** 2 + (y_off_P - share_P * along_y_P) ** 2)
        nearest_P = torch.minimum(nearest_P, gap_P)
    return nearest_P
