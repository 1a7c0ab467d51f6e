"""What a director learns from: scenes that nobody renders, told in words and as blockings.

Axes: N scenes, B batch, L text positions, T moments, P things, 2 move and speed of a camera, 3 looks,
4 box or cues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.blocking import CUES, MOST_THINGS, NOTHING, Blocking
from kinora.language.director import Director
from kinora.language.encoder import TextEncoder
from kinora.language.tokenizer import PAD, Tokenizer
from kinora.training.batches import step_rng, token_table
from kinora.training.blockings import clip_blocking, stacked
from kinora.training.files import write_atomically
from kinora.training.library import CAPTIONS
from kinora.training.plan import Stage
from kinora.training.rendering import captions_of, side_by_side
from kinora.training.scenes import clip_scene
from kinora.world.simulate import simulate

__all__ = ["DirectorJob", "ScriptPool", "ScriptTask", "read_scripts", "script_tasks"]

GROUPS = 4
POOL_SCENES = 512
"""Scenes of one file: some ten seconds of work."""


@dataclass(frozen=True, kw_only=True)
class ScriptTask:
    """One file of scenes, as it travels to a worker process."""

    path: Path
    seeds: range
    mix: str
    split: str
    positions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScriptPool:
    """Captions of many scenes with their blockings."""

    texts: list[list[str]]
    """For every scene, one text for every entry of `CAPTIONS`."""
    look_NP3: npt.NDArray[np.int8]
    box_NTP4: npt.NDArray[np.float16]
    filmed_N2: npt.NDArray[np.int8]
    cue_NP4: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.texts)


def script_tasks(
    folder: Path, mixes: Sequence[str], scenes: int, positions: tuple[int, ...], *, first_seed: int, split: str
) -> list[ScriptTask]:
    """The files in `folder` that hold `scenes` scenes of each mix."""
    last = first_seed + scenes
    return [
        ScriptTask(
            path=folder / f"cued-{len(positions)}-{mix}-{split}-{start}-{min(start + POOL_SCENES, last)}.npz",
            seeds=range(start, min(start + POOL_SCENES, last)), mix=mix, split=split, positions=positions,
        )
        for mix in mixes
        for start in range(first_seed, last, POOL_SCENES)
    ]  # fmt: skip


def read_scripts(
    tasks: Sequence[ScriptTask], *, processes: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> ScriptPool:
    """The scenes of some tasks; files that are missing are written first."""
    missing = [task for task in tasks if not task.path.exists()]
    for done, _ in enumerate(side_by_side(_write, missing, processes), start=1):
        if on_progress is not None:
            on_progress(done, len(missing))
    files = [np.load(task.path) for task in tasks]
    return ScriptPool(
        texts=[texts for file in files for texts in json.loads(file["texts"].tobytes())],
        look_NP3=np.concatenate([file["look"] for file in files]),
        box_NTP4=np.concatenate([file["box"] for file in files]),
        filmed_N2=np.concatenate([file["filmed"] for file in files]),
        cue_NP4=np.concatenate([file["cue"] for file in files]),
    )


def _write(task: ScriptTask) -> None:
    scenes = [clip_scene(seed, split=task.split, mix=task.mix) for seed in task.seeds]
    positions = np.array(task.positions)
    blockings = [clip_blocking(scene, simulate(scene), positions) for scene in scenes]
    look, box = stacked(blockings)
    texts = json.dumps([captions_of(scene) for scene in scenes], ensure_ascii=False)
    held: dict[str, Any] = {
        "texts": np.frombuffer(texts.encode("utf-8"), dtype=np.uint8),
        "look": look,
        "box": box,
        "filmed": np.array([blocking.filmed for blocking in blockings], dtype=np.int8),
        "cue": _cues(blockings),
    }
    task.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(task.path, lambda file: np.savez_compressed(file, allow_pickle=False, **held))


def _cues(blockings: Sequence[Blocking]) -> npt.NDArray[np.int8]:
    """Cues (N, P, 4), filled up to `MOST_THINGS`."""
    cue_NP4 = np.full((len(blockings), MOST_THINGS, len(CUES)), NOTHING, dtype=np.int8)
    for cue_P4, blocking in zip(cue_NP4, blockings, strict=True):
        if blocking.cue_P4 is not None:
            cue_P4[: len(blocking.look_P3)] = blocking.cue_P4
    return cue_NP4


class DirectorJob:
    """Feeds a director; see `kinora.training.run.Job`. The text encoder stays as it is: others read it too."""

    name = "director"

    def __init__(
        self, model: Director, text: TextEncoder, pool: ScriptPool, tokenizer: Tokenizer, *, size: int, device: str
    ) -> None:
        self.model = model.to(device)
        self.stages = (Stage(name="blocking", share=1.0, size=size),)
        self._text = text.to(device).eval().requires_grad_(requires_grad=False)
        self._pool = pool
        self._tokens = token_table(pool.texts, tokenizer, text.config.length)
        self._size = size
        self._device = device

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """What the director gets wrong of one batch of scenes, each under one of its captions."""
        rng = step_rng(seed, step, 0)
        return self.loss_of(rng.integers(0, len(self._pool), size=self._size), rng)

    def loss_of(self, chosen_B: npt.NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """The same of chosen scenes. Scenes with as many things go together, so that little of a batch is padding; each
        group weighs as much as it tells.
        """
        tokens_BL = self._tokens[chosen_B, rng.integers(0, len(CAPTIONS), size=len(chosen_B))]
        things_B = (self._pool.look_NP3[chosen_B, :, 0] != NOTHING).sum(axis=1)
        groups = np.array_split(np.argsort(things_B, kind="stable"), GROUPS)
        told = [float(things_B[rows].sum() + len(rows)) for rows in groups]
        losses = [
            self._loss(tokens_BL[rows], chosen_B[rows]) * weight for rows, weight in zip(groups, told, strict=True)
        ]
        return torch.stack(losses).sum() / sum(told)

    def _loss(self, tokens_BL: npt.NDArray[np.int16], chosen_B: npt.NDArray[np.int64]) -> Tensor:
        longest = max(1, int((tokens_BL != PAD).sum(axis=1).max()))
        ids_BL = torch.from_numpy(tokens_BL[:, :longest].astype(np.int64)).to(self._device)
        look_BP3 = torch.from_numpy(self._pool.look_NP3[chosen_B].astype(np.int64)).to(self._device)
        box_BTP4 = torch.from_numpy(self._pool.box_NTP4[chosen_B].astype(np.float32)).to(self._device)
        filmed_B2 = torch.from_numpy(self._pool.filmed_N2[chosen_B].astype(np.int64)).to(self._device)
        cue_BP4 = None
        if self.model.config.cues:
            cue_BP4 = torch.from_numpy(self._pool.cue_NP4[chosen_B].astype(np.int64)).to(self._device)
        return self.model.loss(self._text(ids_BL), look_BP3, box_BTP4, filmed_B2, cue_BP4)

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""
