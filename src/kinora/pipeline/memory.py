"""What a film must remember between two segments, so that it can be made piece by piece and go on after a power cut.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor

from kinora.codec.state import START, CodecState
from kinora.core.errors import InputError

__all__ = ["Chunk", "Memory"]

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """Where a film stands after some of its segments; as large for an hour as for a second."""

    done: int = 0
    """Segments that are made."""
    latent_BCTHW: Tensor | None = None
    """The last latent frames: history for what comes."""
    frames_FHW3: Frames | None = None
    """The pixel frames of that history and the one before it; of a film that grows backward, its first ones."""
    anchor_HW3: Frames | None = None
    """The first picture that the prompt in force has made."""
    codec: CodecState = START
    """Where the codec's decoder stands."""

    def after(self, latent_BCTHW: Tensor, frames_FHW3: Frames, codec: CodecState, *, keep: int, time: int) -> Memory:
        """The memory once a segment's latents and frames are added, cut to what `keep` latent frames need."""
        latents = [latent for latent in (self.latent_BCTHW, latent_BCTHW) if latent is not None]
        frames = [part for part in (self.frames_FHW3, frames_FHW3) if part is not None]
        return replace(
            self,
            done=self.done + 1,
            latent_BCTHW=torch.cat(latents, dim=2)[:, :, -max(keep, 1) :].clone(),
            frames_FHW3=np.concatenate(frames)[-(1 + time * keep) :].copy(),
            codec=codec,
        )

    def to_bytes(self) -> bytes:
        """A safetensors file; `from_bytes` is its inverse."""
        tensors = {f"codec.{index}": tensor.contiguous() for index, tensor in enumerate(self.codec.past)}
        if self.latent_BCTHW is not None:
            tensors["latent"] = self.latent_BCTHW.contiguous()
        if self.frames_FHW3 is not None:
            tensors["frames"] = torch.from_numpy(np.ascontiguousarray(self.frames_FHW3))
        if self.anchor_HW3 is not None:
            tensors["anchor"] = torch.from_numpy(np.ascontiguousarray(self.anchor_HW3))
        # As a tensor: the order of a file's metadata is not the same twice.
        tensors["numbers"] = torch.tensor([self.done, self.codec.latent_frames])
        return safetensors.torch.save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | str) -> Memory:
        """Raises `InputError` when the bytes are damaged."""
        try:
            tensors = safetensors.torch.load(data)
            done, latent_frames = tensors["numbers"].tolist()
            past = sum(name.startswith("codec.") for name in tensors)
            latent, frames, anchor = (tensors.get(name) for name in ("latent", "frames", "anchor"))
            return cls(
                done=done,
                latent_BCTHW=None if latent is None else latent.to(device),
                frames_FHW3=None if frames is None else frames.numpy(),
                anchor_HW3=None if anchor is None else anchor.numpy(),
                codec=CodecState(
                    latent_frames=latent_frames,
                    past=tuple(tensors[f"codec.{index}"].to(device) for index in range(past)),
                ),
            )
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise InputError(
                f"What was kept of the unfinished film is damaged ({error}); remove it to start anew."
            ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """A piece of a film as it comes, in order; backward films come last piece first."""

    frames_FHWC: Frames
    memory: bytes
    """Hand it to `Pipeline.stream` with the same request, and the film goes on behind this chunk."""
