"""What every codec asks of videos and latents, and how a long video is cut so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression, PixelShape

__all__ = ["check_latent", "check_video", "split_latent", "split_video"]


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


def split_video(
    video_BCFHW: Tensor, compression: Compression, *, first: bool, at_once: int | None, pixels: int
) -> Iterator[Tensor]:
    """Check a video and cut it into whole latent frames: `at_once` a piece, or else about `pixels` pixels."""
    check_video(video_BCFHW, compression, first=first)
    step = compression.time * (at_once or _whole_frames(video_BCFHW, compression.time, pixels))
    head = 1 + step - compression.time if first else step
    yield video_BCFHW[:, :, :head]
    if video_BCFHW.shape[2] > head:
        yield from video_BCFHW[:, :, head:].split(step, dim=2)


def split_latent(
    latent_BCTHW: Tensor, channels: int, compression: Compression, *, at_once: int | None, pixels: int
) -> tuple[Tensor, ...]:
    """Check latents and cut them into pieces of `at_once` frames, or else of about `pixels` pixels."""
    check_latent(latent_BCTHW, channels)
    step = at_once or _whole_frames(latent_BCTHW, compression.time * compression.space**2, pixels)
    return latent_BCTHW.split(step, dim=2)


def _whole_frames(x: Tensor, pixels_of_cell: int, pixels: int) -> int:
    """Latent frames that hold about `pixels` pixels, at least one: so memory depends neither on length nor on size."""
    batch, _, _, height, width = x.shape
    return max(1, pixels // (batch * pixels_of_cell * height * width))
