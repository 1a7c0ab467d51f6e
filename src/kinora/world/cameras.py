"""Where the camera is at each moment, from its declared path.

A move starts from rest: its speed grows steadily over the first `RAMP_SECONDS` and is constant from then on.
"Left", "right" and "clockwise" are those of the person behind the camera.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.core.poses import look_at, rotation_about
from kinora.core.slots import CAMERAS
from kinora.world.scene import CameraPath

__all__ = ["RAMP_SECONDS", "camera_path", "start_pose"]

Array = npt.NDArray[np.float64]

RAMP_SECONDS = 0.4
UP_3 = np.array([0.0, 0.0, 1.0])
RIGHT_3 = np.array([1.0, 0.0, 0.0])
FORWARD_3 = np.array([0.0, 0.0, 1.0])

SIGNS = {
    # Pan and orbit turn about the world's vertical, tilt and roll about the camera's own axes; signs are right-handed.
    "pan_left": 1.0,
    "pan_right": -1.0,
    "tilt_up": 1.0,
    "tilt_down": -1.0,
    "roll_clockwise": 1.0,
    "roll_counterclockwise": -1.0,
    "zoom_in": 1.0,
    "zoom_out": -1.0,
    "dolly_in": 1.0,
    "dolly_out": -1.0,
    "orbit_left": -1.0,
    "orbit_right": 1.0,
    "still": 0.0,
}


def start_pose(path: CameraPath) -> Array:
    """The pose (3, 4) at time 0."""
    return look_at(np.array(path.position), np.array(path.target))


def camera_path(path: CameraPath, time_F: Array) -> tuple[Array, Array]:
    """Poses (F, 3, 4) and fields of view (F,) in radians at the given times in seconds; raises `InputError` on an
    unknown kind.
    """
    if path.kind not in CAMERAS:
        raise InputError(f"There is no camera move {path.kind!r}; choose one of {', '.join(CAMERAS)}.")
    pose_34 = start_pose(path)
    amount_F = SIGNS[path.kind] * path.rate * _travelled(time_F)
    pose_F34 = np.repeat(pose_34[None], len(time_F), axis=0)
    fov_F = np.full(len(time_F), path.fov)
    move = path.kind.split("_")[0]
    if move == "zoom":
        fov_F = 2.0 * np.arctan(np.tan(path.fov / 2.0) * np.exp(-amount_F))
    elif move == "dolly":
        ahead_3 = pose_34[:, 2] * np.array([1.0, 1.0, 0.0])
        pose_F34[:, :, 3] += amount_F[:, None] * ahead_3 / np.linalg.norm(ahead_3)
    elif move != "still":
        pose_F34[:] = [_turned(path, pose_34, move, float(amount)) for amount in amount_F]
    return pose_F34, fov_F


def _turned(path: CameraPath, pose_34: Array, move: str, angle: float) -> Array:
    rotation_33, position_3 = pose_34[:, :3], pose_34[:, 3]
    if move == "pan":
        rotation_33 = rotation_about(UP_3, angle) @ rotation_33
    elif move == "tilt":
        rotation_33 = rotation_33 @ rotation_about(RIGHT_3, angle)
    elif move == "roll":
        rotation_33 = rotation_33 @ rotation_about(FORWARD_3, angle)
    else:
        turn_33 = rotation_about(UP_3, angle)
        target_3 = np.array(path.target)
        rotation_33, position_3 = turn_33 @ rotation_33, target_3 + turn_33 @ (position_3 - target_3)
    return np.column_stack([rotation_33, position_3])


def _travelled(time_F: Array) -> Array:
    """Seconds' worth of full speed passed by each moment: quadratic through the ramp, then linear."""
    return np.where(time_F < RAMP_SECONDS, time_F**2 / (2.0 * RAMP_SECONDS), time_F - RAMP_SECONDS / 2.0)
