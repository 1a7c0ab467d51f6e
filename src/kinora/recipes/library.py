"""Recipe: a library of rendered clips, with latents on the way where a codec is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kinora.recipes.sizes import Size
from kinora.training.library import Library, LibraryConfig
from kinora.training.rendering import render_library

__all__ = ["READER_SEED", "codec_library", "transformer_library"]

TRANSFORMER_SEED = 0
CODEC_SEED = 500_000_000
READER_SEED = 600_000_000
"""First scene seeds, far apart, so that no part learns from what another is measured by."""

Progress = Callable[[int, int], None]


def transformer_library(
    folder: Path,
    size: Size,
    *,
    clips: int | None = None,
    latent_frames: int | None = None,
    first_seed: int = TRANSFORMER_SEED,
    mix: str = "training",
    codec: Path | None = None,
    keep_frames: bool = False,
    map_cell: int | None = None,
    device: str = "cpu",
    processes: int = 1,
    on_progress: Progress | None = None,
) -> Library:
    """Clips of scattered latent frames for the joint run and the reader, with truth maps of `map_cell` pixels a cell (0
    keeps none), by default on the latent grid.
    """
    config = LibraryConfig(
        count=size.clips if clips is None else clips,
        height=size.height,
        width=size.width,
        latent_frames=size.latent_frames if latent_frames is None else latent_frames,
        first_seed=first_seed,
        mix=mix,
        map_cell=size.codec.compression.space if map_cell is None else map_cell,
    )
    return render_library(
        folder, config, codec=codec, keep_frames=keep_frames or codec is None, device=device, processes=processes,
        on_progress=on_progress,
    )  # fmt: skip


def codec_library(
    folder: Path,
    size: Size,
    *,
    clips: int = 512,
    mix: str = "training",
    device: str = "cpu",
    processes: int = 1,
    on_progress: Progress | None = None,
) -> Library:
    """Clips of neighbouring frames for the codec and the reader."""
    config = LibraryConfig(
        count=clips, height=size.height, width=size.width, latent_frames=size.latent_frames, contiguous=True,
        first_seed=CODEC_SEED, shard_clips=64, mix=mix,
    )  # fmt: skip
    return render_library(folder, config, device=device, processes=processes, on_progress=on_progress)
