"""Lessons for the reader: batches of clips and pictures from libraries that keep their frames, and the truth.

Axes: B batch, K moments, S side, P objects, F pixel frames, N clips, T latent frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import InputError
from kinora.core.slots import SLOTS_1
from kinora.training.clips import pixel_frames
from kinora.training.files import write_atomically
from kinora.training.library import Library, drawn_by_size
from kinora.training.maps import MapSet, MapTargets, maps_path, truth_maps, write_maps
from kinora.training.reader_truth import reader_truth
from kinora.understanding.config import ReaderConfig
from kinora.understanding.disturb import disturb
from kinora.understanding.moments import moments_of, resized, times_of
from kinora.understanding.truth import Asked, ReaderTruth, beside, mirrored
from kinora.world.simulate import simulate

__all__ = ["Lesson", "ReaderBatches"]

_FRAME_RATE = 16.0
"""Of every clip in a library."""
_LEAST_MOMENTS = 3
_STILL_SHARE, _STILLS_A_CLIP = 0.4, 3
_BESIDE = 0.6
"""How often an object is asked about a little beside its centre: of nine such cells one is the centre's own."""
_TRACED = 16
"""Scenes traced together."""
_PURPOSE = 0x8EAD
"""Keeps the reader's draws apart from those of other runs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """One batch."""

    moments_BKCSS: Tensor
    times_BK: Tensor
    close_B3SS: Tensor
    """The first moments' pictures, as large as the library keeps them or as a closer look needs them."""
    truth: ReaderTruth
    asked: Asked
    maps: MapTargets
    """On the reader's fine cells, at every moment."""


class ReaderBatches:
    """Batches for the reader from libraries that keep their frames; (seed, step) decides each.

    A batch shows one library, the larger ones more often. Two fifths of the batches are single pictures,
    several times as many: most slots need no motion, and pictures cost little. `stills` are libraries to take them from
    (one latent frame a clip will do); otherwise they are first frames of clips.
    Truth and maps are computed once and kept beside the libraries' shards.
    """

    def __init__(
        self, libraries: Sequence[Library], config: ReaderConfig, *, stills: Sequence[Library] = (), device: str = "cpu"
    ) -> None:
        self._config, self._device = config, device
        self._clips = [_Source(library, config) for library in libraries]
        self._stills = [_Source(library, config) for library in stills] or self._clips

    def draw(self, seed: int, step: int, size: int) -> Lesson:
        """`size` clips at three or more of the moments kept (no reader should need all of them), or pictures three
        times as many; disturbed, and half of the batches mirrored.
        """
        rng = np.random.default_rng([seed, step, _PURPOSE])
        if rng.random() < _STILL_SHARE:
            source = drawn_by_size(self._stills, rng)
            chosen, shown = rng.integers(len(source), size=_STILLS_A_CLIP * size), np.zeros(1, dtype=np.int64)
        else:
            source = drawn_by_size(self._clips, rng)
            chosen, kept = rng.integers(len(source), size=size), source.kept
            later = rng.integers(min(_LEAST_MOMENTS, kept), kept + 1) - 1
            shown = np.sort(np.append(0, rng.choice(np.arange(1, kept), size=later, replace=False)))
        moments, times, truth = source.take(chosen, shown)
        moments, times, truth = moments.to(self._device), times.to(self._device), truth.to(self._device)
        maps = source.maps(chosen, shown, self._device)
        if len(shown) == 1:
            truth = truth.without_motion(self._config)
        if rng.random() < 0.5:
            moments, truth = mirrored(moments, truth, self._config)
            maps = maps.mirrored()
        generator = torch.Generator(device=self._device).manual_seed(int(rng.integers(2**62)))
        asked = beside(truth, self._config.fine_grid, _BESIDE, generator)
        if len(shown) == 1:  # nothing changes in a first frame
            picture = disturb(moments[:, :, :3], generator)
            close, moments = picture[:, 0], functional.pad(resized(picture, self._config.size), (0, 0, 0, 0, 0, 3))
        else:
            moments = disturb(moments, generator)
            close, moments = moments[:, 0, :3], resized(moments, self._config.size)
        return Lesson(
            moments_BKCSS=moments,
            times_BK=times,
            close_B3SS=close,
            truth=truth,
            asked=asked,
            maps=maps,
        )


class _Source:
    """A library with the reader's truth about it."""

    def __init__(self, library: Library, config: ReaderConfig) -> None:
        if len(library) == 0:
            raise InputError(f"{library.folder} holds no whole shard yet; render it first.")
        self.kept: int = library.positions_NT.shape[1]
        self._library = library
        self._side = min(library.config.height, library.config.width, config.close)
        shards = range(len(library.shards))
        self._truth = ReaderTruth.join([_shard_truth(library, at, config) for at in shards])
        self._maps = MapSet([_shard_maps(library, at, config.fine_grid) for at in shards], "cpu")
        self._frames = [library.shard_frames(at) for at in shards]

    def __len__(self) -> int:
        return len(self._library)

    def take(self, chosen: npt.NDArray[np.int64], shown: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, ReaderTruth]:
        """Moments, times and truth of the chosen clips at those of the moments kept that are to be shown."""
        rows = [self._library.place(int(i)) for i in chosen]
        frames = pixel_frames(shown)
        frames_BFHW3 = torch.from_numpy(np.stack([self._frames[at][row][frames] for at, row in rows]))
        positions_BK = torch.from_numpy(self._library.positions_NT[chosen][:, shown])
        truth = self._truth.take(torch.from_numpy(chosen)).at(torch.as_tensor(shown))
        return moments_of(frames_BFHW3, self._side), times_of(positions_BK, _FRAME_RATE), truth

    def maps(self, chosen: npt.NDArray[np.int64], shown: npt.NDArray[np.int64], device: str) -> MapTargets:
        """Maps of these clips at these moments."""
        return self._maps.take(chosen, np.tile(shown, (len(chosen), 1))).to(device)


def _beside(library: Library, at: int, what: str) -> Path:
    stem = library.stem(at)
    return stem.with_name(f"{stem.name}.{what}.npz")


def _shard_truth(library: Library, at: int, config: ReaderConfig) -> ReaderTruth:
    """Truth of one shard's clips, from the file beside it if there is one for this grid and these questions."""
    key = f"boxes-{config.fine_grid}-{config.max_bodies}-{config.max_figures}"
    if config.slots != SLOTS_1 or config.max_animals:
        asked = hashlib.sha256(json.dumps(dict(config.slots)).encode()).hexdigest()[:8]
        key += f"-{config.max_animals}-{asked}"
    path = _beside(library, at, f"reader-{key}")
    if not path.exists():
        truths = [
            reader_truth(library.scene(clip), library.positions_NT[clip], config) for clip in library.shard_clips(at)
        ]
        whole = {name: np.stack([truth[name] for truth in truths]) for name in truths[0]}
        write_atomically(path, lambda file: np.savez(file, **whole))  # type: ignore[arg-type]
    return ReaderTruth.from_arrays(np.load(path))


def _shard_maps(library: Library, at: int, grid: int) -> Path:
    """The file of one shard's maps of `grid` x `grid` cells, made if it is missing."""
    path = maps_path(library.stem(at))
    if library.config.map_cell * grid == library.config.height == library.config.width:
        return path
    path = _beside(library, at, f"reader-maps-{grid}")
    if not path.exists():
        clips, made = library.shard_clips(at), []
        for start in range(0, len(clips), _TRACED):
            scenes = [library.scene(clip) for clip in clips[start : start + _TRACED]]
            kept = [library.positions_NT[clip] for clip in clips[start : start + _TRACED]]
            made.append(truth_maps(scenes, [simulate(scene) for scene in scenes], kept, height=grid, width=grid))
        whole = {name: np.concatenate([maps[name] for maps in made]) for name in made[0]}
        write_atomically(path, lambda file: write_maps(whole, file))
    return path
