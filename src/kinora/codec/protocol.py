"""What every codec offers, whoever trained it.

Axes: B batch, C channels (3 colours in a video), F pixel frames, T latent frames, H W a grid. A video is in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from torch import Tensor

from kinora.codec.state import CodecState
from kinora.core.shapes import Compression

__all__ = ["AnyCodec", "AnyCodecConfig"]


class AnyCodecConfig(Protocol):
    """What a codec says of itself."""

    @property
    def compression(self) -> Compression:
        """Pixels one latent stands for."""

    @property
    def channels(self) -> int:
        """Channels of the latents."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest; `kinora.codec.build_codec` makes the codec of them again."""


class AnyCodec(Protocol):
    """Clips to latents of about unit variance and back, whole or chunk by chunk, never seeing the future."""

    @property
    def config(self) -> AnyCodecConfig: ...

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Latents of shape (B, channels, T, H, W). Raises `ShapeError` for sizes off the grid."""

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """The clip, clamped to [-1, 1], shape (B, 3, 1 + time * (T - 1), space * H, space * W)."""

    def encode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Latents of a clip in pieces, 1 + time * n frames first, then time * n each; equal to `encode`.

        `at_once` is the most latent frames to work on together; None leaves the choice to the codec.
        """

    def decode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Frames of a clip whose latents come in pieces of any length; equal to `decode`, in memory that stays flat."""

    def encode_chunk(self, video_BCFHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `encode_stream`."""

    def decode_chunk(self, latent_BCTHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `decode_stream`; the frames are clamped to [-1, 1]."""
