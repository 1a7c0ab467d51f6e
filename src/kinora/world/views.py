"""Views: every (scene, frame) of a chunk as a camera, and the rays that leave it.

Axes in names: V views, S scenes of the chunk, R rays of a list, 3 and 33 vectors and matrices (always before the list
axis, so that each component lies contiguous in memory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinora.world.projection import focal_length
from kinora.world.scene import States

__all__ = ["Rays", "Views", "dot", "make_views", "normalised", "pixel_rays"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """Cameras, one for each frame of each scene, scene after scene."""

    position_3V: Tensor
    rotation_33V: Tensor
    """Columns are right, down, forward: `world_i = sum_j rotation[i, j] camera_j`."""
    focal_V: Tensor
    """Pixels per unit of tangent."""
    time_V: Tensor
    scene_V: Tensor
    height: int
    width: int
    scenes: int
    standing: bool
    """All views look from one place in one direction."""
    host_pose_V34: np.ndarray
    host_focal_V: np.ndarray
    host_scene_V: np.ndarray

    @property
    def count(self) -> int:
        return int(self.focal_V.shape[0])

    def columns(self, table: Tensor, view_R: Tensor) -> Tensor:
        """Columns of a per-view table for each ray; one column to broadcast where all views are alike."""
        return table[..., :1] if self.standing else table.index_select(-1, view_R)

    def by_scene(self, table: Tensor, view_R: Tensor) -> Tensor:
        """Columns of a per-scene table for each ray; one column to broadcast where there is one scene."""
        return table[..., :1] if self.scenes == 1 else table.index_select(-1, self.scene_V.index_select(0, view_R))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rays:
    """Rays of a list. `direction_3R` has length one along the view axis, so the ray parameter is the depth."""

    origin_3R: Tensor
    direction_3R: Tensor
    view_R: Tensor

    def at(self, index_P: Tensor) -> Rays:
        """The rays of a sub-list."""
        shared = self.origin_3R.shape[-1] == 1
        return Rays(
            origin_3R=self.origin_3R if shared else self.origin_3R.index_select(1, index_P),
            direction_3R=self.direction_3R.index_select(1, index_P),
            view_R=self.view_R.index_select(0, index_P),
        )

    def point(self, depth_R: Tensor) -> Tensor:
        """Where each ray is at a depth, (3, R)."""
        return torch.addcmul(self.origin_3R, self.direction_3R, depth_R)


def dot(a_3R: Tensor, b_3R: Tensor) -> Tensor:
    """Inner product over the leading axis of length 3 (spelt out: reductions over a short axis are slow)."""
    return torch.addcmul(torch.addcmul(a_3R[0] * b_3R[0], a_3R[1], b_3R[1]), a_3R[2], b_3R[2])


def normalised(a_3R: Tensor) -> Tensor:
    """The same directions with length one."""
    return a_3R * dot(a_3R, a_3R).clamp_min(1e-20).rsqrt()


def make_views(states: Sequence[States], height: int, width: int, device: torch.device) -> Views:
    """One view for each frame of each scene's states."""
    pose_V34 = np.concatenate([one.camera_pose_F34 for one in states])
    fov_V = np.concatenate([one.camera_fov_F for one in states])
    time_V = np.concatenate([one.time_F for one in states])
    scene_V = np.repeat(np.arange(len(states)), [len(one.time_F) for one in states])
    standing = bool(np.all(pose_V34 == pose_V34[:1]) and np.all(fov_V == fov_V[:1]))

    def table(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

    return Views(
        position_3V=table(pose_V34[:, :, 3].T),
        rotation_33V=table(pose_V34[:, :, :3].transpose(1, 2, 0)),
        focal_V=table(focal_length(fov_V, height, width)),
        time_V=table(time_V),
        scene_V=torch.from_numpy(scene_V).to(device),
        height=height,
        width=width,
        scenes=len(states),
        standing=standing,
        host_pose_V34=pose_V34,
        host_focal_V=focal_length(fov_V, height, width),
        host_scene_V=scene_V,
    )


def pixel_rays(views: Views, view_R: Tensor, x_R: Tensor, y_R: Tensor) -> Rays:
    """Rays through picture positions in pixels (x right, y down, pixel centres at +0.5)."""
    inverse_focal = 1.0 / views.columns(views.focal_V, view_R)
    right_R = (x_R - 0.5 * views.width) * inverse_focal
    down_R = (y_R - 0.5 * views.height) * inverse_focal
    axes = views.columns(views.rotation_33V, view_R)
    direction_3R = torch.addcmul(torch.addcmul(axes[:, 2], axes[:, 0], right_R), axes[:, 1], down_R)
    return Rays(origin_3R=views.columns(views.position_3V, view_R), direction_3R=direction_3R, view_R=view_R)
