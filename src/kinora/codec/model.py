"""The codec: clips to latents and back, chunk by chunk, never seeing the future.

Axes: B batch, C channels (3 colours in a video), F pixel frames, T latent frames, H W a grid, P numbers in a patch.
A video is in [-1, 1]. The first latent frame holds one pixel frame (as if it stood still), each later one `time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from kinora.codec.chunks import check_latent, check_video, split_latent, split_video
from kinora.codec.config import CodecConfig
from kinora.codec.linear import LinearBasis, cosine_basis, measure_patches
from kinora.codec.patches import hold_first, patchify, release_first, unpatchify
from kinora.codec.refiner import Refiner
from kinora.codec.state import START, CodecState

__all__ = ["Codec"]

CHUNK_PIXELS = 16 * 256 * 256
"""Pixels to work on at once. More gains no speed on a CPU, where 4 frames of 256 x 256 already fill the cores."""


class Codec(nn.Module):
    """A linear encoder; its transpose plus a learned causal correction as decoder.

    The encoder never learns: latents cached once stay valid while the decoder improves.
    """

    basis_PC: Tensor
    mean_3: Tensor
    std_C: Tensor
    scale_C: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = None if config.linear else Refiner(config)
        basis = cosine_basis(config.compression, config.channels)
        self.register_buffer("basis_PC", basis.basis_PC)
        self.register_buffer("mean_3", basis.mean_3)
        self.register_buffer("std_C", basis.std_C)
        self.register_buffer("scale_C", basis.scale_C(config.whitening))

    # The linear start

    def fit_linear(self, clips: Iterable[Tensor]) -> None:
        """Set the encoder to the best linear one for `clips`, each a video (B, 3, F, H, W) of contiguous frames."""
        self.use_basis(measure_patches(clips, self.config.compression).basis(self.config.channels))

    def use_basis(self, basis: LinearBasis) -> None:
        """Set the encoder to the leading directions of `basis` and normalise latents by their spread along them."""
        kept = basis.leading(self.config.channels)
        self.basis_PC.copy_(kept.basis_PC)
        self.mean_3.copy_(kept.mean_3)
        self.std_C.copy_(kept.std_C)
        self.scale_C.copy_(kept.scale_C(self.config.whitening))

    # Whole clips

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Latents of shape (B, channels, T, H, W), about unit variance. Raises `ShapeError` for sizes off the grid."""
        return torch.cat(list(self.encode_stream([video_BCFHW])), dim=2)

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """The clip, clamped to [-1, 1], shape (B, 3, 1 + time * (T - 1), space * H, space * W)."""
        return torch.cat(list(self.decode_stream([latent_BCTHW])), dim=2)

    def decode_linear(self, latent_BCTHW: Tensor) -> Tensor:
        """The clip without the learned correction, clamped: a fast preview."""
        return self._linear(latent_BCTHW, first=True).clamp(-1.0, 1.0)

    # Streams

    def encode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Latents of a clip in pieces, 1 + time * n frames first, then time * n each; exact to `encode`.

        `at_once` is the most latent frames to work on together.
        """
        state, grid = START, self.config.compression
        for video_BCFHW in chunks:
            first = state.latent_frames == 0
            for piece in split_video(video_BCFHW, grid, first=first, at_once=at_once, pixels=CHUNK_PIXELS):
                latent_BCTHW, state = self.encode_chunk(piece, state)
                yield latent_BCTHW

    def decode_stream(self, chunks: Iterable[Tensor], *, at_once: int | None = None) -> Iterator[Tensor]:
        """Frames of a clip whose latents come in pieces of any length; exact to `decode`, in memory that stays flat."""
        state = START
        for latent_BCTHW in chunks:
            for piece in split_latent(
                latent_BCTHW, self.config.channels, self.config.compression, at_once=at_once, pixels=CHUNK_PIXELS
            ):
                video_BCFHW, state = self.decode_chunk(piece, state)
                yield video_BCFHW

    def encode_chunk(self, video_BCFHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `encode_stream`."""
        first = state.latent_frames == 0
        check_video(video_BCFHW, self.config.compression, first=first)
        held_BCFHW = hold_first(video_BCFHW, self.config.compression.time) if first else video_BCFHW
        centred_BCFHW = held_BCFHW.to(self.basis_PC.dtype) - self.mean_3[:, None, None, None]
        patch_BTHWP = patchify(centred_BCFHW, self.config.compression)
        with _exact(patch_BTHWP):
            latent_BTHWC = patch_BTHWP @ self.basis_PC / self.scale_C
        latent_BCTHW = latent_BTHWC.permute(0, 4, 1, 2, 3).contiguous()
        return latent_BCTHW, replace(state, latent_frames=state.latent_frames + latent_BCTHW.shape[2])

    def decode_chunk(self, latent_BCTHW: Tensor, state: CodecState) -> tuple[Tensor, CodecState]:
        """One step of `decode_stream`; the frames are clamped to [-1, 1]."""
        video_BCFHW, state = self.reconstruct(latent_BCTHW, state)
        return video_BCFHW.clamp(-1.0, 1.0), state

    def reconstruct(self, latent_BCTHW: Tensor, state: CodecState = START) -> tuple[Tensor, CodecState]:
        """Like `decode_chunk` but not clamped, so that training feels values beyond the range."""
        check_latent(latent_BCTHW, self.config.channels)
        latent_BCTHW = latent_BCTHW.to(self.basis_PC.dtype)
        video_BCFHW = self._linear(latent_BCTHW, first=state.latent_frames == 0)
        past = state.past
        if self.decoder is not None:
            correction_BCFHW, past = self.decoder(latent_BCTHW, video_BCFHW, past)
            video_BCFHW = video_BCFHW + correction_BCFHW
        return video_BCFHW, CodecState(latent_frames=state.latent_frames + latent_BCTHW.shape[2], past=past)

    # Inside

    def _linear(self, latent_BCTHW: Tensor, *, first: bool) -> Tensor:
        latent_BTHWC = latent_BCTHW.to(self.basis_PC.dtype).permute(0, 2, 3, 4, 1) * self.scale_C
        with _exact(latent_BTHWC):
            patch_BTHWP = latent_BTHWC @ self.basis_PC.T
        video_BCFHW = unpatchify(patch_BTHWP, self.config.compression) + self.mean_3[:, None, None, None]
        return release_first(video_BCFHW, self.config.compression.time) if first else video_BCFHW


def _exact(x: Tensor) -> torch.autocast:
    """Keep the linear half in its own precision inside a caller's autocast: bfloat16 products would cost it 10 dB."""
    return torch.autocast(x.device.type, enabled=False)
