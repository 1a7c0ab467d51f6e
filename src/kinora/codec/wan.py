"""What the autoencoders of the Wan family share: clips to latents and back, whole or in chunks of any length.

They offer what `kinora.codec.Codec` offers, under the parameter names of Wan's own checkpoints. Wan walks through a
clip by single latent frames and counts them in a list; a chunk here has any length, and what it must know of the chunks
before it comes in a `CodecState`. The results agree.

Axes: B batch, C channels (3 colours in a video), F pixel frames, T latent frames, H W a grid. A video is in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from kinora.codec.chunks import check_latent, check_video, split_latent, split_video
from kinora.codec.reel import Reel
from kinora.codec.state import START, CodecState
from kinora.codec.wan_blocks import cells_from_pixels, pixels_from_cells
from kinora.codec.wan_layers import Chain
from kinora.core.errors import InputError
from kinora.core.shapes import Compression

__all__ = ["WanCodec", "WanConfig"]

CHUNK_PIXELS = 2 * 256 * 256
"""Pixels to work on at once: one latent frame of all but small pictures. Two of those share the way of the weights into
tiles; more gains nothing on a CPU and takes memory.
"""


@dataclass(frozen=True, kw_only=True)
class WanConfig:
    """Sizes that every autoencoder of the family has."""

    channels: int
    """Channels of the latents."""
    mean: tuple[float, ...]
    """What is taken off each latent channel."""
    std: tuple[float, ...]
    """What each latent channel is divided by."""
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each stage in widths, from pixels to latents; every stage but the last halves the picture."""
    blocks: int = 2
    """Residual blocks of an encoder's stage; a decoder's has one more."""
    halve_time: tuple[bool, ...] = (False, True, True)
    """Whether a stage that halves the picture halves the frames too."""
    patch: int = 1
    """Side of the squares of pixels that become channels before anything else."""

    published: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]] = ((), ())
    """Mean and deviation of the published model's latents."""

    def __post_init__(self) -> None:
        if len(self.halve_time) != len(self.multiples) - 1:
            raise InputError(
                f"All {len(self.multiples)} stages but the last halve the picture, so halve_time has "
                f"{len(self.multiples) - 1} entries, not {len(self.halve_time)}."
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise InputError(
                f"Latents of {self.channels} channels need as many means and deviations, "
                f"not {len(self.mean)} and {len(self.std)}."
            )
        if min(self.std) <= 0.0:
            raise InputError(f"A standard deviation is above zero, not {min(self.std):g}.")

    @property
    def compression(self) -> Compression:
        """Pixels one latent stands for."""
        return Compression(time=2 ** sum(self.halve_time), space=self.patch * 2 ** len(self.halve_time))

    @property
    def halvings(self) -> tuple[tuple[bool, bool], ...]:
        """For each stage of the encoder, whether it halves the picture and whether it halves time."""
        return (*((True, time) for time in self.halve_time), (False, False))

    @property
    def doublings(self) -> tuple[tuple[bool, bool], ...]:
        """The same for the decoder, from latents to pixels."""
        return (*self.halvings[-2::-1], (False, False))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`, also after JSON has made lists of tuples; an unknown name raises `TypeError`.

        Without `mean` and `std` the latents have the published model's, as far as they have its channels.
        """
        plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        mean, std = cls.published
        return cls(**{"mean": mean[: plain["channels"]], "std": std[: plain["channels"]], **plain})


class WanCodec(nn.Module):
    """A causal convolutional autoencoder; results come in the weights' own precision.

    Built on `torch.device("meta")` it takes weights by `load_state_dict(..., assign=True)`: all it holds is in them.
    """

    def __init__(self, config: WanConfig, encoder: Chain, decoder: Chain) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.conv1 = nn.Conv3d(2 * config.channels, 2 * config.channels, 1)
        self.conv2 = nn.Conv3d(config.channels, config.channels, 1)
        self.decoder = decoder

    # Whole clips

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Latents of shape (B, channels, T, H, W), about unit variance. Raises `ShapeError` for sizes off the grid."""
        return torch.cat(list(self.encode_stream([video_BCFHW])), dim=2)

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """The clip, clamped to [-1, 1], shape (B, 3, 1 + time * (T - 1), space * H, space * W)."""
        return torch.cat(list(self.decode_stream([latent_BCTHW])), dim=2)

    # Streams

    def encode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Latents of a clip in pieces, 1 + time * n frames first, then time * n each; equal to `encode`.

        `at_once` is the most latent frames to work on together.
        """
        reel = Reel()
        for video_BCFHW in chunks:
            for piece in split_video(
                video_BCFHW, self.config.compression, first=reel.first, at_once=at_once, pixels=CHUNK_PIXELS
            ):
                yield self._encode(piece, reel)

    def decode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Frames of a clip whose latents come in pieces of any length; equal to `decode`, in memory that stays flat."""
        reel = Reel()
        for latent_BCTHW in chunks:
            for piece in split_latent(
                latent_BCTHW, self.config.channels, self.config.compression, at_once=at_once, pixels=CHUNK_PIXELS
            ):
                yield self._decode(piece, reel).clamp_(-1.0, 1.0)

    def encode_chunk(self, video_BCFHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `encode_stream`: the mean of the posterior, normalised."""
        check_video(video_BCFHW, self.config.compression, first=state.latent_frames == 0)
        reel = Reel(state.past)
        latent_BCTHW = self._encode(video_BCFHW, reel)
        return latent_BCTHW, _after(state, latent_BCTHW, reel)

    def decode_chunk(self, latent_BCTHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `decode_stream`; the frames are clamped to [-1, 1]."""
        video_BCFHW, state = self.reconstruct(latent_BCTHW, state)
        return video_BCFHW.clamp(-1.0, 1.0), state

    def reconstruct(self, latent_BCTHW: Tensor, state: CodecState = START) -> tuple[Tensor, CodecState]:
        """Like `decode_chunk` but not clamped."""
        check_latent(latent_BCTHW, self.config.channels)
        reel = Reel(state.past)
        return self._decode(latent_BCTHW, reel), _after(state, latent_BCTHW, reel)

    # Inside

    def _encode(self, video_BCFHW: Tensor, reel: Reel) -> Tensor:
        cell_BCFHW = cells_from_pixels(video_BCFHW.to(self.conv1.weight.dtype), self.config.patch)
        moments_BCTHW = self.encoder(_laid_out(cell_BCFHW), reel)
        reel.wind()
        mean_BCTHW = self.conv1(moments_BCTHW)[:, : self.config.channels]
        return (mean_BCTHW - _per_channel(self.config.mean, mean_BCTHW)) / _per_channel(self.config.std, mean_BCTHW)

    def _decode(self, latent_BCTHW: Tensor, reel: Reel) -> Tensor:
        x_BCTHW = latent_BCTHW.to(self.conv2.weight.dtype)
        x_BCTHW = x_BCTHW * _per_channel(self.config.std, x_BCTHW) + _per_channel(self.config.mean, x_BCTHW)
        cell_BCFHW = self.decoder(_laid_out(self.conv2(x_BCTHW)), reel)
        reel.wind()
        return pixels_from_cells(cell_BCFHW, self.config.patch)


def _after(state: CodecState, latent_BCTHW: Tensor, reel: Reel) -> CodecState:
    return CodecState(latent_frames=state.latent_frames + latent_BCTHW.shape[2], past=reel.kept)


def _laid_out(x_BCTHW: Tensor) -> Tensor:
    """Channels last in memory, as all layers keep it."""
    return x_BCTHW.contiguous(memory_format=torch.channels_last_3d)


def _per_channel(values: tuple[float, ...], like_BCTHW: Tensor) -> Tensor:
    # Made anew at each use: a buffer would stay on the meta device when weights are assigned to a model built there.
    return like_BCTHW.new_tensor(values)[:, None, None, None]
