"""A part: one unit solid under an affine map. Bodies and figures are made of parts; parts are all the tracer knows.

Axes in names: F pixel frames, 3 and 33 vectors and matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ANIMAL_OWNER", "FIGURE_OWNER", "KINDS", "PANEL_OWNER", "ROPE_OWNER", "STRING_OWNER", "Part"]

KINDS = ("sphere", "cube", "cylinder", "cone")
"""Unit solids inside the box [-1, 1]^3: cylinder and cone stand along z, the cone's tip at z = 1, base at z = -1."""

FIGURE_OWNER = 32
"""Owner ids: 0 sky, 1 ground, 2 + i body i, 32 + m figure m, 48 + a animal a, 56 + r rope r with its frame, 60 + i the
string of body i with its frame, 64 + p panel p."""
ANIMAL_OWNER, ROPE_OWNER, STRING_OWNER, PANEL_OWNER = 48, 56, 60, 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A solid posed at every frame. A unit point u lies in the world at `centre + rotation @ (half * u)`."""

    kind: str
    """One of `KINDS`."""
    centre_F3: npt.NDArray[np.float64]
    """Where its middle is, metres."""
    rotation_F33: npt.NDArray[np.float64]
    """Part-to-world rotation, orthonormal."""
    half_3: tuple[float, float, float]
    """Half extents along its own axes, metres: a sphere of three different ones is an ellipsoid."""
    rgb: tuple[float, float, float]
    """Linear RGB in [0, 1]."""
    material: str
    """A value of the slot `body.material`."""
    owner: int
    """Id that `Rendered.ids_BFHW` shows where this part is seen; at least 2."""
    paint: str | None = None
    """None: the material's own look. "face": a sphere that `paint_face` draws on, -y (its own front) being the nose."""
