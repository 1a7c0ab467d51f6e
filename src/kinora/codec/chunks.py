"""What every codec asks of videos and latents, and how a long video is cut so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression, PixelShape

__all__ = ["check_latent", "check_video", "split_video"]


def check_video(video_BCFHW: Tensor, compression: Compression, *, first: bool) -> None:
    """Raise `ShapeError` unless the grid holds the video; after a clip's first chunk, whole latent frames only."""
    if video_BCFHW.ndim != 5 or video_BCFHW.shape[1] != 3:
        raise ShapeError(
            f"The codec takes videos of shape (batch, 3, frames, height, width), not {tuple(video_BCFHW.shape)}."
        )
    _, _, frames, height, width = video_BCFHW.shape
    if not first and (frames < 1 or frames % compression.time):
        raise ShapeError(
            f"After its first chunk a clip goes on in multiples of {compression.time} frames, not {frames}."
        )
    compression.latent(PixelShape(frames=frames if first else frames + 1, height=height, width=width))


def check_latent(latent_BCTHW: Tensor, channels: int) -> None:
    """Raise `ShapeError` unless these are latents of `channels` channels."""
    if latent_BCTHW.ndim != 5 or latent_BCTHW.shape[1] != channels or 0 in latent_BCTHW.shape:
        raise ShapeError(
            f"This codec decodes latents of shape (batch, {channels}, frames, height, width), "
            f"not {tuple(latent_BCTHW.shape)}; was another model's latent given?"
        )


def split_video(video_BCFHW: Tensor, compression: Compression, *, first: bool, pixels: int) -> Iterator[Tensor]:
    """Cut a checked video into whole latent frames of about `pixels` pixels a piece."""
    check_video(video_BCFHW, compression, first=first)
    batch, _, _, height, width = video_BCFHW.shape
    step = compression.time * max(1, pixels // (batch * compression.time * height * width))
    head = 1 + step - compression.time if first else step
    yield video_BCFHW[:, :, :head]
    if video_BCFHW.shape[2] > head:
        yield from video_BCFHW[:, :, head:].split(step, dim=2)
