"""What the reader should say of clips of the world, computed from their scenes.

Axes: S scene slots, P objects (bodies first, then figures), A attributes, K moments, F pixel frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.poses import relative_poses
from kinora.core.slots import SLOTS, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.understanding.config import ObjectKind, ReaderConfig
from kinora.understanding.truth import ATTRIBUTES, UNSAID
from kinora.world.blocking_of import scene_blocking
from kinora.world.casting import one_of
from kinora.world.mix import WIDE_MIX, Mix
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots
from kinora.world.splits import SPLITS

__all__ = ["READER_MIX", "WIDE_READER_MIX", "reader_config", "reader_split", "reader_truth"]

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
_PURPOSE = 0x8EAD
"""Keeps the reader's draws apart from those of other runs."""
_FIGURE_MIDDLE = 0.5
"""Where a figure's centre is, in shares of its height."""
_ANIMAL_MIDDLE = 0.35
"""Where an animal's centre is, metres above the ground at scale 1."""
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
    states = simulate(scene).at(_PATCH_FRAMES * latent_frames)
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
