"""The true blockings of a library's clips, kept beside its shards.

    shard-00000.blocking.npz   look int8 (N, P, 3), box float16 (N, K, P, 4), see `kinora.core.blocking`

Axes: N clips, B batch, K latent frames kept, T latent frames of a batch, P things, 3 looks, 4 box.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.control.blocking import blocking_maps
from kinora.core.blocking import KINDS, LOOKS, MOST_THINGS, NOTHING, Blocking
from kinora.core.shapes import Compression
from kinora.training.files import write_atomically
from kinora.training.library import Library
from kinora.world.blocking_of import scene_blocking
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate

__all__ = ["BlockingSet", "clip_blocking", "stacked", "write_blockings"]

PLACE_ERROR, SIZE_ERROR = 0.03, 0.06
"""How far training moves boxes (half picture sides) and stretches them (natural logarithm), as standard deviations: a
director's boxes are never quite right, and a model that trusts them to the cell would draw things cut off.
"""

UNSAID = 0.1
"""How often a thing's colour and detail are left out: who blocks a scene need not say everything."""

_PATCH_FRAMES = Compression().time


def clip_blocking(scene: Scene, states: States, latent_frames: npt.NDArray[np.int64]) -> Blocking:
    """The blocking of a scene (with all its states) at the middle of latent frames."""
    shown = np.maximum(_PATCH_FRAMES * latent_frames - _PATCH_FRAMES // 2, 0)
    return scene_blocking(scene, states.at(shown), latent_frames.astype(np.float32))


def stacked(blockings: Sequence[Blocking]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Looks (N, P, 3) and boxes (N, K, P, 4) of blockings with as many moments each, filled up to `MOST_THINGS`."""
    look_NP3 = np.full((len(blockings), MOST_THINGS, len(LOOKS)), NOTHING, dtype=np.int8)
    box_NKP4 = np.zeros((len(blockings), len(blockings[0].position_T), MOST_THINGS, 4), dtype=np.float16)
    for look_P3, box_KP4, blocking in zip(look_NP3, box_NKP4, blockings, strict=True):
        things = len(blocking.look_P3)
        look_P3[:things], box_KP4[:, :things] = blocking.look_P3, blocking.box_TP4
    return look_NP3, box_NKP4


def write_blockings(stem: Path, blockings: Sequence[Blocking]) -> None:
    """Keep those of one shard."""
    look_NP3, box_NKP4 = stacked(blockings)
    write_atomically(_path(stem), lambda file: np.savez(file, allow_pickle=False, look=look_NP3, box=box_NKP4))


class BlockingSet:
    """All blockings of a library."""

    def __init__(self, library: Library) -> None:
        """Works out those that are missing: a library of before blockings were kept has none."""
        for at in range(len(library.shards)):
            if not _path(library.stem(at)).exists():
                write_blockings(library.stem(at), _of_shard(library, at))
        shards = [np.load(_path(library.stem(at))) for at in range(len(library.shards))]
        self.look_NP3 = np.concatenate([shard["look"] for shard in shards])
        self.box_NKP4 = np.concatenate([shard["box"] for shard in shards])

    def take(
        self,
        clips_B: npt.NDArray[np.int64],
        frames_BT: npt.NDArray[np.int64],
        grid: tuple[int, int],
        rng: np.random.Generator,
        device: str,
        *,
        faceless: bool = False,
    ) -> Tensor:
        """Control maps (B, C, T, h, w) of chosen clips at chosen ones of their kept latent frames, each thing a little
        off its place; with `faceless`, figures have neither clothes nor hair (a portrait shows them).
        """
        look_BP3 = self.look_NP3[clips_B].astype(np.int64)
        box_BTP4 = self.box_NKP4[clips_B[:, None], frames_BT].astype(np.float32)
        unsaid_BP = rng.random(look_BP3.shape[:2]) < UNSAID
        if faceless:
            unsaid_BP |= look_BP3[..., 0] == KINDS.index("figure")
        look_BP3[unsaid_BP, 1:] = NOTHING
        off_B1P2 = rng.normal(0, PLACE_ERROR, (len(clips_B), 1, MOST_THINGS, 2))
        stretched_B1P2 = np.exp(rng.normal(0, SIZE_ERROR, (len(clips_B), 1, MOST_THINGS, 2)))
        box_BTP4[..., :2] += off_B1P2
        box_BTP4[..., 2:] *= stretched_B1P2
        look, box = torch.from_numpy(look_BP3).to(device), torch.from_numpy(box_BTP4).to(device)
        return blocking_maps(look, box, *grid)


def _path(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.blocking.npz")


def _of_shard(library: Library, at: int) -> list[Blocking]:
    found = []
    for clip in library.shard_clips(at):
        scene = library.scene(clip)
        found.append(clip_blocking(scene, simulate(scene), library.positions_NT[clip]))
    return found
