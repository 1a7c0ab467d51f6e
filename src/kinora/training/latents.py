"""Latents of a library, made once and read by memory map.

The bundled codec's encoder treats every latent frame by itself (a linear patch transform; the first frame is told four
times), so a clip of a few chosen latent frames encodes to exactly those latent frames of the whole clip.

Axes: N clips, B batch, C channels, F pixel frames, K latent frames kept, H W pixels, h w latent grid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.codec.model import Codec
from kinora.codec.patches import video_from_frames
from kinora.core.errors import InputError
from kinora.training.files import save_array
from kinora.training.library import frames_path
from kinora.training.parts import load_codec

__all__ = ["FrameEncoder", "LatentSet", "encode_library", "encoder_key"]

SPREAD_CLIPS = 256
"""Clips whose latents tell how wide each channel spreads."""


def encoder_key(codec: Codec) -> str:
    """A name for what the encoder does: eight hex digits over its tensors. A better decoder keeps the name."""
    digest = hashlib.sha256()
    # Buffers are the encoder; what is learned are parameters, all of the decoder.
    for name, tensor in sorted(codec.named_buffers(recurse=False)):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


class FrameEncoder:
    """A codec in the role of encoder: uint8 frames in, float16 latents out."""

    def __init__(self, codec: Codec, *, device: str = "cpu", batch: int = 8) -> None:
        self._codec = codec.to(device).eval().requires_grad_(False)
        self._device = device
        self._batch = batch
        self.key = encoder_key(codec)

    @classmethod
    def from_file(cls, path: Path, *, device: str = "cpu") -> FrameEncoder:
        """The codec stored by the codec recipe."""
        return cls(load_codec(path), device=device)

    def path(self, stem: Path) -> Path:
        """Where a shard keeps the latents of this encoder."""
        return stem.with_name(f"{stem.name}.latents-{self.key}.npy")

    @torch.inference_mode()
    def encode_frames(self, frames_NFHW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """Latents (N, K, C, h, w) of N clips."""
        parts = []
        for start in range(0, len(frames_NFHW3), self._batch):
            frames_BFHWC = torch.from_numpy(np.array(frames_NFHW3[start : start + self._batch]))
            video_BCFHW = video_from_frames(frames_BFHWC.to(self._device))
            latent_BCTHW: Tensor = self._codec.encode(video_BCFHW)
            parts.append(latent_BCTHW.transpose(1, 2).to(torch.float16).cpu().numpy())
        return np.concatenate(parts)


def encode_library(
    folder: Path, shards: list[int], encoder: FrameEncoder, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Encode every shard that has frames but no latents of this encoder yet."""
    for done, shard in enumerate(shards):
        stem = folder / f"shard-{shard:05d}"
        if not encoder.path(stem).exists() and frames_path(folder, shard).exists():
            frames_NFHW3 = np.load(frames_path(folder, shard), mmap_mode="r")
            save_array(encoder.path(stem), encoder.encode_frames(frames_NFHW3))
        if on_progress is not None:
            on_progress(done + 1, len(shards))


class LatentSet:
    """All latents of a library under one encoder; memory-mapped until `load` brings them to a device."""

    def __init__(self, folder: Path, shards: list[int], key: str) -> None:
        paths = [folder / f"shard-{shard:05d}.latents-{key}.npy" for shard in shards]
        missing = [path.name for path in paths if not path.exists()]
        if missing or not paths:
            raise InputError(
                f"{folder} lacks latents of encoder {key} for {len(missing)} of {len(paths)} shards "
                f"({', '.join(missing[:3])}); run `kinora train library` on it again with this codec."
            )
        self._parts: list[npt.NDArray[np.float16]] = [np.load(path, mmap_mode="r") for path in paths]
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])
        self._loaded: Tensor | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one clip: (K, C, h, w)."""
        return tuple(self._parts[0].shape[1:])

    def spread(self) -> tuple[float, ...]:
        """Standard deviation of each channel over some clips spread over the library."""
        clips_B = np.unique(np.linspace(0, len(self) - 1, SPREAD_CLIPS).astype(np.int64))
        frames_BT = np.tile(np.arange(self.shape[0]), (len(clips_B), 1))
        spread_C = self.take(clips_B, frames_BT, "cpu").std(dim=(0, 2, 3, 4))
        return tuple(round(max(value, 1e-3), 4) for value in spread_C.tolist())

    def load(self, device: str) -> None:
        """Hold everything on `device`, so that a batch is one index operation (a GPU has room for it)."""
        self._loaded = torch.cat([torch.from_numpy(np.array(part)) for part in self._parts]).to(device)

    def take(self, clips_B: npt.NDArray[np.int64], frames_BT: npt.NDArray[np.int64], device: str) -> Tensor:
        """Latents (B, C, T, h, w), float32, of chosen clips at chosen ones of their kept latent frames."""
        if self._loaded is not None:
            rows = torch.from_numpy(clips_B).to(self._loaded.device)[:, None]
            latent_BTCHW = self._loaded[rows, torch.from_numpy(frames_BT).to(self._loaded.device)]
            return latent_BTCHW.transpose(1, 2).float().contiguous()
        parts = np.searchsorted(self._starts, clips_B, side="right") - 1
        rows_B = clips_B - self._starts[parts]
        taken = np.stack(
            [self._parts[part][row][frames] for part, row, frames in zip(parts, rows_B, frames_BT, strict=True)]
        )
        return torch.from_numpy(taken).to(device).transpose(1, 2).float().contiguous()
