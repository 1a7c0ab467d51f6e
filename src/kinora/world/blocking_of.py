"""The true blocking of a scene: a box around each thing, seen through the camera, whether hidden by others or not.

Axes: F pixel frames, P things, 3 world or looks, 4 box or cues.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.blocking import CUES, DETAILS, KINDS, MOST_THINGS, NOTHING, Blocking
from kinora.core.slots import CAMERAS, COLOURS, SPEEDS
from kinora.world.parts import ANIMAL_OWNER, FIGURE_OWNER, PANEL_OWNER, ROPE_OWNER, STRING_OWNER, Part
from kinora.world.scene import HANDLED, Scene, States
from kinora.world.slots_of import animal_slots, body_slots, figure_slots
from kinora.world.solids import scene_parts

__all__ = ["scene_blocking"]

Array = npt.NDArray[np.float64]

NEAR = 0.1
"""Metres before the camera from which a part is seen."""
WIDEST = 3.0
"""Boxes end here, in half picture sides: a wall may be any size."""


def scene_blocking(scene: Scene, states: States, position_T: npt.NDArray[np.float32]) -> Blocking:
    """The blocking of `scene` at the frames of `states`, which are those of `position_T`: bodies, figures, animals,
    ropes and panels in this order, `MOST_THINGS` of them at most.
    """
    parts: dict[int, list[Part]] = {}
    for part in scene_parts(scene, states):
        parts.setdefault(part.owner, []).append(part)
    looks = {owner: look for owner in parts if (look := _look(scene, owner)) is not None}
    owners = sorted(looks)[:MOST_THINGS]
    frames = len(states.time_F)
    boxes = [_box(parts[owner], states) for owner in owners]
    return Blocking(
        look_P3=np.array([looks[owner] for owner in owners], dtype=np.int64).reshape(-1, 3),
        box_TP4=np.stack(boxes, axis=1).astype(np.float32) if boxes else np.zeros((frames, 0, 4), dtype=np.float32),
        position_T=position_T,
        filmed=_filmed(scene),
        cue_P4=np.array([_cue(scene, owner) for owner in owners], dtype=np.int64).reshape(-1, len(CUES)),
    )


def _filmed(scene: Scene) -> tuple[int, int]:
    camera = scene.camera
    return CAMERAS.index(camera.kind), NOTHING if camera.kind == "still" else SPEEDS.index(camera.speed)


def _look(scene: Scene, owner: int) -> tuple[int, int, int] | None:
    """Kind, colour and detail of the owner of parts; see `kinora.world.parts` for the numbers."""
    if owner >= PANEL_OWNER:
        return KINDS.index("panel"), NOTHING, NOTHING
    if owner >= ROPE_OWNER:
        return KINDS.index("rope"), NOTHING, NOTHING
    if owner >= ANIMAL_OWNER:
        return KINDS.index("animal"), COLOURS.index(scene.animals[owner - ANIMAL_OWNER].colour), NOTHING
    if owner >= FIGURE_OWNER:
        identity = scene.figures[owner - FIGURE_OWNER].identity
        return KINDS.index("figure"), COLOURS.index(identity.clothes), DETAILS.index(f"{identity.hair} hair")
    body = scene.bodies[owner - 2]
    return KINDS.index(body.shape), COLOURS.index(body.colour), DETAILS.index(body.material)


def _cue(scene: Scene, owner: int) -> list[int]:
    """Action, direction, speed and size of the owner of parts."""
    told: tuple[str | None, ...] = ()
    if owner >= PANEL_OWNER:
        pass
    elif owner >= ROPE_OWNER:
        swings = owner >= STRING_OWNER or scene.ropes[owner - ROPE_OWNER].angle != 0
        told = ("swing" if swings else "hang",)
    elif owner >= ANIMAL_OWNER:
        animal = animal_slots(scene.animals[owner - ANIMAL_OWNER], scene.camera)
        told = animal.action, animal.direction
    elif owner >= FIGURE_OWNER:
        figure = figure_slots(scene.figures[owner - FIGURE_OWNER], scene.camera)
        told = figure.action, figure.direction
    else:
        body = scene.bodies[owner - 2]
        slots = body_slots(body, scene.camera)
        action = scene.figures[0].action if body.action in HANDLED else slots.action
        told = action, slots.direction, slots.speed, slots.size
    all_told = (*told, *[None] * (len(CUES) - len(told)))
    return [NOTHING if one is None else values.index(one) for one, values in zip(all_told, CUES, strict=True)]


def _box(parts: list[Part], states: States) -> Array:
    """Box (F, 4) around some parts: each one's middle and reach along the picture's axes, at its middle's depth."""
    rotation_F33, eye_F3 = states.camera_pose_F34[:, :, :3], states.camera_pose_F34[:, :, 3]
    half_F1 = np.tan(states.camera_fov_F / 2)[:, None]
    lowest_F2 = np.full((len(half_F1), 2), np.inf)
    highest_F2 = -lowest_F2
    for part in parts:
        seen_F3 = np.einsum("fi,fij->fj", part.centre_F3 - eye_F3, rotation_F33)
        depth_F1 = seen_F3[:, 2:]
        # The picture's axes in the part's own, stretched as it is.
        axes_F23 = np.einsum("fij,fik->fjk", rotation_F33[:, :, :2], part.rotation_F33) * np.array(part.half_3)
        scale_F1 = np.where(depth_F1 > NEAR, depth_F1, np.inf) * half_F1
        middle_F2, reach_F2 = seen_F3[:, :2] / scale_F1, _reach(part.kind, axes_F23) / scale_F1
        ahead_F1 = depth_F1 > NEAR
        lowest_F2 = np.where(ahead_F1, np.minimum(lowest_F2, middle_F2 - reach_F2), lowest_F2)
        highest_F2 = np.where(ahead_F1, np.maximum(highest_F2, middle_F2 + reach_F2), highest_F2)
    unseen_F2 = ~np.isfinite(lowest_F2)
    lowest_F2, highest_F2 = (
        np.where(unseen_F2, 0.0, np.clip(edge_F2, -WIDEST, WIDEST)) for edge_F2 in (lowest_F2, highest_F2)
    )
    return np.concatenate([(lowest_F2 + highest_F2) / 2, (highest_F2 - lowest_F2) / 2], axis=1)


def _reach(kind: str, axes_F23: Array) -> Array:
    """How far (F, 2) a unit solid reaches along stretched axes: its support function. A cone counts as a cylinder."""
    if kind == "sphere":
        return np.asarray(np.linalg.norm(axes_F23, axis=-1))
    if kind == "cube":
        return np.asarray(np.abs(axes_F23).sum(axis=-1))
    return np.asarray(np.linalg.norm(axes_F23[..., :2], axis=-1) + np.abs(axes_F23[..., 2]))
