"""Frames for a library that kept latents only: what the reader looks at, at no cost of rendering.

Decoded pictures are also nearer to what the reader will judge: films come out of the same codec.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from kinora.codec.model import Codec
from kinora.codec.patches import frames_from_video
from kinora.core.errors import InputError
from kinora.training.files import save_array, write_atomically
from kinora.training.latents import LatentSet, encoder_key
from kinora.training.library import Library, captions_path, frames_path, truth_path
from kinora.training.rendering import claim

__all__ = ["decode_library"]

_BATCH = 8


def decode_library(
    folder: Path, source: Library, codec: Codec, *, side: int, on_progress: Callable[[int, int], None] | None = None
) -> Library:
    """A library in `folder` of the clips of `source`, decoded and shrunk to `side` pixels; resumes.

    Raises `InputError` when the source's pictures are no multiple of `side` wide and high, when it has no latents of
    this codec, or when the folder holds another library.
    """
    config = source.config
    if config.height % side or config.height != config.width:
        raise InputError(
            f"{source.folder} shows pictures of {config.width} x {config.height}; they can be shrunk to squares whose "
            f"side divides theirs, not to {side}."
        )
    latents = LatentSet(source.folder, source.shards, encoder_key(codec))
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, dataclasses.replace(config, height=side, width=side, map_cell=0, count=len(source)))
    for at, shard in enumerate(source.shards):
        if not truth_path(folder, shard).exists():
            clips = np.array(source.shard_clips(at))
            frames = np.concatenate([
                _decode(codec, latents, clips[start : start + _BATCH], side) for start in range(0, len(clips), _BATCH)
            ])  # fmt: skip
            save_array(frames_path(folder, shard), frames)
            _copy(captions_path(source.folder, shard), captions_path(folder, shard))
            _copy(truth_path(source.folder, shard), truth_path(folder, shard))
        if on_progress is not None:
            on_progress(min((at + 1) * config.shard_clips, len(source)), len(source))
    return Library(folder)


@torch.inference_mode()
def _decode(codec: Codec, latents: LatentSet, clips_B: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.uint8]:
    """Frames (B, F, side, side, 3)."""
    kept_BT = np.tile(np.arange(latents.shape[0]), (len(clips_B), 1))
    video_BCFHW = codec.decode(latents.take(clips_B, kept_BT, "cpu"))
    factor = video_BCFHW.shape[-1] // side
    if factor > 1:
        video_BCFHW = functional.avg_pool3d(video_BCFHW, (1, factor, factor))
    return frames_from_video(video_BCFHW).numpy()


def _copy(here: Path, there: Path) -> None:
    write_atomically(there, lambda file: file.write(here.read_bytes()))
