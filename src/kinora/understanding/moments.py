"""What the reader looks at: a few moments of a clip, each as a picture and as what changes right there.

A moment is one latent frame of the clip: frame 0 alone, or a group of four frames, of which the last is the picture
and the last minus the first is the change. Axes: B batch, K moments, C channels (3 picture, 3 change), F pixel
frames, H W, S side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError

__all__ = ["COLOURS", "GROUP", "choose_positions", "clip_moments", "moments_of", "resized", "shrink", "times_of"]

GROUP = 4
"""Pixel frames in a latent frame after the first."""
COLOURS = 3
"""Channels of a picture, and of what changes."""


def moments_of(frames_BFHW3: Tensor, size: int) -> Tensor:
    """Moments (B, K, 6, S, S) in [-1, 1] from uint8 frames of sparse clips, F = 1 + 4 (K - 1): frame 0, then groups
    of four.

    The central square is taken and shrunk to `size`.
    """
    frames = frames_BFHW3.shape[1]
    if (frames - 1) % GROUP:
        raise ShapeError(f"The reader takes 1 + 4n frames, not {frames}.")
    first = [0, *range(1, frames, GROUP)]
    last = [0, *range(GROUP, frames, GROUP)]
    picture_BK3SS = shrink(frames_BFHW3[:, last], size)
    before_BK3SS = shrink(frames_BFHW3[:, first], size)
    return torch.cat([picture_BK3SS, 2.0 * (picture_BK3SS - before_BK3SS)], dim=2)


def shrink(frames_BKHW3: Tensor, size: int) -> Tensor:
    """Central squares (B, K, 3, S, S) in [-1, 1] of uint8 frames."""
    height, width = frames_BKHW3.shape[2:4]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = frames_BKHW3[:, :, top : top + side, left : left + side]
    return resized(square.movedim(-1, 2).float().mul(2 / 255).sub(1), size)


def resized(square_BKCSS: Tensor, size: int) -> Tensor:
    """Pictures of another side; the mean over whole pixels where that is possible."""
    side = square_BKCSS.shape[-1]
    if side == size:
        return square_BKCSS
    flat = square_BKCSS.flatten(0, 1)
    if side % size == 0:
        flat = functional.avg_pool2d(flat, side // size)
    else:
        flat = functional.interpolate(flat, size=(size, size), mode="bilinear", antialias=True)
    return flat.unflatten(0, square_BKCSS.shape[:2])


def times_of(positions_BK: Tensor, frame_rate: float) -> Tensor:
    """Seconds (B, K) from the clip's start to the pictures of latent frames `positions_BK`."""
    return positions_BK.float() * GROUP / frame_rate


def choose_positions(latent_frames: int, moments: int, reading: int, readings: int) -> list[int]:
    """Latent frames for one of several readings of a clip: frame 0, and the others spread evenly, shifted a little
    per reading.
    """
    if latent_frames <= moments:
        return list(range(latent_frames))
    stride = (latent_frames - 1) / (moments - 1)
    return [0, *(1 + int(stride * (k + (reading + 0.5) / readings)) for k in range(moments - 1))]


def clip_moments(clip: Clip, positions: list[int], size: int) -> Tensor:
    """Moments (1, K, 6, S, S) of a clip at latent frames `positions`, the first of which is 0."""
    groups = [np.arange(1)] + [np.arange(GROUP * p - GROUP + 1, GROUP * p + 1) for p in positions[1:]]
    frames: npt.NDArray[np.int64] = np.concatenate(groups)
    return moments_of(torch.from_numpy(np.ascontiguousarray(clip.frames_FHWC[frames]))[None], size)
