"""The portraits of a library: rendered beside its clips, without touching them.

    shard-00000.portraits.json                    per portrait: which clip of the shard, which figure, eight captions
    shard-00000.portraits.npy                     uint8 (portraits, 1, H, W, 3)
    shard-00000.portraits.latents-<key>.npy       float16 (portraits, 1, C, h, w)

The JSON is written last: where it is, the shard's portraits are whole.
Axes: P portraits, C channels, h w latent grid, L text positions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kinora.core.errors import InputError
from kinora.training.files import write_atomically, write_json
from kinora.training.latents import FrameEncoder
from kinora.training.library import Library, captions_path, shard_stem
from kinora.training.portraits import chosen_figure, faceless_captions, portrait_scene
from kinora.training.rendering import ShardTask, side_by_side
from kinora.training.scenes import clip_scene
from kinora.world.render import render
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots

__all__ = ["Portraits", "encode_portraits", "portrait_shards", "render_portraits"]

SOMEBODY = ("person", "figure")
"""One of these is in every English caption of a scene with figures."""
_RENDER_BATCH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Portraits:
    """All portraits of a library under one encoder."""

    clips_P: npt.NDArray[np.int64]
    """The clip that each belongs to, by its number in the library."""
    figures_P: npt.NDArray[np.int64]
    captions: list[list[str]]
    """Of each, one text for every entry of `CAPTIONS`, without what the portrait shows."""
    latent_PChw: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.clips_P)

    @classmethod
    def read(cls, library: Library, key: str, *, shards: int) -> Portraits | None:
        """Those of the first `shards` shards, encoded by encoder `key`; None when there are none.

        Raises `InputError` when latents are missing.
        """
        clips, figures, captions, latents = [], [], [], []
        for at, shard in enumerate(library.shards[:shards]):
            told = json.loads(_told_path(library.folder, shard).read_text(encoding="utf-8"))
            if not told["rows"]:
                continue
            path = _stem(library.folder, shard).with_name(f"{shard_stem(shard)}.portraits.latents-{key}.npy")
            if not path.exists():
                raise InputError(
                    f"{path} is not there: run `kinora train library --portraits` on {library.folder} with this codec."
                )
            clips.append(library.first_clip(at) + np.array(told["rows"], dtype=np.int64))
            figures.append(np.array(told["figures"], dtype=np.int64))
            captions.extend(told["captions"])
            latents.append(np.load(path)[:, 0])
        if not clips:
            return None
        return cls(
            clips_P=np.concatenate(clips),
            figures_P=np.concatenate(figures),
            captions=captions,
            latent_PChw=np.concatenate(latents),
        )


def portrait_shards(library: Library) -> int:
    """How many of the library's shards, from the first on, have their portraits."""
    missing = (at for at, shard in enumerate(library.shards) if not _told_path(library.folder, shard).exists())
    return next(missing, len(library.shards))


def render_portraits(
    folder: Path,
    *,
    device: str = "cpu",
    processes: int = 1,
    codec: Path | None = None,
    keep_frames: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Library:
    """Render what portraits are missing of the whole shards of a library; with `codec`, encode them too."""
    if codec is None and not keep_frames:
        raise InputError("Portraits without frames need a codec, or nothing would be kept. Give one, or keep frames.")
    library = Library(folder)
    encoder = None if codec is None else FrameEncoder.from_file(codec, device=device)
    if encoder is not None:
        encode_portraits(library, encoder, shards=len(library.shards))
    tasks = [
        ShardTask(
            folder=folder, config=library.config, shard=shard, device=device, codec=codec, keep_frames=keep_frames
        )
        for shard in library.shards
        if not _is_whole(folder, shard, encoder)
    ]
    done = len(library.shards) - len(tasks)
    for _ in side_by_side(_render_shard, tasks, processes):
        done += 1
        if on_progress is not None:
            on_progress(min(done * library.config.shard_clips, len(library)), len(library))
    return library


def encode_portraits(library: Library, encoder: FrameEncoder, *, shards: int) -> None:
    """Encode those of the first `shards` shards that have frames but no latents of this encoder yet."""
    for shard in library.shards[:shards]:
        stem = _stem(library.folder, shard)
        frames = stem.with_name(f"{stem.name}.npy")
        if frames.exists() and not encoder.path(stem).exists():
            latents = encoder.encode_frames(np.load(frames, mmap_mode="r"))
            write_atomically(encoder.path(stem), partial(_save, latents))


def _is_whole(folder: Path, shard: int, encoder: FrameEncoder | None) -> bool:
    """Whether a shard has its portraits; where an encoder is given, whether they are encoded by it."""
    told = _told_path(folder, shard)
    if not told.exists() or encoder is None:
        return told.exists()
    return encoder.path(_stem(folder, shard)).exists() or not json.loads(told.read_text(encoding="utf-8"))["rows"]


def _render_shard(task: ShardTask) -> None:
    told: dict[str, list[Any]] = {"rows": [], "figures": [], "captions": []}
    portraits = []
    for row, scene, m in _cast(task):
        told["rows"].append(row)
        told["figures"].append(m)
        told["captions"].append(faceless_captions(scene_slots(scene), m, scene.seed))
        portraits.append(portrait_scene(scene, m, scene.seed))
    if portraits:
        _keep(task, _rendered(portraits, task))
    write_json(_told_path(task.folder, task.shard), told)


def _cast(task: ShardTask) -> Iterator[tuple[int, Scene, int]]:
    """Row, scene and chosen figure of every clip of a shard in which somebody is."""
    config = task.config
    captions = json.loads(captions_path(task.folder, task.shard).read_text(encoding="utf-8"))
    for row, (seed, texts) in enumerate(zip(config.seeds(task.shard), captions, strict=True)):
        # Captions mention everybody. Reading them takes no time; sampling a scene takes as long as its portrait.
        if not any(word in text for text in texts for word in SOMEBODY):
            continue
        scene = clip_scene(seed, split=config.split, mix=config.mix)
        m = chosen_figure(scene)
        if m is not None:
            yield row, scene, m


def _rendered(portraits: list[Scene], task: ShardTask) -> npt.NDArray[np.uint8]:
    """Frame 0 of every scene, (P, 1, H, W, 3)."""
    config, batches = task.config, []
    for start in range(0, len(portraits), _RENDER_BATCH):
        scenes = portraits[start : start + _RENDER_BATCH]
        frames = [[0]] * len(scenes)
        rendered = render(scenes, height=config.height, width=config.width, frames=frames, device=task.device)
        batches.append(torch.as_tensor(rendered.rgb_BFHW3).cpu().numpy())
    return np.concatenate(batches)


def _keep(task: ShardTask, frames_P1HW3: npt.NDArray[np.uint8]) -> None:
    stem = _stem(task.folder, task.shard)
    if task.codec is not None:
        encoder = FrameEncoder.from_file(task.codec, device=task.device)
        latents = encoder.encode_frames(frames_P1HW3)
        write_atomically(encoder.path(stem), partial(_save, latents))
    if task.keep_frames:
        write_atomically(stem.with_name(f"{stem.name}.npy"), partial(_save, frames_P1HW3))


def _save(array: npt.NDArray[np.generic], file: Any) -> None:
    np.save(file, array)


def _stem(folder: Path, shard: int) -> Path:
    return folder / f"{shard_stem(shard)}.portraits"


def _told_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard_stem(shard)}.portraits.json"
