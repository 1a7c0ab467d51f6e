"""World points to pixels: the exact inverse of the rays that the renderer sends.

Axes in names: P points, 2 pixels (x right, y down; the first pixel's centre is (0.5, 0.5)), 3 world, 34 camera pose.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["focal_length", "project", "unproject"]

Array = npt.NDArray[np.float64]


def focal_length(fov: Array | float, height: int, width: int) -> Array:
    """Pixels per unit of tangent; `fov` is the angle across the shorter side, radians."""
    return np.asarray(0.5 * min(height, width) / np.tan(0.5 * np.asarray(fov)))


def project(points_P3: Array, pose_34: Array, fov: float, height: int, width: int) -> tuple[Array, Array]:
    """Pixels (P, 2) and depths (P), metres along the view axis. Where depth <= 0 a point is behind, its pixel NaN."""
    camera_P3 = (points_P3 - pose_34[:, 3]) @ pose_34[:, :3]
    depth_P = camera_P3[:, 2]
    ahead_P1 = np.where(depth_P > 0.0, depth_P, np.nan)[:, None]
    middle_2 = np.array([0.5 * width, 0.5 * height])
    return camera_P3[:, :2] / ahead_P1 * focal_length(fov, height, width) + middle_2, depth_P


def unproject(pixels_P2: Array, depth_P: Array, pose_34: Array, fov: float, height: int, width: int) -> Array:
    """World points (P, 3) seen at pixels (P, 2) at depths (P)."""
    across_P2 = (pixels_P2 - np.array([0.5 * width, 0.5 * height])) / focal_length(fov, height, width)
    camera_P3 = np.concatenate([across_P2, np.ones_like(across_P2[:, :1])], 1) * depth_P[:, None]
    return np.asarray(camera_P3 @ pose_34[:, :3].T + pose_34[:, 3])
