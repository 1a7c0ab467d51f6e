"""Exact maps of what a clip shows, on the latent grid: what lies in a cell, how near, and how it moves.

A pretrained picture encoder gives a transformer features to lean on (Yu et al. 2024, arXiv:2410.06940). Here the
renderer knows the truth that such features only hint at, so auxiliary heads are taught these maps instead
(`kinora.training.auxiliary`). They are traced at a few rays a cell at one moment of each latent frame: 20 KB a clip of
five latent frames at 256 x 256, for 7% of the time that its pixels take (0.08 and 1.17 s of one processor core).

Axes: N clips, B batch, K latent frames kept, T latent frames of a batch, M kinds of things, h w cells, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.core.shapes import Compression
from kinora.core.slots import SHAPES
from kinora.world.projection import project, unproject
from kinora.world.render import render_states
from kinora.world.scene import Scene, States

__all__ = ["KINDS", "MapSet", "MapTargets", "cell_motion", "kind_of_ids", "maps_path", "truth_maps", "write_maps"]

KINDS = ("sky", "ground", "panel", *SHAPES, "figure", "animal", "rope")
"""What a ray can meet; a body counts as its shape."""
_RAYS = 4
"""Rays along a cell's side, one moment of each latent frame."""
_FAR = 1e4
"""Metres that the sky counts as being away."""
_BODY, _FIGURE, _ANIMAL, _ROPE, _PANEL, _IDS = 2, 32, 48, 56, 64, 128
"""Where ids of the renderer begin, see `kinora.world.render.Rendered`; strings count as ropes."""
_PATCH_FRAMES = Compression().time
_ROPE_REACH = 0.15
"""Metres from a rope's joint within which a point belongs to it and not to its frame."""

Array = npt.NDArray[np.float64]
Maps = dict[str, npt.NDArray[np.generic]]


def maps_path(stem: Path) -> Path:
    """Where a shard keeps its maps."""
    return stem.with_name(f"{stem.name}.maps.npz")


def truth_maps(
    scenes: Sequence[Scene],
    states: Sequence[States],
    latent_frames: Sequence[npt.NDArray[np.int64]],
    *,
    height: int,
    width: int,
    device: str = "cpu",
) -> Maps:
    """Maps on a grid of `height` x `width` cells of scenes (with all their states) at their kept latent frames.

    share   uint8 (N, K, M, h, w): share of each kind in a cell, of 255
    near    float16 (N, K, h, w): one over metres, the mean over the cell's rays; 0 in the sky
    motion  float16 (N, K, 2, h, w): way right and down of what the cell's middle shows during the latent frame (frame
            0: during the next), in picture sides
    """
    sides = (_RAYS * height, _RAYS * width)
    thinned = [one.at(_PATCH_FRAMES * kept) for one, kept in zip(states, latent_frames, strict=True)]
    with torch.inference_mode():
        seen = render_states(scenes, thinned, height=sides[0], width=sides[1], device=device, truth=True)
    assert seen.ids_BFHW is not None
    assert seen.depth_BFHW is not None
    ids_NKHW = seen.ids_BFHW.cpu().numpy().astype(np.int64)
    depth_NKHW = seen.depth_BFHW.cpu().numpy().astype(np.float64)
    shares, motions = [], []
    for scene, one, kept, ids_KHW, depth_KHW in zip(scenes, states, latent_frames, ids_NKHW, depth_NKHW, strict=True):
        kind_KHW = kind_of_ids(scene)[ids_KHW]
        share_MKhw = np.stack([_mean((kind_KHW == m).astype(np.float64)) for m in range(len(KINDS))])
        shares.append(np.round(255.0 * share_MKhw).astype(np.uint8).swapaxes(0, 1))
        motions.append(cell_motion(scene, one, kept, ids_KHW, depth_KHW))
    return {
        "share": np.stack(shares),
        "near": _mean(1.0 / np.maximum(depth_NKHW, 0.1)).astype(np.float16),
        "motion": np.stack(motions).astype(np.float16),
    }


def kind_of_ids(scene: Scene) -> npt.NDArray[np.int64]:
    """Index into `KINDS` by id of the renderer."""
    table = np.full(_IDS, KINDS.index("rope"))
    table[:_BODY] = (KINDS.index("sky"), KINDS.index("ground"))
    for i, body in enumerate(scene.bodies):
        table[_BODY + i] = KINDS.index(body.shape)
    table[_FIGURE:_ANIMAL] = KINDS.index("figure")
    table[_ANIMAL:_ROPE] = KINDS.index("animal")
    table[_PANEL:] = KINDS.index("panel")
    return table


def cell_motion(
    scene: Scene,
    states: States,
    latent_frames: npt.NDArray[np.int64],
    ids_KHW: npt.NDArray[np.int64],
    depth_KHW: Array,
) -> Array:
    """Way (K, 2, h, w) of what each cell's middle ray meets, from its latent frame's begin to its end."""
    height, width = ids_KHW.shape[1:]
    middle = slice(_RAYS // 2, None, _RAYS)
    rows, columns = np.meshgrid(np.arange(height)[middle], np.arange(width)[middle], indexing="ij")
    pixels_P2: Array = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float64) + 0.5
    found = []
    for k, t in enumerate(latent_frames):
        now = _PATCH_FRAMES * int(t)
        before, after = (now, now + _PATCH_FRAMES) if t == 0 else (now - _PATCH_FRAMES, now)
        ids_P = ids_KHW[k, middle, middle].ravel()
        depth_P: Array = np.minimum(depth_KHW[k, middle, middle].ravel(), _FAR)
        pose_34, fov = states.camera_pose_F34[now], float(states.camera_fov_F[now])
        points_P3 = unproject(pixels_P2, depth_P, pose_34, fov, height, width)
        ends = []
        for frame in (before, after):
            there_P3 = _moved(scene, states, points_P3, ids_P, now, frame)
            pose_34, fov = states.camera_pose_F34[frame], float(states.camera_fov_F[frame])
            ends.append(project(there_P3, pose_34, fov, height, width)[0] / min(height, width))
        way_P2 = np.clip(np.nan_to_num(ends[1] - ends[0]), -1.0, 1.0)
        found.append(way_P2.T.reshape(2, height // _RAYS, width // _RAYS))
    return np.stack(found)


def _moved(scene: Scene, states: States, points_P3: Array, ids_P: npt.NDArray[np.int64], now: int, then: int) -> Array:
    """Where points on things at frame `now` are at frame `then`. Limbs and strings count as still on their owner."""
    moved_P3 = points_P3.copy()
    for i in range(len(scene.bodies)):
        turn_33 = states.body_rotation_FN33[then, i] @ states.body_rotation_FN33[now, i].T
        _carry(moved_P3, ids_P == _BODY + i, turn_33, *states.body_position_FN3[[now, then], i])
    for m in range(len(scene.figures)):
        turn_33 = _yaw(states.figure_heading_FM[then, m] - states.figure_heading_FM[now, m])
        _carry(moved_P3, ids_P == _FIGURE + m, turn_33, *states.figure_root_FM3[[now, then], m])
    for a in range(len(scene.animals)):
        turn_33 = _yaw(states.animal_heading_FA[then, a] - states.animal_heading_FA[now, a])
        _carry(moved_P3, ids_P == _ANIMAL + a, turn_33, *states.animal_root_FA3[[now, then], a])
    for r in range(len(scene.ropes)):
        held_P = np.flatnonzero(ids_P == _ROPE + r)
        joints_J3 = states.rope_FRJ3[now, r]
        away_PJ = np.linalg.norm(points_P3[held_P, None] - joints_J3, axis=-1)
        near_P = away_PJ.min(axis=1) < _ROPE_REACH if held_P.size else np.zeros(0, dtype=bool)
        joint_P = away_PJ.argmin(axis=1)[near_P] if held_P.size else np.zeros(0, dtype=np.int64)
        moved_P3[held_P[near_P]] += (states.rope_FRJ3[then, r] - joints_J3)[joint_P]
    return moved_P3


def _carry(points_P3: Array, chosen_P: npt.NDArray[np.bool_], turn_33: Array, now_3: Array, then_3: Array) -> None:
    """Move the chosen points, in place, as a rigid thing moves."""
    points_P3[chosen_P] = (points_P3[chosen_P] - now_3) @ turn_33.T + then_3


def _yaw(angle: float) -> Array:
    """Rotation about the vertical, anticlockwise seen from above."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _mean(values_HW: Array) -> Array:
    """The mean over each cell's rays, whatever axes stand before."""
    *lead, height, width = values_HW.shape
    return np.asarray(values_HW.reshape(*lead, height // _RAYS, _RAYS, width // _RAYS, _RAYS).mean(axis=(-3, -1)))


@dataclass(frozen=True, kw_only=True, eq=False)
class MapTargets:
    """Maps of a batch, on the training device."""

    share_BMTHW: Tensor
    """Share of each of `KINDS` in a cell, adding up to 1."""
    near_BTHW: Tensor
    motion_B2THW: Tensor

    def mirrored(self) -> MapTargets:
        """Left and right swapped."""
        turned_2 = self.motion_B2THW.new_tensor([-1.0, 1.0])[:, None, None, None]
        return MapTargets(
            share_BMTHW=self.share_BMTHW.flip(-1),
            near_BTHW=self.near_BTHW.flip(-1),
            motion_B2THW=self.motion_B2THW.flip(-1) * turned_2,
        )

    def to(self, device: str) -> MapTargets:
        return MapTargets(**{name: getattr(self, name).to(device) for name in self.__dict__})


class MapSet:
    """All maps of a library."""

    def __init__(self, paths: Sequence[Path], device: str) -> None:
        """Raises `InputError` when a shard has none."""
        missing = [path.name for path in paths if not path.exists()]
        if missing or not paths:
            raise InputError(
                f"{len(missing)} of {len(paths)} shards have no truth maps ({', '.join(missing[:3])}); render the "
                "library again, or train with --maps 0."
            )
        shards = [np.load(path) for path in paths]
        self._held = {
            name: torch.from_numpy(np.concatenate([shard[name] for shard in shards])).to(device)
            for name in ("share", "near", "motion")
        }

    @property
    def grid(self) -> tuple[int, int]:
        """Cells (h, w)."""
        height, width = self._held["near"].shape[-2:]
        return int(height), int(width)

    def take(self, clips_B: npt.NDArray[np.int64], frames_BT: npt.NDArray[np.int64]) -> MapTargets:
        """Of chosen clips at chosen ones of their kept latent frames."""
        device = self._held["near"].device
        rows, frames = torch.from_numpy(clips_B).to(device)[:, None], torch.from_numpy(frames_BT).to(device)
        share_BTMHW, near_BTHW, motion_BT2HW = (self._held[name][rows, frames] for name in self._held)
        return MapTargets(
            share_BMTHW=share_BTMHW.transpose(1, 2).float() / 255.0,
            near_BTHW=near_BTHW.float(),
            motion_B2THW=motion_BT2HW.transpose(1, 2).float(),
        )


def write_maps(maps: Maps, file: IO[bytes]) -> None:
    """Into a shard's file."""
    np.savez(file, allow_pickle=False, **maps)
