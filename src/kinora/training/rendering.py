"""Rendering a library, shard by shard."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from kinora.core.errors import InputError
from kinora.core.shapes import Compression
from kinora.training.blockings import clip_blocking, write_blockings
from kinora.training.clips import choose_latent_frames, clip_truth, pixel_frames
from kinora.training.files import save_array, write_atomically, write_json
from kinora.training.latents import FrameEncoder
from kinora.training.library import CAPTIONS, Library, LibraryConfig, captions_path, frames_path, shard_stem, truth_path
from kinora.training.maps import maps_path, truth_maps, write_maps
from kinora.training.scenes import clip_scene
from kinora.world.captions import describe_slots
from kinora.world.render import render_states
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots

__all__ = ["ShardTask", "captions_of", "claim", "render_library", "side_by_side"]

Task = TypeVar("Task")

_PATCH_FRAMES = Compression().time
_RENDER_BATCH = 8
"""Scenes traced together: enough to fill the vector units, small enough to stay near the caches."""


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """One shard to render or to portray, as it travels to a worker process."""

    folder: Path
    config: LibraryConfig
    shard: int
    device: str
    codec: Path | None
    keep_frames: bool


def render_library(
    folder: Path,
    config: LibraryConfig,
    *,
    device: str = "cpu",
    processes: int = 1,
    codec: Path | None = None,
    keep_frames: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Library:
    """Render whatever shards are missing. With `codec`, latents are made on the way; then the frames may be dropped.

    Raises `InputError` when the folder holds a library of another configuration, or when nothing would be kept.
    """
    if codec is None and not keep_frames:
        raise InputError("A library without frames needs a codec, or nothing would be kept. Give one, or keep frames.")
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, config)
    tasks = [
        ShardTask(folder=folder, config=config, shard=shard, device=device, codec=codec, keep_frames=keep_frames)
        for shard in range(config.shards)
        if not truth_path(folder, shard).exists()
    ]
    done = before = config.shards - len(tasks)
    began = time.monotonic()
    for _ in side_by_side(_render_shard, tasks, processes):
        done += 1
        if on_progress is not None:
            on_progress(min(done * config.shard_clips, config.count), config.count)
        _note_pace(folder, (done - before) * config.shard_clips, time.monotonic() - began, device, processes)
    return Library(folder)


def _note_pace(folder: Path, clips: int, seconds: float, device: str, processes: int) -> None:
    """Keep how fast the latest session renders, truth, captions and encoding included."""
    pace = {"clips_a_second": clips / seconds, "clips": clips, "device": device, "processes": processes}
    write_json(folder / "pace.json", pace)


def claim(folder: Path, config: LibraryConfig) -> None:
    """Write the index, or check that the one that is there says the same (a library may be made longer).

    Raises `InputError` when the folder holds another library.
    """
    index = folder / "index.json"
    if index.exists():
        held = LibraryConfig(**json.loads(index.read_text(encoding="utf-8")))
        if dataclasses.replace(held, count=config.count) != config or held.count > config.count:
            raise InputError(f"{folder} holds another library ({held}), not {config}; choose another folder.")
        if held.count % held.shard_clips and held.count != config.count:
            raise InputError(f"{folder} ends in a short shard ({held.count} clips) and cannot grow; take another.")
    write_json(index, dataclasses.asdict(config))


def side_by_side(work: Callable[[Task], None], tasks: Sequence[Task], processes: int) -> Iterator[None]:
    """Do every task, in worker processes of one thread each where there are several; yields after each one."""
    if processes <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(task)
            yield
        return
    # Spawned, not forked: a forked child inherits torch's locked thread pool.
    with multiprocessing.get_context("spawn").Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap_unordered(work, tasks)


def _render_shard(task: ShardTask) -> None:
    config = task.config
    encoder = FrameEncoder.from_file(task.codec, device=task.device) if task.codec is not None else None
    scenes = [clip_scene(seed, split=config.split, mix=config.mix) for seed in config.seeds(task.shard)]
    moments = [_moments(scene, config) for scene in scenes]
    states = [simulate(scene) for scene in scenes]
    frames_NFHW3 = _render_frames(scenes, states, moments, config, task.device)
    stem = task.folder / shard_stem(task.shard)
    if encoder is not None:
        latents = encoder.encode_frames(frames_NFHW3)
        save_array(encoder.path(stem), latents)
    if task.keep_frames:
        save_array(frames_path(task.folder, task.shard), frames_NFHW3)
    write_json(captions_path(task.folder, task.shard), [captions_of(scene) for scene in scenes])
    if config.map_cell:
        maps = _maps(scenes, states, moments, config, task.device)
        write_atomically(maps_path(stem), lambda file: write_maps(maps, file))
    told = zip(scenes, states, moments, strict=True)
    write_blockings(stem, [clip_blocking(scene, one, moment.latent_frames) for scene, one, moment in told])
    truth = _truth(scenes, states, moments, config)
    write_atomically(truth_path(task.folder, task.shard), lambda file: np.savez(file, allow_pickle=False, **truth))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moments:
    """Which moments of a scene a clip keeps."""

    latent_frames: npt.NDArray[np.int64]
    pixel_frames: list[int]


def _moments(scene: Scene, config: LibraryConfig) -> _Moments:
    rng = np.random.default_rng([scene.seed, 0x7153])
    total = 1 + (scene.frames - 1) // _PATCH_FRAMES
    if config.contiguous:
        start = int(rng.integers(0, total - config.latent_frames + 1))
        latent_frames = start + np.arange(config.latent_frames)
        return _Moments(
            latent_frames=latent_frames,
            pixel_frames=list(range(_PATCH_FRAMES * start, _PATCH_FRAMES * int(latent_frames[-1]) + 1)),
        )
    latent_frames = choose_latent_frames(config.latent_frames, total, rng)
    return _Moments(latent_frames=latent_frames, pixel_frames=pixel_frames(latent_frames))


def _render_frames(
    scenes: list[Scene], states: list[States], moments: list[_Moments], config: LibraryConfig, device: str
) -> npt.NDArray[np.uint8]:
    batch = _batch(device)
    shape = (len(scenes), len(moments[0].pixel_frames), config.height, config.width, 3)
    frames_NFHW3 = np.empty(shape, dtype=np.uint8)
    for start in range(0, len(scenes), batch):
        rows = slice(start, start + batch)
        shown = [one.at(np.array(moment.pixel_frames)) for one, moment in zip(states[rows], moments[rows], strict=True)]
        with torch.inference_mode():
            rendered = render_states(scenes[rows], shown, height=config.height, width=config.width, device=device)
        frames_NFHW3[rows] = torch.as_tensor(rendered.rgb_BFHW3).cpu().numpy()
    return frames_NFHW3


def _batch(device: str) -> int:
    return _RENDER_BATCH if device == "cpu" else 4 * _RENDER_BATCH


def _maps(
    scenes: list[Scene], states: list[States], moments: list[_Moments], config: LibraryConfig, device: str
) -> dict[str, npt.NDArray[np.generic]]:
    """Truth maps of a shard, batch by batch."""
    parts = []
    for start in range(0, len(scenes), _batch(device)):
        rows = slice(start, start + _batch(device))
        kept = [moment.latent_frames for moment in moments[rows]]
        height, width = config.height // config.map_cell, config.width // config.map_cell
        parts.append(truth_maps(scenes[rows], states[rows], kept, height=height, width=width, device=device))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def captions_of(scene: Scene) -> list[str]:
    """One text for every entry of `CAPTIONS`."""
    slots = scene_slots(scene)
    return [
        describe_slots(slots, language=language, seed=len(CAPTIONS) * scene.seed + n, length=length).text
        for n, (language, length) in enumerate(CAPTIONS)
    ]


def _truth(
    scenes: list[Scene], states: list[States], moments: list[_Moments], config: LibraryConfig
) -> dict[str, npt.NDArray[Any]]:
    truths = [
        clip_truth(scene, moment.latent_frames, height=config.height, width=config.width, states=one)
        for scene, one, moment in zip(scenes, states, moments, strict=True)
    ]
    return {
        "seeds": np.array([scene.seed for scene in scenes], dtype=np.int64),
        "positions": np.stack([moment.latent_frames for moment in moments]),
        "pose": np.stack([truth.pose_T12 for truth in truths]),
        "mouth": np.stack([truth.mouth_TS for truth in truths]),
        "face": np.stack([truth.face_T3 for truth in truths]),
    }
