"""Clips as patches: a patch holds `time` frames of `space` x `space` pixels in three colours.

Axes: B batch, C colours or channels, F pixel frames, T latent frames, H W the grid (or the picture, beside F),
P numbers in a patch ordered (colour, frame, row, column).
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.core.shapes import Compression

__all__ = ["frames_from_video", "hold_first", "patchify", "release_first", "unpatchify", "video_from_frames"]


def patchify(video_BCFHW: Tensor, compression: Compression) -> Tensor:
    """Cut a video of time * T frames into patches of shape (B, T, H, W, P)."""
    batch, colours, frames, height, width = video_BCFHW.shape
    time, space = compression.time, compression.space
    cut = video_BCFHW.reshape(batch, colours, frames // time, time, height // space, space, width // space, space)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)


def unpatchify(patch_BTHWP: Tensor, compression: Compression) -> Tensor:
    """The inverse of `patchify`: a video of shape (B, 3, time * T, space * H, space * W)."""
    batch, latent_frames, height, width, _ = patch_BTHWP.shape
    time, space = compression.time, compression.space
    cut = patch_BTHWP.reshape(batch, latent_frames, height, width, 3, time, space, space)
    joined = cut.permute(0, 4, 1, 5, 2, 6, 3, 7)
    return joined.reshape(batch, 3, latent_frames * time, height * space, width * space)


def hold_first(video_BCFHW: Tensor, time: int) -> Tensor:
    """Let the first frame stand still for `time` frames: 1 + time * n frames become time * (1 + n)."""
    first = video_BCFHW[:, :, :1].expand(-1, -1, time, -1, -1)
    return torch.cat([first, video_BCFHW[:, :, 1:]], dim=2)


def release_first(video_BCFHW: Tensor, time: int) -> Tensor:
    """The inverse of `hold_first`: the first `time` frames become one, their mean."""
    first = video_BCFHW[:, :, :time].mean(dim=2, keepdim=True)
    return torch.cat([first, video_BCFHW[:, :, time:]], dim=2)


def video_from_frames(frames_BFHWC: Tensor) -> Tensor:
    """Pictures in 0 .. 255, shape (B, F, H, W, 3), as a float32 video in [-1, 1], shape (B, 3, F, H, W)."""
    return frames_BFHWC.permute(0, 4, 1, 2, 3).float().div(127.5).sub(1.0)


def frames_from_video(video_BCFHW: Tensor) -> Tensor:
    """A video in [-1, 1] as uint8 pictures of shape (B, F, H, W, 3); values outside are clamped."""
    levels = video_BCFHW.float().clamp(-1.0, 1.0).add(1.0).mul(127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous()
