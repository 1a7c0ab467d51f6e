"""A camera move, drawn: every frame of a guide as seen from where the camera then is.

A camera that only turns or zooms sees the same picture through a homography, exact whatever the depths are. For travel
and orbits depths are needed, and a single picture has none; so the picture is taken for a view of the simplest stage
there is, level ground and a far wall. What stands upright on the ground is wrong there (it lies flat), and the cap of
frames seen from another place is higher for it.

Axes: F frames, H W pixels, C channels; 34 a camera's pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.control.guide import Guide
from kinora.core.camera import CameraTrack
from kinora.core.errors import ShapeError

__all__ = ["CameraLevels", "Stage", "camera_guide"]

CHUNK = 4
"""Frames warped at a time: few enough that their pixel maps stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Level ground and a wall behind it, in units of the distance to what the camera looks at.

    The defaults are the theatre's wide view: 6 m away, 1.7 m high, looking at 0.8 m, a wall some 11 m away.
    """

    fov: float = 0.72
    """Angle across the picture's shorter side, radians."""
    looks_down: float = 0.15
    """How far below the horizon the camera looks, radians: puts the horizon at 0.3 of a square picture's height."""
    height: float = 0.28
    """How high the camera stands over the ground."""
    wall: float = 1.9
    """How far away the wall stands, level."""


@dataclass(frozen=True, kw_only=True)
class CameraLevels:
    """How noisy a pixel may get for having been moved by the camera. Judged by eye, as those of the brush."""

    turned: float = 0.05
    """After turns and zooms, which are exact: enough to make good what interpolation has softened."""
    travelled: float = 0.4
    """After travel, whose depths are guessed: things that stand upright must be set up again."""
    far: float = 0.15
    """Travel, in distances to what the camera looks at, from which on `travelled` holds; before, it grows evenly."""
    outside: float = 1.0
    """What the first picture did not show is free."""


def camera_guide(
    guide: Guide, track: CameraTrack, *, stage: Stage | None = None, levels: CameraLevels | None = None
) -> Guide:
    """The guide as the moving camera sees it. A guide of one frame stands for as many as the track has.

    A pixel's own cap moves with it, and the camera's is added as a maximum: what was dragged and then seen from
    elsewhere is no better known than the less certain of the two, and what was free stays free. So a brush and a
    camera are both obeyed. Where the camera has not moved, frame and caps are returned as they are.
    Raises `ShapeError` when guide and track differ in length.
    """
    stage, levels = stage or Stage(), levels or CameraLevels()
    frames = len(track.pose_F34)
    if len(guide.frames_FHW3) not in (1, frames):
        raise ShapeError(f"A guide of {len(guide.frames_FHW3)} frames cannot follow a camera of {frames} frames.")
    rgb_FHW3 = np.broadcast_to(guide.frames_FHW3, (frames, *guide.frames_FHW3.shape[1:])).copy()
    cap_FHW = np.broadcast_to(guide.cap_FHW, (frames, *guide.cap_FHW.shape[1:])).copy()
    still_34 = np.eye(3, 4)
    moved = [f for f in range(frames) if not (track.zoom_F[f] == 1.0 and np.array_equal(track.pose_F34[f], still_34))]
    for start in range(0, len(moved), CHUNK):
        chosen = moved[start : start + CHUNK]
        seen_FCHW, outside_FHW = _seen(rgb_FHW3[chosen], cap_FHW[chosen], track, chosen, stage)
        rgb_FHW3[chosen] = seen_FCHW[:, :3].permute(0, 2, 3, 1).round_().to(torch.uint8).numpy()
        travel_F = np.linalg.norm(track.pose_F34[chosen, :, 3], axis=1)
        share_F = torch.from_numpy(np.minimum(travel_F / levels.far, 1.0)).float()
        least_F = levels.turned + share_F * (levels.travelled - levels.turned)
        known_FHW = torch.maximum(seen_FCHW[:, 3], least_F[:, None, None])
        cap_FHW[chosen] = torch.where(outside_FHW, levels.outside, known_FHW).numpy()
    return Guide(frames_FHW3=rgb_FHW3, cap_FHW=cap_FHW)


def _seen(
    rgb_FHW3: npt.NDArray[np.uint8],
    cap_FHW: npt.NDArray[np.float32],
    track: CameraTrack,
    chosen: list[int],
    stage: Stage,
) -> tuple[Tensor, Tensor]:
    """Colours and caps (F, 4, H, W) of some frames from the moved cameras, and what lies outside the source."""
    height, width = cap_FHW.shape[1:]
    source_FCHW = torch.cat(
        [torch.from_numpy(rgb_FHW3).permute(0, 3, 1, 2).float(), torch.from_numpy(cap_FHW)[:, None]], dim=1
    ).contiguous()
    x_FHW, y_FHW = _source_shares(
        torch.from_numpy(track.pose_F34[chosen]).float(),
        torch.from_numpy(track.zoom_F[chosen]).float(),
        stage,
        height,
        width,
    )
    outside_FHW = (x_FHW.abs() > 1.0) | (y_FHW.abs() > 1.0)
    # Beyond its edges the picture is mirrored: a cell half outside then starts from something like its other half.
    grid_FHW2 = torch.stack([x_FHW, y_FHW], dim=-1)
    seen_FCHW = functional.grid_sample(source_FCHW, grid_FHW2, padding_mode="reflection", align_corners=False)
    return seen_FCHW, outside_FHW


def _source_shares(pose_F34: Tensor, zoom_F: Tensor, stage: Stage, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where in the first camera's picture each pixel of each frame comes from: x and y (F, H, W) in [-1, 1].

    A pixel's ray meets the ground or the wall, whichever comes first; that point is projected into the first camera.
    What meets neither is infinitely far, what lies behind the first camera far outside.
    """
    focal = 0.5 * min(height, width) / math.tan(0.5 * stage.fov)
    x_W = torch.arange(width) + 0.5 - 0.5 * width
    y_H1 = (torch.arange(height) + 0.5 - 0.5 * height)[:, None]
    # Rows of the rotation give the ray's components along the first camera's axes; only its direction counts.
    ray_FHW = [
        (row_F3[:, 0, None, None] * x_W + row_F3[:, 1, None, None] * y_H1) / (focal * zoom_F[:, None, None])
        + row_F3[:, 2, None, None]
        for row_F3 in pose_F34[:, :, :3].unbind(1)
    ]
    place_F11 = [axis_F[:, None, None] for axis_F in pose_F34[:, :, 3].unbind(1)]
    nearness_FHW = _nearness(ray_FHW, place_F11, stage)
    right_FHW, down_FHW, ahead_FHW = (
        torch.addcmul(direction, nearness_FHW, origin.expand_as(direction))
        for direction, origin in zip(ray_FHW, place_F11, strict=True)
    )
    behind_FHW = ahead_FHW <= 1e-4
    scale_FHW = focal / ahead_FHW.masked_fill_(behind_FHW, 1e-4)
    x_FHW, y_FHW = right_FHW * scale_FHW * (2.0 / width), down_FHW * scale_FHW * (2.0 / height)
    far = 1e3
    return x_FHW.masked_fill_(behind_FHW, far).clamp_(-far, far), y_FHW.masked_fill_(behind_FHW, far).clamp_(-far, far)


def _nearness(ray_FHW: list[Tensor], place_F11: list[Tensor], stage: Stage) -> Tensor:
    """One over how many ray lengths away (F, H, W) the stage is met; 0 for what is infinitely far."""
    down, level = math.sin(stage.looks_down), math.cos(stage.looks_down)
    # The stage's own axes in the first camera's: below is (0, level, down), ahead (0, -down, level).
    below_FHW, ahead_FHW = level * ray_FHW[1] + down * ray_FHW[2], level * ray_FHW[2] - down * ray_FHW[1]
    over_ground_F11 = stage.height - (level * place_F11[1] + down * place_F11[2])
    before_wall_F11 = stage.wall - (level * place_F11[2] - down * place_F11[1])
    ground_FHW = below_FHW / over_ground_F11.clamp(min=1e-3)
    wall_FHW = ahead_FHW / before_wall_F11.clamp(min=1e-3)
    return torch.maximum(ground_FHW, wall_FHW).clamp_(min=0.0)
