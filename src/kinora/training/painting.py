"""What a painter learns from: single moments of libraries, with the true blocking of each.

    shard-00000.ways.npz   float16 (N, K, P, 2), how far each thing goes in a latent frame, see `kinora.core.blocking`

Axes: N clips, B batch, K latent frames kept, P things, C channels, H W latent grid, 2 right and down, 3 looks, 4 box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.control.painter import Painter, painted_cells
from kinora.core.blocking import MOST_THINGS, NOTHING
from kinora.core.errors import InputError
from kinora.core.shapes import Compression
from kinora.training.batches import step_rng
from kinora.training.blockings import BlockingSet, clip_blocking
from kinora.training.files import write_atomically
from kinora.training.latents import LatentSet
from kinora.training.library import Library
from kinora.training.plan import Stage
from kinora.training.scenes import clip_split
from kinora.world.simulate import simulate

__all__ = ["Moments", "PainterJob", "painted_loss"]

AROUND_NOISE = 0.3
"""Most noise, in spreads of each channel, on what surrounds the things: a film's is never quite that of a render."""
GONE, WENT = 0.6, 0.5
"""How often things are erased elsewhere too, and how far from where they stand (half picture sides, a standard
deviation): a film's moment is drawn over one in which they stood where they no longer do.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Some moments, on the training device."""

    clean_NCHW: Tensor
    look_NP3: Tensor
    box_NP4: Tensor
    way_NP2: Tensor
    first_N: Tensor


class Moments:
    """The moments of a library's clips in which things are to be seen."""

    def __init__(self, library: Library, key: str, *, split: str = "train") -> None:
        """`key` names the encoder of the latents. Clips of other splits are left out: what a painter knows of a pair
        that is held out, it would be measured by.
        """
        blockings = BlockingSet(library)
        self._latents = LatentSet(library.folder, library.shards, key)
        self._look_NP3, self._box_NKP4 = blockings.look_NP3, blockings.box_NKP4
        self._way_NKP2 = np.concatenate([_ways(library, at) for at in range(len(library.shards))])
        self._positions_NK = library.positions_NT
        taught_N = [clip_split(int(seed), split=library.config.split, mix=library.config.mix) == split
                    for seed in library.seeds]  # fmt: skip
        reach_NKP = (self._box_NKP4[..., 2:] > 0).all(axis=-1) & (self._look_NP3[:, None, :, 0] != NOTHING)
        inside_NKP = (np.abs(self._box_NKP4[..., :2]) - self._box_NKP4[..., 2:] < 1).all(axis=-1)
        seen_NK = (reach_NKP & inside_NKP).any(axis=-1) & np.array(taught_N)[:, None]
        self.place_M2 = np.argwhere(seen_NK)
        """Clip and kept latent frame of each."""
        if not len(self.place_M2):
            raise InputError(f"{library.folder} shows no thing in any clip of the split {split!r}; render another.")

    def __len__(self) -> int:
        return len(self.place_M2)

    def take(self, chosen_B: npt.NDArray[np.int64], device: str) -> Shown:
        """Some of them, by number."""
        clip_B, frame_B = self.place_M2[chosen_B].T
        clean_BC1HW = self._latents.take(clip_B, frame_B[:, None], device)
        rows = (
            self._look_NP3[clip_B].astype(np.int64),
            self._box_NKP4[clip_B, frame_B].astype(np.float32),
            self._way_NKP2[clip_B, frame_B].astype(np.float32),
            self._positions_NK[clip_B, frame_B] == 0,
        )
        look_BP3, box_BP4, way_BP2, first_B = (torch.from_numpy(row).to(device) for row in rows)
        return Shown(
            clean_NCHW=clean_BC1HW[:, :, 0], look_NP3=look_BP3, box_NP4=box_BP4, way_NP2=way_BP2, first_N=first_B
        )


class PainterJob:
    """Feeds a painter; see `kinora.training.run.Job`."""

    name = "painter"

    def __init__(self, model: Painter, moments: Sequence[Moments], *, size: int, device: str) -> None:
        self.model = model.to(device)
        self.stages = (Stage(name="things", share=1.0, size=size),)
        self._moments = moments
        self._size = size
        self._device = device

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """What the painter gets wrong of moments out of every library, as many of each."""
        rng = step_rng(seed, step, 0)
        share = -(-self._size // len(self._moments))
        shown = [each.take(rng.integers(0, len(each), size=share), self._device) for each in self._moments]
        several = Shown(**{name: torch.cat([getattr(one, name) for one in shown]) for name in Shown.__annotations__})
        generator = torch.Generator(device=self._device).manual_seed(int(rng.integers(2**62)))
        clean_NCHW = several.clean_NCHW
        noise_NCHW = torch.randn(clean_NCHW.shape, generator=generator, device=self._device)
        level_N111 = torch.rand(len(clean_NCHW), 1, 1, 1, generator=generator, device=self._device) * AROUND_NOISE
        around_NCHW = clean_NCHW + noise_NCHW * level_N111 * self.model.spread_C11
        went_N12 = torch.randn(len(clean_NCHW), 1, 2, generator=generator, device=self._device) * WENT
        moved_NP4 = torch.cat([several.box_NP4[..., :2] + went_N12, several.box_NP4[..., 2:]], dim=-1)
        gone_N1HW = painted_cells(several.look_NP3, moved_NP4, *clean_NCHW.shape[-2:])
        gone_N1HW = gone_N1HW * (torch.rand(len(clean_NCHW), 1, 1, 1, generator=generator, device=self._device) < GONE)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            return painted_loss(self.model, several, around_NCHW, gone_N1HW)

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""


def painted_loss(painter: Painter, shown: Shown, around_NCHW: Tensor, gone_N1HW: Tensor) -> Tensor:
    """Mean absolute error in the cells that are painted, every moment weighing as much: of two ways a thing may look
    equally often, one is drawn, not both half.
    """
    told = shown.look_NP3, shown.box_NP4, shown.way_NP2, shown.first_N
    drawn_NCHW, cells_N1HW = painter(around_NCHW, *told, gone_N1HW)
    wrong_NHW = (drawn_NCHW.float() - shown.clean_NCHW).abs().mean(dim=1)
    cells_NHW = cells_N1HW[:, 0]
    return ((wrong_NHW * cells_NHW).sum(dim=(1, 2)) / cells_NHW.sum(dim=(1, 2)).clamp(min=1)).mean()


def _ways(library: Library, at: int) -> npt.NDArray[np.float16]:
    """Those of one shard, kept beside it."""
    stem = library.stem(at)
    path = stem.with_name(f"{stem.name}.ways.npz")
    if not path.exists():
        clips = library.shard_clips(at)
        way_NKP2 = np.zeros((len(clips), library.positions_NT.shape[1], MOST_THINGS, 2), dtype=np.float16)
        for row, clip in enumerate(clips):
            scene = library.scene(clip)
            states = simulate(scene)
            last = Compression().latent_frame_of(len(states.time_F) - 1)
            blocking = clip_blocking(scene, states, np.arange(last + 1))
            way_NKP2[row, :, : len(blocking.look_P3)] = blocking.way(library.positions_NT[clip].astype(np.float32))
        write_atomically(path, lambda file: np.savez(file, allow_pickle=False, way=way_NKP2))
    held: npt.NDArray[np.float16] = np.load(path)["way"]
    return held
