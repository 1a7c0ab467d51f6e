"""Tracks of surface points: where each goes in the picture, and when it can be seen.

Axes in names: F frames, P points, 2 pixels, 3 world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.errors import ShapeError
from kinora.world.parts import Part
from kinora.world.projection import project, unproject
from kinora.world.render import render_states
from kinora.world.scene import Scene, States
from kinora.world.solids import scene_parts

__all__ = ["Tracks", "tracks"]

Array = npt.NDArray[np.float64]

ON_SOLIDS = 0.75
"""Share of the points that start on solids, where there are any."""
HIDDEN = (0.03, 0.01)
"""A point deeper than what its pixel shows by this many metres plus this share of its depth is hidden."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracks:
    """Points that are seen in the first frame, followed through all."""

    pixels_FP2: Array
    """x right, y down; pixel centres at +0.5. NaN behind the camera."""
    visible_FP: npt.NDArray[np.bool_]
    owner_P: npt.NDArray[np.int64]
    """What each point is part of, as in `Rendered.ids_BFHW`."""


def tracks(scene: Scene, states: States, height: int, width: int, count: int, seed: int) -> Tracks:
    """Follow `count` points drawn by `seed` from the pixels of the first frame that show ground or solids.

    Raises `ShapeError` when the first frame shows only sky.
    """
    drawn = render_states([scene], [states], height=height, width=width, truth=True)
    assert drawn.ids_BFHW is not None
    assert drawn.depth_BFHW is not None
    ids_FHW, depth_FHW = drawn.ids_BFHW[0].numpy(), drawn.depth_BFHW[0].numpy().astype(np.float64)
    pixel_P = _starts(ids_FHW[0].reshape(-1), count, np.random.default_rng(seed))
    start_P2 = np.stack([pixel_P % width + 0.5, pixel_P // width + 0.5], 1)
    owner_P = ids_FHW[0].reshape(-1)[pixel_P].astype(np.int64)
    depth_P = depth_FHW[0].reshape(-1)[pixel_P]
    fov_F = states.camera_fov_F
    point_P3 = unproject(start_P2, depth_P, states.camera_pose_F34[0], float(fov_F[0]), height, width)
    point_FP3 = _carried(scene_parts(scene, states), owner_P, point_P3, len(states.time_F))
    pixels, visible = [], []
    for frame, at_P3 in enumerate(point_FP3):
        pixel_P2, depth_P = project(at_P3, states.camera_pose_F34[frame], float(fov_F[frame]), height, width)
        pixels.append(pixel_P2)
        visible.append(_seen(pixel_P2, depth_P, depth_FHW[frame]))
    return Tracks(pixels_FP2=np.stack(pixels), visible_FP=np.stack(visible), owner_P=owner_P)


def _starts(ids_N: npt.NDArray[np.int16], count: int, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Pixels to start from: most on solids, the rest on the ground."""
    solid, ground = np.flatnonzero(ids_N >= 2), np.flatnonzero(ids_N == 1)
    if not len(solid) + len(ground):
        raise ShapeError(
            "The first frame shows only sky, which has no surface to follow; let the camera see the ground."
        )
    on_solids = round(count * ON_SOLIDS) if len(ground) else count
    on_solids = on_solids if len(solid) else 0
    chosen = [draw.choice(solid, on_solids)] if on_solids else []
    chosen += [draw.choice(ground, count - on_solids)] if count > on_solids else []
    return np.concatenate(chosen).astype(np.int64)


def _carried(parts: list[Part], owner_P: npt.NDArray[np.int64], point_P3: Array, frames: int) -> Array:
    """Where points of the first frame are at every frame (F, P, 3): each moves with the part it lies on."""
    point_FP3 = np.tile(point_P3, (frames, 1, 1))
    for index, owner in enumerate(owner_P):
        own = [part for part in parts if part.owner == owner]
        if own:
            locals_ = [(point_P3[index] - part.centre_F3[0]) @ part.rotation_F33[0] for part in own]
            part, local_3 = min(zip(own, locals_, strict=True), key=lambda pair: abs(_level(pair[0], pair[1]) - 1.0))
            point_FP3[:, index] = part.centre_F3 + part.rotation_F33 @ local_3
    return point_FP3


def _level(part: Part, local_3: Array) -> float:
    """1 on a part's surface, less inside, more outside."""
    x, y, z = local_3 / np.array(part.half_3)
    if part.kind == "sphere":
        return float(np.sqrt(x * x + y * y + z * z))
    if part.kind == "cube":
        return float(max(abs(x), abs(y), abs(z)))
    if part.kind == "cylinder":
        return float(max(np.hypot(x, y), abs(z)))
    return float(max(np.hypot(x, y) + 0.5 * (1.0 + z), -z))


def _seen(pixel_P2: Array, depth_P: Array, depth_HW: Array) -> npt.NDArray[np.bool_]:
    """Which points lie in the picture and not behind what their pixel shows."""
    height, width = depth_HW.shape
    inside_P = (depth_P > 0.0) & (pixel_P2 >= 0.0).all(1) & (pixel_P2 < np.array([width, height])).all(1)
    column_P = np.where(inside_P, np.nan_to_num(pixel_P2[:, 0]), 0.0).astype(np.int64)
    row_P = np.where(inside_P, np.nan_to_num(pixel_P2[:, 1]), 0.0).astype(np.int64)
    shown_P = depth_HW[row_P, column_P]
    return np.asarray(inside_P & (depth_P <= shown_P + HIDDEN[0] + HIDDEN[1] * depth_P))
