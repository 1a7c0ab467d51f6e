"""A library: a folder of rendered clips that training reads by memory map.

    index.json                      what it was made of; written first, checked at every resume
    shard-00000.truth.npz           seeds, mirrored, positions, poses, mouths, faces of its clips
    shard-00000.captions.json       per clip, one text for every entry of `CAPTIONS`
    shard-00000.frames.npy          uint8 (clips, 1 + 4(K-1), H, W, 3)
    shard-00000.latents-<key>.npy   float16 (clips, K, C, h, w), see `kinora.training.latents`
    shard-00000.maps.npz            exact maps on the latent grid, see `kinora.training.maps`
    shard-00000.portraits.*         see `kinora.training.portrait_library`

A shard is there as a whole or not at all: every file is written beside its name and moved into place, the truth last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.training.scenes import clip_scene, mix_named
from kinora.world.scene import Scene

__all__ = [
    "CAPTIONS", "Library", "LibraryConfig", "captions_path", "drawn_by_size", "frames_path", "shard_stem", "truth_path",
    "widest",
]  # fmt: skip

Holder = TypeVar("Holder", bound=Sized)

CAPTIONS: tuple[tuple[str, str], ...] = (
    ("en", "short"), ("en", "long"), ("en", "any"), ("en", "any"),
    ("zh", "short"), ("zh", "long"), ("zh", "any"), ("zh", "any"),
)  # fmt: skip
"""Language and length of the captions kept with every clip; a training step draws one of them."""


@dataclass(frozen=True, kw_only=True)
class LibraryConfig:
    """What a library holds. Two libraries with equal configurations hold equal clips (on one kind of device)."""

    count: int
    """Clips; the last shard may be short."""
    height: int
    width: int
    latent_frames: int = 5
    """Latent frames kept of every clip (K)."""
    contiguous: bool = False
    """Keep neighbouring latent frames from a random one on, its last pixel frame standing for a first one: what a codec
    trains on. Otherwise frame 0 and random others: what a transformer trains on."""
    first_seed: int = 0
    """Clip i shows the scene of seed `first_seed + i`."""
    split: str = "train"
    mix: str = "training"
    """Name of the mix of scenes, see `kinora.training.scenes.mix_named`."""
    shard_clips: int = 128
    world: str = ""
    """Version of the world that the clips show; that of the mix, unless told."""
    map_cell: int = 0
    """Pixels along a cell of the truth maps kept beside the clips; 0 keeps none."""

    def __post_init__(self) -> None:
        if not self.world:
            object.__setattr__(self, "world", mix_named(self.mix).world)
        if self.map_cell and (self.height % self.map_cell or self.width % self.map_cell):
            raise InputError(
                f"Truth maps of {self.map_cell} pixels a cell do not fit pictures of {self.width} x {self.height}; "
                "choose sides that are multiples of a cell."
            )

    @property
    def shards(self) -> int:
        return -(-self.count // self.shard_clips)

    def seeds(self, shard: int) -> range:
        """Scene seeds of one shard."""
        start = shard * self.shard_clips
        return range(self.first_seed + start, self.first_seed + min(self.count, start + self.shard_clips))


class Library:
    """Rendered clips by number. Only whole shards count, so a library may be read while it is still growing."""

    def __init__(self, folder: Path, *, shards: int | None = None) -> None:
        """`shards` takes only the first so many: a run that resumes must find the clips it began with."""
        index = folder / "index.json"
        if not index.exists():
            raise InputError(f"{folder} is no library: it has no index.json; render one with `kinora train library`.")
        self.folder = folder
        self.config = LibraryConfig(**json.loads(index.read_text(encoding="utf-8")))
        drawn = mix_named(self.config.mix).world
        if self.config.world != drawn:
            raise InputError(
                f"{folder} shows world {self.config.world}, its mix {self.config.mix} now draws {drawn}: its seeds "
                "stand for other scenes. Render it again in a new folder."
            )
        missing = (shard for shard in range(self.config.shards) if not truth_path(folder, shard).exists())
        present = next(missing, self.config.shards)
        if shards is not None and present < shards:
            raise InputError(f"{folder} has {present} whole shards; {shards} are asked for. Render the rest first.")
        self.shards = list(range(present if shards is None else shards))
        sizes = [len(self.config.seeds(shard)) for shard in self.shards]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        truth: list[Mapping[str, npt.NDArray[Any]]] = [np.load(truth_path(folder, shard)) for shard in self.shards]
        self.seeds: npt.NDArray[np.int64] = _joined(truth, "seeds")
        self.positions_NT: npt.NDArray[np.int64] = _joined(truth, "positions")
        self.pose_NT12: npt.NDArray[np.float32] = _joined(truth, "pose")
        self.mouth_NTS: npt.NDArray[np.float32] = _joined(truth, "mouth")
        self.face_NT3: npt.NDArray[np.float32] = _joined(truth, "face")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def place(self, i: int) -> tuple[int, int]:
        """Which of the present shards holds clip `i`, and at which row."""
        at = int(np.searchsorted(self._starts, i, side="right")) - 1
        return at, i - int(self._starts[at])

    def first_clip(self, at: int) -> int:
        """Number of the first clip of the `at`-th present shard."""
        return int(self._starts[at])

    def shard_clips(self, at: int) -> range:
        """Numbers of the clips of the `at`-th present shard."""
        return range(self.first_clip(at), int(self._starts[at + 1]))

    def frames(self, i: int) -> npt.NDArray[np.uint8]:
        """Pixels (1 + 4(K-1), H, W, 3) of clip `i`."""
        at, row = self.place(i)
        return np.asarray(self.shard_frames(at)[row])

    def shard_frames(self, at: int) -> npt.NDArray[np.uint8]:
        """All pixels of the `at`-th present shard, memory-mapped."""
        path = frames_path(self.folder, self.shards[at])
        if not path.exists():
            raise InputError(f"{path} is not there: this library keeps latents only; render it again with its frames.")
        frames: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return frames

    def stem(self, at: int) -> Path:
        """What the files of the `at`-th present shard begin with."""
        return self.folder / shard_stem(self.shards[at])

    def pace(self) -> dict[str, Any]:
        """Clips a second at which it was rendered, on what; empty for a library of before this was noted."""
        path = self.folder / "pace.json"
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return held

    def captions(self) -> list[list[str]]:
        """For every clip, one text for every entry of `CAPTIONS`."""
        texts: list[list[str]] = []
        for shard in self.shards:
            texts.extend(json.loads(captions_path(self.folder, shard).read_text(encoding="utf-8")))
        return texts

    def scene(self, i: int) -> Scene:
        """The scene that clip `i` shows."""
        return clip_scene(int(self.seeds[i]), split=self.config.split, mix=self.config.mix)


def drawn_by_size(holders: Sequence[Holder], rng: np.random.Generator) -> Holder:
    """One of several holders of clips, the larger ones more often; for a single one no number is drawn."""
    if len(holders) == 1:
        return holders[0]
    clips_P = np.array([len(holder) for holder in holders], dtype=np.float64)
    return holders[int(rng.choice(len(holders), p=clips_P / clips_P.sum()))]


def widest(libraries: Iterable[Library]) -> Library:
    """Of several libraries the one that speaks for a model: of the latest world, and the largest of these."""
    return max(libraries, key=lambda one: (one.config.world, len(one)))


def shard_stem(shard: int) -> str:
    """What the names of a shard's files begin with."""
    return f"shard-{shard:05d}"


def truth_path(folder: Path, shard: int) -> Path:
    """The file that is written last: where it is, the shard is whole."""
    return folder / f"{shard_stem(shard)}.truth.npz"


def frames_path(folder: Path, shard: int) -> Path:
    """Where a shard keeps its pixels, if it does."""
    return folder / f"{shard_stem(shard)}.frames.npy"


def captions_path(folder: Path, shard: int) -> Path:
    """Where a shard keeps its captions."""
    return folder / f"{shard_stem(shard)}.captions.json"


def _joined(truth: list[Mapping[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[Any]:
    return np.concatenate([part[name] for part in truth]) if truth else np.zeros((0,))
