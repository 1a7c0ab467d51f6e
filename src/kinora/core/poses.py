"""Camera poses: 3 x 4 camera-to-world matrices [rotation | position].

World axes: x right, y away from the starting camera, z up, metres. Camera axes: x right, y down, z forward.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["look_at", "relative_poses", "rotation_about"]

Array = npt.NDArray[np.float64]


def rotation_about(axis_3: Array, angle: float) -> Array:
    """Rotation matrix (3, 3) by `angle` radians about a unit axis (Rodrigues)."""
    x, y, z = axis_3
    cross_33 = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross_33 + (1.0 - np.cos(angle)) * cross_33 @ cross_33


def look_at(position_3: Array, target_3: Array) -> Array:
    """The pose (3, 4) of a level camera at `position_3` that has `target_3` in its centre."""
    forward_3 = target_3 - position_3
    forward_3 = forward_3 / np.linalg.norm(forward_3)
    right_3 = np.cross(forward_3, np.array([0.0, 0.0, 1.0]))
    right_3 = right_3 / np.linalg.norm(right_3)
    down_3 = np.cross(forward_3, right_3)
    return np.column_stack([right_3, down_3, forward_3, position_3])


def relative_poses(pose_F34: Array) -> Array:
    """Poses (F, 3, 4) told from the first camera's own frame; the first becomes the identity."""
    rotation_33, position_3 = pose_F34[0, :, :3], pose_F34[0, :, 3]
    rotation_F33 = rotation_33.T @ pose_F34[:, :, :3]
    position_F3 = (pose_F34[:, :, 3] - position_3) @ rotation_33
    return np.concatenate([rotation_F33, position_F3[:, :, None]], axis=2)
