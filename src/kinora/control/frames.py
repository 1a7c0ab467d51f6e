"""Conditions told frame by frame, in the form that the transformer takes them.

Training and pipeline share these definitions: what a model was taught is what it is asked.

Axes: B batch, F pixel frames, T latent frames, S mouth numbers, 34 a pose, H W latent grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.camera import CameraTrack
from kinora.core.poses import relative_poses
from kinora.core.shapes import Compression
from kinora.core.visemes import MOUTH_AXES

__all__ = ["face_mask", "mouth_windows", "pose_of_track", "pose_vectors"]

Array = npt.NDArray[np.float32]

_PATCH_FRAMES = Compression().time

STAGE_DISTANCE = 6.0
"""Metres from the theatre's camera to what it looks at, in its wide view: what a track's unit comes to."""


def pose_vectors(pose_F34: npt.NDArray[np.float64], latent_frames: npt.NDArray[np.int64]) -> Array:
    """Pose (T, 12) of each latent frame, taken at its last pixel frame, relative to the first pixel frame."""
    relative_F34 = relative_poses(pose_F34)
    return relative_F34[_PATCH_FRAMES * latent_frames].reshape(-1, 12).astype(np.float32)


def pose_of_track(
    track: CameraTrack, latent_frames: npt.NDArray[np.int64], *, distance: float = STAGE_DISTANCE
) -> Array:
    """The same (T, 12) of a camera track, whose unit is the distance to what the camera looks at, in metres.

    A pose says where the camera is and where it looks; it has no number for the focal length, so a zoom does not show
    in it.
    """
    pose_F34 = track.pose_F34.copy()
    pose_F34[:, :, 3] *= distance
    return pose_vectors(pose_F34, latent_frames)


def mouth_windows(mouth_F4: npt.NDArray[np.floating], latent_frames: npt.NDArray[np.int64]) -> Array:
    """Mouth shapes (T, 48): those of the previous, this and the next latent frame, 4 pixel frames of 4 axes each.

    Latent frame 0 holds one pixel frame, told four times; beyond either end the outermost frame is repeated.
    """
    steps = np.arange(-2 * _PATCH_FRAMES + 1, _PATCH_FRAMES + 1)
    frames_TS = np.clip(_PATCH_FRAMES * latent_frames[:, None] + steps, 0, len(mouth_F4) - 1)
    window_TS: Array = mouth_F4[frames_TS].reshape(len(latent_frames), steps.size * len(MOUTH_AXES)).astype(np.float32)
    return window_TS


def face_mask(face_BT3: Tensor, height: int, width: int) -> Tensor:
    """Soft discs (B, T, height, width) in [0, 1]: how much of each cell a face covers. Radius 0 gives nothing.

    `face_BT3` is (x, y, radius) in shares of width, height and the shorter side.
    """
    shorter = float(min(height, width))
    y_H = torch.arange(height, device=face_BT3.device) + 0.5
    x_W = torch.arange(width, device=face_BT3.device) + 0.5
    centre_x, centre_y, radius = (face_BT3[..., n, None, None] for n in range(3))
    distance_BTHW = torch.hypot(x_W - centre_x * width, y_H[:, None] - centre_y * height)
    mask_BTHW: Tensor = (radius * shorter - distance_BTHW + 0.5).clamp(0.0, 1.0) * (radius > 0)
    return mask_BTHW
