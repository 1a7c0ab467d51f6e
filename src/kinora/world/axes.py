"""Moving axes and rotations, from which figures and animals are put together.

Axes in names: F pixel frames, 3 and 33 vectors and matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Frame", "Vec3", "pointing", "turn_x", "turn_y", "turn_z", "vec3"]

Array = npt.NDArray[np.float64]
Vec3 = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A moving set of axes: a point p lies in the world at `origin + turn @ p`."""

    origin_F3: Array
    turn_F33: Array

    def moved(self, offset: Vec3, turn_F33: Array | None = None) -> Frame:
        """Axes whose origin lies at `offset` in these, turned further by `turn_F33`."""
        origin_F3 = self.origin_F3 + self.turn_F33 @ np.array(offset)
        return Frame(origin_F3=origin_F3, turn_F33=self.turn_F33 if turn_F33 is None else self.turn_F33 @ turn_F33)


def vec3(value_3: Array) -> Vec3:
    x, y, z = map(float, value_3)
    return x, y, z


def pointing(direction: Vec3) -> Array:
    """A rotation (1, 3, 3) that takes z to `direction`."""
    z_3 = np.array(direction) / np.linalg.norm(direction)
    x_3 = np.cross([0.0, 1.0, 0.0], z_3)
    x_3 = x_3 / np.linalg.norm(x_3)
    return np.column_stack([x_3, np.cross(z_3, x_3), z_3])[None]


def turn_x(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about x: positive takes the front (-y) down."""
    return _turn(angle_F, 1, 2)


def turn_y(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about y: positive takes z to x."""
    return _turn(angle_F, 2, 0)


def turn_z(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about z: positive turns to the own left."""
    return _turn(angle_F, 0, 1)


def _turn(angle_F: Array, first: int, second: int) -> Array:
    """Rotations that take axis `first` towards axis `second`."""
    turn_F33 = np.broadcast_to(np.eye(3), (len(angle_F), 3, 3)).copy()
    cosine_F, sine_F = np.cos(angle_F), np.sin(angle_F)
    turn_F33[:, first, first], turn_F33[:, second, second] = cosine_F, cosine_F
    turn_F33[:, second, first], turn_F33[:, first, second] = sine_F, -sine_F
    return turn_F33
