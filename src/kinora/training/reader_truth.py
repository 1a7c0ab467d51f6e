"""What the reader should say of clips of the world, computed from their scenes.

Axes: S scene slots, P objects (bodies first, then figures), A attributes, K moments, F pixel frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import InputError
from kinora.core.poses import relative_poses
from kinora.core.slots import SLOTS, SLOTS_1, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.training.clips import pixel_frames
from kinora.training.files import write_atomically
from kinora.training.library import Library, drawn_by_size
from kinora.training.maps import MapSet, MapTargets, maps_path, truth_maps, write_maps
from kinora.understanding.config import ObjectKind, ReaderConfig
from kinora.understanding.disturb import disturb
from kinora.understanding.moments import moments_of, resized, times_of
from kinora.understanding.truth import ATTRIBUTES, UNSAID, Asked, ReaderTruth, beside, mirrored
from kinora.world.blocking_of import scene_blocking
from kinora.world.casting import one_of
from kinora.world.mix import WIDE_MIX, Mix
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots
from kinora.world.splits import SPLITS

__all__ = ["READER_MIX", "WIDE_READER_MIX", "Lesson", "ReaderBatches", "reader_config", "reader_split", "reader_truth"]

Array = npt.NDArray[np.float64]
Truth = dict[str, npt.NDArray[np.generic]]

READER_MIX = Mix(
    bodies=(0.35, 0.35, 0.2, 0.1), figures=0.4, second_figure=0.3, body_beside_figure=0.5, backdrop=0.3, camera=0.55
)
"""A judge must know well what the generator sees seldom: figures, camera moves, backdrops, many bodies."""
WIDE_READER_MIX = replace(
    WIDE_MIX,
    bodies=READER_MIX.bodies,
    figures=READER_MIX.figures,
    second_figure=READER_MIX.second_figure,
    body_beside_figure=READER_MIX.body_beside_figure,
    backdrop=0.2,
    camera=0.45,
    weather=0.35,
)
"""The same in world 2.0, with more weather."""

_PATCH_FRAMES = 4
_FRAME_RATE = 16.0
"""Of every clip in a library."""
_LEAST_MOMENTS = 3
_STILL_SHARE, _STILLS_A_CLIP = 0.4, 3
_BESIDE = 0.6
"""How often an object is asked about a little beside its centre: of nine such cells one is the centre's own."""
_PURPOSE = 0x8EAD
"""Keeps the reader's draws apart from those of other runs."""
_FIGURE_MIDDLE = 0.5
"""Where a figure's centre is, in shares of its height."""
_ANIMAL_MIDDLE = 0.35
"""Where an animal's centre is, metres above the ground at scale 1."""
_TRACED = 16
"""Scenes traced together."""
_SEEN = 1.5
"""How far from the middle a centre still has a track, in half picture sides."""


def reader_config(world: str, *, size: int = 128) -> ReaderConfig:
    """What a reader of a world is asked: the slots of that world, and animals where there are any."""
    if world == "1.0":
        return ReaderConfig(size=size)
    return ReaderConfig(size=size, max_animals=1, slots=SLOTS)


def reader_split(seed: int) -> str:
    """The split a scene of the reader's library comes from: mostly train, but a judge must not hold any pair for
    unlikely, nor four bodies for the most there can be.
    """
    return one_of(np.random.default_rng([seed, _PURPOSE]), SPLITS, (0.6, 0.25, 0.15))


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Objects through the camera at each moment."""

    across_PK: Array
    """Right, in half picture sides."""
    down_PK: Array
    depth_PK: Array


def reader_truth(scene: Scene, latent_frames: npt.NDArray[np.int64], config: ReaderConfig) -> Truth:
    """The arrays of one clip that shows `scene` at `latent_frames` (0 first): `ReaderTruth`'s fields, without B."""
    return _truth_of(scene, simulate(scene), latent_frames, config)


def _truth_of(scene: Scene, states: States, latent_frames: npt.NDArray[np.int64], config: ReaderConfig) -> Truth:
    states = states.at(_PATCH_FRAMES * latent_frames)
    slots, centres = scene_slots(scene), _centres(scene, states)
    value_PA = np.full((config.objects, ATTRIBUTES), UNSAID, dtype=np.int64)
    cell_P = np.full(config.objects, UNSAID, dtype=np.int64)
    track_PK3 = np.zeros((config.objects, len(latent_frames), 3), dtype=np.float32)
    tracked_PK = np.zeros((config.objects, len(latent_frames)), dtype=np.float32)
    box_P4 = np.zeros((config.objects, 4), dtype=np.float32)
    boxes_N4 = scene_blocking(scene, states.at(np.zeros(1, dtype=np.int64)), np.zeros(1, dtype=np.float32)).box_TP4[0]
    count, first = [], 0
    for kind in config.kinds:
        things = _things(slots, kind.name)[: kind.most]
        seen = _project(centres[kind.name][:, : len(things)], states)
        place = slice(kind.places.start, kind.places.start + len(things))
        value_PA[place] = [_values(thing, kind) for thing in things] or np.empty((0, ATTRIBUTES))
        cell_P[place] = _cells(seen, config.fine_grid)
        track_PK3[place], tracked_PK[place] = _tracks(seen)
        boxed_N4 = boxes_N4[first : first + len(things)]  # fewer than the things where a scene is crowded
        box_P4[place.start : place.start + len(boxed_N4)] = boxed_N4
        first += len(_things(slots, kind.name))
        count.append(len(things))
    return {
        "scene": np.array([_index(values, getattr(slots, name)) for name, values in config.scene_slots.items()]),
        "count": np.array(count),
        "cell": cell_P,
        "box": box_P4,
        "value": value_PA,
        "track": track_PK3,
        "tracked": tracked_PK,
        "camera": _camera(states),
    }


def _index(values: tuple[str, ...], value: str | None) -> int:
    """The class of a value; a reader that does not know it is asked nothing."""
    return values.index(value) if value in values else UNSAID


def _things(slots: SceneSlots, kind: str) -> tuple[BodySlots | FigureSlots | AnimalSlots, ...]:
    if kind == "animal":
        return slots.animals
    return slots.bodies if kind == "body" else slots.figures


def _values(thing: BodySlots | FigureSlots | AnimalSlots, kind: ObjectKind) -> list[int]:
    found = [_index(values, getattr(thing, name)) for name, values in kind.slots.items()]
    return found + [UNSAID] * (ATTRIBUTES - len(found))


def _centres(scene: Scene, states: States) -> dict[str, Array]:
    """Centres (F, P, 3) of all objects by kind."""

    def raised(root_FP3: Array, heights: Sequence[float]) -> Array:
        up_P3 = np.array([[0.0, 0.0, height] for height in heights]).reshape(-1, 3)
        return root_FP3 + up_P3

    return {
        "body": states.body_position_FN3,
        "figure": raised(states.figure_root_FM3, [_FIGURE_MIDDLE * figure.identity.height for figure in scene.figures]),
        "animal": raised(states.animal_root_FA3, [_ANIMAL_MIDDLE * animal.scale for animal in scene.animals]),
    }


def _project(centre_FP3: Array, states: States) -> _Seen:
    rotation_F33, position_F3 = states.camera_pose_F34[:, :, :3], states.camera_pose_F34[:, :, 3]
    seen_FP3 = (centre_FP3 - position_F3[:, None]) @ rotation_F33
    depth_FP = seen_FP3[..., 2]
    half_FP = np.where(np.abs(depth_FP) < 1e-6, 1e-6, depth_FP) * np.tan(states.camera_fov_F / 2)[:, None]
    return _Seen(across_PK=(seen_FP3[..., 0] / half_FP).T, down_PK=(seen_FP3[..., 1] / half_FP).T, depth_PK=depth_FP.T)


def _cells(seen: _Seen, side: int) -> list[int]:
    """The fine cell of every centre at the first moment; of two in one cell, the farther takes the nearest free one."""
    column_P = np.clip((seen.across_PK[:, 0] + 1) / 2 * side, 0, side - 1e-6)
    row_P = np.clip((seen.down_PK[:, 0] + 1) / 2 * side, 0, side - 1e-6)
    cells = [UNSAID] * len(column_P)
    taken: set[int] = set()
    for p in sorted(range(len(cells)), key=lambda p: float(seen.depth_PK[p, 0])):
        order = np.argsort(_distances(row_P[p], column_P[p], side), axis=None, kind="stable")
        cells[p] = next(int(cell) for cell in order if int(cell) not in taken)
        taken.add(cells[p])
    return cells


def _distances(row: float, column: float, side: int) -> Array:
    """Distance (G, G) of every cell's middle from a place on the grid."""
    middle_G = np.arange(side) + 0.5
    return np.hypot(middle_G[:, None] - row, middle_G[None, :] - column)


def _tracks(seen: _Seen) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    inside_PK = (np.abs(seen.across_PK) < _SEEN) & (np.abs(seen.down_PK) < _SEEN) & (seen.depth_PK > 0.1)
    depth_PK = np.maximum(seen.depth_PK, 0.1)
    farther_PK = np.log(depth_PK / depth_PK[:, :1])
    track_PK3 = np.stack([seen.across_PK, seen.down_PK, farther_PK], axis=-1) * inside_PK[..., None]
    return track_PK3.astype(np.float32), inside_PK.astype(np.float32)


def _camera(states: States) -> npt.NDArray[np.float32]:
    """The camera's path (K, 7) against its first pose: rotation vector, position, log of magnification."""
    relative_F34 = relative_poses(states.camera_pose_F34)
    tangent_F = np.tan(states.camera_fov_F / 2)
    vector_F3 = np.stack([_rotation_vector(rotation_33) for rotation_33 in relative_F34[:, :, :3]])
    zoom_F1 = np.log(tangent_F[0] / tangent_F)[:, None]
    return np.concatenate([vector_F3, relative_F34[:, :, 3], zoom_F1], axis=1).astype(np.float32)


def _rotation_vector(rotation_33: Array) -> Array:
    """Axis times angle of a rotation by less than half a turn."""
    skew_3 = np.array(
        [
            rotation_33[2, 1] - rotation_33[1, 2],
            rotation_33[0, 2] - rotation_33[2, 0],
            rotation_33[1, 0] - rotation_33[0, 1],
        ]
    )
    sine = float(np.linalg.norm(skew_3)) / 2
    angle = float(np.arctan2(sine, (np.trace(rotation_33) - 1) / 2))
    return skew_3 / 2 * (angle / sine) if sine > 1e-9 else skew_3 / 2


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


def _shard_truth(library: Library, at: int, config: ReaderConfig) -> ReaderTruth:
    """Truth of one shard's clips, from the file beside it if there is one for this grid and these questions."""
    shard = library.shards[at]
    key = f"boxes-{config.fine_grid}-{config.max_bodies}-{config.max_figures}"
    if config.slots != SLOTS_1 or config.max_animals:
        asked = hashlib.sha256(json.dumps(dict(config.slots)).encode()).hexdigest()[:8]
        key += f"-{config.max_animals}-{asked}"
    path = library.folder / f"shard-{shard:05d}.reader-{key}.npz"
    if not path.exists():
        first = next(i for i in range(len(library)) if library.place(i)[0] == at)
        clips = range(first, first + len(library.config.seeds(shard)))
        truths = [reader_truth(library.scene(i), library.positions_NT[i], config) for i in clips]
        whole = {name: np.stack([truth[name] for truth in truths]) for name in truths[0]}
        write_atomically(path, lambda file: np.savez(file, **whole))  # type: ignore[arg-type]
    return ReaderTruth.from_arrays(np.load(path))


def _shard_maps(library: Library, at: int, grid: int) -> Path:
    """The file of one shard's maps of `grid` x `grid` cells, made if it is missing."""
    path = maps_path(library.stem(at))
    if library.config.map_cell * grid == library.config.height == library.config.width:
        return path
    path = path.with_name(f"{library.stem(at).name}.reader-maps-{grid}.npz")
    if not path.exists():
        first = library.first_clip(at)
        clips = range(first, first + len(library.config.seeds(library.shards[at])))
        made = []
        for start in range(0, len(clips), _TRACED):
            scenes = [library.scene(clip) for clip in clips[start : start + _TRACED]]
            kept = [library.positions_NT[clip] for clip in clips[start : start + _TRACED]]
            made.append(truth_maps(scenes, [simulate(scene) for scene in scenes], kept, height=grid, width=grid))
        whole = {name: np.concatenate([maps[name] for maps in made]) for name in made[0]}
        write_atomically(path, lambda file: write_maps(whole, file))
    return path
