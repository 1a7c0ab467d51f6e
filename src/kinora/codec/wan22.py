"""The autoencoder of Wan 2.2 TI2V-5B: clips to latents of 48 channels, 4 x 16 x 16 pixels each, and back.

It offers what `kinora.codec.Codec` offers, under the parameter names of Wan's own checkpoint (`Wan2.2_VAE.pth`). Wan
walks through a clip by single latent frames and counts them in a list; a chunk here has any length, and what it must
know of the chunks before it comes in a `WanState`. The results agree.

Axes: B batch, C channels (3 colours in a video), F pixel frames, T latent frames, H W a grid. A video is in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kinora.codec.chunks import check_latent, check_video, split_video
from kinora.codec.wan_blocks import (
    CausalConv,
    Chain,
    DownStage,
    Past,
    RootMeanSquare,
    UpStage,
    cells_from_pixels,
    middle,
    pixels_from_cells,
)
from kinora.core.errors import InputError
from kinora.core.shapes import Compression

__all__ = ["WAN_START", "Wan22Codec", "Wan22Config", "WanState", "wan22", "wan22_tiny"]

CHUNK_PIXELS = 4 * 704 * 1280
"""Pixels to work on at once: one latent frame of a 720p clip, which is also the least that can be."""

# Over Wan's own training clips; from the `Wan2_2_VAE` class beside the network.
MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wan22Config:
    """Sizes of a `Wan22Codec`; the published one is `wan22()`."""

    encoder_width: int
    """Channels of the encoder's first stage."""
    decoder_width: int
    """Channels of the decoder's last stage."""
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
    patch: int = 2
    """Side of the squares of pixels that become channels before anything else."""

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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Wan22Config:
        """The inverse of `to_dict`, also after JSON has made lists of tuples; an unknown name raises `TypeError`."""
        plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        return cls(**plain)


def wan22() -> Wan22Config:
    """The published autoencoder: 149.6 M parameters in the encoder, 555.0 M in the decoder, 12 k between."""
    return Wan22Config(encoder_width=160, decoder_width=256, channels=48, mean=MEAN, std=STD)


def wan22_tiny() -> Wan22Config:
    """The same form in miniature, for tests."""
    return Wan22Config(encoder_width=4, decoder_width=6, channels=5, mean=MEAN[:5], std=STD[:5])


@dataclass(frozen=True, kw_only=True, eq=False)
class WanState:
    """Where a stream stands. Immutable: a step takes one and returns the next; a stream can be forked or replayed."""

    latent_frames: int = 0
    """Latent frames that have passed; 0 means that the next chunk holds the clip's first frame."""
    past: Past = ()
    """Last frames that each convolution in time was given, shape (B, C, 1 or 2, H, W); empty before the first chunk."""


WAN_START = WanState()
"""The state before a clip's first frame."""


class Wan22Codec(nn.Module):
    """A causal convolutional autoencoder; results come in the weights' own precision.

    Built on `torch.device("meta")` it takes weights by `load_state_dict(..., assign=True)`: all it holds is in them.
    """

    def __init__(self, config: Wan22Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.conv1 = nn.Conv3d(2 * config.channels, 2 * config.channels, 1)
        self.conv2 = nn.Conv3d(config.channels, config.channels, 1)
        self.decoder = _decoder(config)

    # Whole clips

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Latents of shape (B, channels, T, H, W), about unit variance. Raises `ShapeError` for sizes off the grid."""
        return torch.cat(list(self.encode_stream([video_BCFHW])), dim=2)

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """The clip, clamped to [-1, 1], shape (B, 3, 1 + time * (T - 1), space * H, space * W)."""
        return torch.cat(list(self.decode_stream([latent_BCTHW])), dim=2)

    # Streams

    def encode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Latents of a clip in pieces, 1 + time * n frames first, then time * n each; equal to `encode`."""
        state = WAN_START
        for video_BCFHW in chunks:
            for piece in split_video(
                video_BCFHW, self.config.compression, first=state.latent_frames == 0, pixels=CHUNK_PIXELS
            ):
                latent_BCTHW, state = self.encode_chunk(piece, state)
                yield latent_BCTHW

    def decode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Frames of a clip whose latents come in pieces of any length; equal to `decode`, in memory that stays flat."""
        state = WAN_START
        for latent_BCTHW in chunks:
            check_latent(latent_BCTHW, self.config.channels)
            height, width = (self.config.compression.space * side for side in latent_BCTHW.shape[3:])
            for piece in latent_BCTHW.split(self._latents_at_once(latent_BCTHW.shape[0], height, width), dim=2):
                video_BCFHW, state = self.decode_chunk(piece, state)
                yield video_BCFHW

    def encode_chunk(self, video_BCFHW: Tensor, state: WanState) -> tuple[Tensor, WanState]:
        """One step of `encode_stream`: the mean of the posterior, normalised."""
        check_video(video_BCFHW, self.config.compression, first=state.latent_frames == 0)
        cell_BCFHW = cells_from_pixels(video_BCFHW.to(self.conv1.weight.dtype), self.config.patch)
        moments_BCTHW, past = self.encoder(cell_BCFHW, state.past)
        mean_BCTHW = self.conv1(moments_BCTHW)[:, : self.config.channels]
        latent_BCTHW = (mean_BCTHW - _per_channel(self.config.mean, mean_BCTHW)) / _per_channel(
            self.config.std, mean_BCTHW
        )
        return latent_BCTHW, WanState(latent_frames=state.latent_frames + latent_BCTHW.shape[2], past=past)

    def decode_chunk(self, latent_BCTHW: Tensor, state: WanState) -> tuple[Tensor, WanState]:
        """One step of `decode_stream`; the frames are clamped to [-1, 1]."""
        video_BCFHW, state = self.reconstruct(latent_BCTHW, state)
        return video_BCFHW.clamp(-1.0, 1.0), state

    def reconstruct(self, latent_BCTHW: Tensor, state: WanState = WAN_START) -> tuple[Tensor, WanState]:
        """Like `decode_chunk` but not clamped."""
        check_latent(latent_BCTHW, self.config.channels)
        x_BCTHW = latent_BCTHW.to(self.conv2.weight.dtype)
        x_BCTHW = x_BCTHW * _per_channel(self.config.std, x_BCTHW) + _per_channel(self.config.mean, x_BCTHW)
        cell_BCFHW, past = self.decoder(self.conv2(x_BCTHW), state.past)
        state = WanState(latent_frames=state.latent_frames + latent_BCTHW.shape[2], past=past)
        return pixels_from_cells(cell_BCFHW, self.config.patch), state

    # Inside

    def _latents_at_once(self, batch: int, height: int, width: int) -> int:
        """Latent frames to work on at once, so that memory depends neither on length nor much on size."""
        return max(1, CHUNK_PIXELS // max(1, batch * self.config.compression.time * height * width))


def _encoder(config: Wan22Config) -> Chain:
    """From cells of pixels to the mean and the log variance of the latents."""
    widths = [config.encoder_width * multiple for multiple in (1, *config.multiples)]
    stages = [
        DownStage(inputs, outputs, blocks=config.blocks, space=space, time=time)
        for inputs, outputs, (space, time) in zip(widths[:-1], widths[1:], _halvings(config), strict=True)
    ]
    return Chain(
        conv1=CausalConv(3 * config.patch**2, widths[0]),
        downsamples=Chain(*stages),
        middle=middle(widths[-1]),
        head=Chain(RootMeanSquare(widths[-1], axes=3), nn.SiLU(), CausalConv(widths[-1], 2 * config.channels)),
    )


def _decoder(config: Wan22Config) -> Chain:
    """From latents to cells of pixels: the encoder's stages backwards, with wider and more blocks."""
    widths = [config.decoder_width * multiple for multiple in (*config.multiples, config.multiples[-1])][::-1]
    doublings = [*_halvings(config)[-2::-1], (False, False)]
    stages = [
        UpStage(inputs, outputs, blocks=config.blocks + 1, space=space, time=time)
        for inputs, outputs, (space, time) in zip(widths[:-1], widths[1:], doublings, strict=True)
    ]
    return Chain(
        conv1=CausalConv(config.channels, widths[0]),
        middle=middle(widths[0]),
        upsamples=Chain(*stages),
        head=Chain(RootMeanSquare(widths[-1], axes=3), nn.SiLU(), CausalConv(widths[-1], 3 * config.patch**2)),
    )


def _halvings(config: Wan22Config) -> list[tuple[bool, bool]]:
    """For each stage of the encoder, whether it halves the picture and whether it halves time."""
    return [*((True, time) for time in config.halve_time), (False, False)]


def _per_channel(values: tuple[float, ...], like_BCTHW: Tensor) -> Tensor:
    # Made anew at each use: a buffer would stay on the meta device when weights are assigned to a model built there.
    return like_BCTHW.new_tensor(values)[:, None, None, None]
