"""Between pixels and latents: pictures encoded, latents drawn a few frames at a time, footage laid around what is new.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.codec import START, CodecState, frames_from_video, video_from_frames
from kinora.control.detail import TRUSTED, restore_detail
from kinora.control.guide import Guide
from kinora.control.region import paste
from kinora.core.plan import Segment
from kinora.core.shapes import Compression
from kinora.pipeline.given import FEATHER, Given, Span
from kinora.pipeline.progress import Teller
from kinora.pipeline.resident import Resident

__all__ = ["Drawing", "Encoded", "Frames", "OnFrames"]

Frames = npt.NDArray[np.uint8]
OnFrames = Callable[[int, Frames], None]
"""Sees frames (F, H, W, 3) of a chunk as soon as they are drawn, and which of the chunk's the first one is."""


class Encoded(NamedTuple):
    """A guide with its latents (B, C, T, H, W)."""

    guide: Guide
    latent_BCTHW: Tensor


class Drawing:
    """The codec at work on one film."""

    def __init__(
        self, resident: Resident, given: Given, teller: Teller, *, device: torch.device, compression: Compression
    ) -> None:
        self.compression = compression
        self._resident = resident
        self._given = given
        self._teller = teller
        self._device = device

    def encode(self, frames_FHW3: Frames) -> Tensor:
        """Latents of frames that begin with a single picture, float32."""
        frames_BFHWC = torch.from_numpy(np.ascontiguousarray(frames_FHW3))[None].to(self._device)
        return self.encode_video(video_from_frames(frames_BFHWC))

    def encode_video(self, video_BCFHW: Tensor) -> Tensor:
        """The same of a video in [-1, 1]."""
        with self._resident.use("codec") as codec:
            latent_BCTHW: Tensor = codec.encode(video_BCFHW)
        return latent_BCTHW.float()

    def encode_each(self, frames_FHW3: Frames) -> Tensor:
        """Latents (F, C, H, W) of frames that are each a picture of its own, float32."""
        video_FCHW = video_from_frames(torch.from_numpy(frames_FHW3)[None])[0].transpose(0, 1)
        pieces = video_FCHW.unsqueeze(2).split(self._resident.rung.draw_frames)
        return torch.cat([self.encode_video(piece.to(self._device)) for piece in pieces])[:, :, 0]

    def draw_each(self, latent_FCHW: Tensor) -> Frames:
        """Latents of single pictures to their pixels (F, H, W, 3)."""
        drawn: list[Frames] = []
        with self._resident.use("codec") as codec:
            for piece_FCHW in latent_FCHW.split(self._resident.rung.draw_frames):
                video_FC1HW, _ = codec.decode_chunk(piece_FCHW[:, :, None], START)
                drawn.append(frames_from_video(video_FC1HW)[:, 0].cpu().numpy())
        return np.concatenate(drawn)

    def state_after(self, latent_BCTHW: Tensor) -> CodecState:
        """Where the decoder stands behind the latents of a clip."""
        with self._resident.use("codec") as codec:
            state: CodecState = codec.decode_chunk(latent_BCTHW, START)[1]
        return state

    def draw(
        self,
        latent_BCTHW: Tensor,
        state: CodecState = START,
        *,
        tell: bool = True,
        show: OnFrames | None = None,
        skip: int = 0,
    ) -> tuple[Frames, CodecState]:
        """Latents to pixels (F, H, W, 3), a few latent frames at a time; `show` sees them as they come. The first
        `skip` frames are left out.
        """
        drawn: list[Frames] = []
        with self._resident.use("codec") as codec:
            for piece_BCTHW in latent_BCTHW.split(self._resident.rung.draw_frames, dim=2):
                video_BCFHW, state = codec.decode_chunk(piece_BCTHW, state)
                made_FHW3 = frames_from_video(video_BCFHW)[0].cpu().numpy()[skip if not drawn else 0 :]
                if show is not None:
                    show(sum(map(len, drawn)), made_FHW3)
                drawn.append(made_FHW3)
                if tell:
                    self._teller.advance("draw", piece_BCTHW.shape[2])
        return np.concatenate(drawn), state

    def detailed(self, made_FHW3: Frames, encoded: Encoded) -> Frames:
        """What the codec has lost of a guide, added where the guide is to be trusted."""
        guide, latent_BCTHW = encoded
        trusted = np.flatnonzero(guide.cap_FHW.min(axis=(1, 2)) < TRUSTED)
        if not trusted.size:
            return made_FHW3
        # Nothing behind the last trusted frame is needed; whole pieces, so that they are drawn to the same bits.
        needed = 1 + -(-int(trusted[-1]) // self.compression.time)
        at_once = self._resident.rung.draw_frames
        coded_FHW3, _ = self.draw(latent_BCTHW[:, :, : at_once * -(-needed // at_once)], tell=False)
        first, end = len(guide.frames_FHW3) - len(made_FHW3), len(coded_FHW3)
        shown = Guide(frames_FHW3=guide.frames_FHW3[first:end], cap_FHW=guide.cap_FHW[first:end])
        restored_FHW3 = restore_detail(made_FHW3[: end - first], shown, coded_FHW3[first:])
        return np.concatenate([restored_FHW3, made_FHW3[end - first :]])

    def pasted(self, made_FHW3: Frames, segment: Segment, span: Span, guide: Guide | None) -> Frames:
        """New pixels laid into the footage: only what was to change has changed."""
        given = self._given
        assert given.footage is not None
        first = 0 if segment.alone else 1
        # The grid may be longer than the footage, by less than a latent frame.
        count = min(len(made_FHW3), len(given.footage) - span.base - first)
        made_FHW3, original_FHW3 = made_FHW3[:count], given.original(span)[first : first + count]
        if given.region is not None:
            return paste(made_FHW3, original_FHW3, given.region, feather=FEATHER)
        assert guide is not None
        # Around the mouth the level fades out over a cell, to spare the model an edge; the pixels stay.
        cap_FHW = guide.cap_FHW[first : first + count]
        changed_FHW = cap_FHW > 0.5 * cap_FHW.max()
        return np.concatenate(
            [
                paste(made_FHW3[f : f + 1], original_FHW3[f : f + 1], changed_HW, feather=FEATHER)
                for f, changed_HW in enumerate(changed_FHW)
            ]
        )
