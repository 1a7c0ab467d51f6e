"""Whether the camera sees what it should: boxes of things in the picture, and how they overlap.

Picture coordinates here are tangents of angles from the view axis, x right and y down; the central square of the
picture, which every aspect shows, is |x|, |y| <= tan(fov / 2).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kinora.world.cameras import start_pose
from kinora.world.scene import Body, CameraPath, Figure, Scene, States, Vec3
from kinora.world.solids import scene_parts

__all__ = ["FIGURE_SPACE", "Room", "all_in_frame", "body_box", "figure_box", "stays_visible"]

Array = npt.NDArray[np.float64]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom in the picture."""

MOST_OVERLAP = 0.22
"""Share of the smaller of two boxes that the other may cover at the start."""
FRAME_MARGIN = 0.97
"""Share of the central square that things keep within at the start."""
FREE_SPACE = 0.12
"""Metres left between the bounding cylinders of things that are not meant to touch, at the start."""
LEAST_SHOWN = 0.5
"""Share of the frames in which everything must be seen."""
FIGURE_SPACE = 0.32
"""Metres around the axis of a figure that stay free."""
ACT_SHOWN = 0.7
"""Share of the frames in which every part of an act must be seen."""
NEAREST_PART = 0.5
"""Metres kept between the camera and any part of an act."""
LEAST_DISTANCE = 0.9
"""Metres kept between the camera and the surface of any body or figure."""
SIGNS_83 = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


def body_box(body: Body) -> Array:
    """Corners (8, 3) in world axes of the upright box that holds a body."""
    corners_83 = SIGNS_83 * body.radius
    if body.shape == "cube":
        cosine, sine = math.cos(body.yaw), math.sin(body.yaw)
        corners_83 = corners_83 @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    placed_83: Array = corners_83 + np.array(body.position)
    return placed_83


def figure_box(figure: Figure) -> Array:
    """Corners (8, 3) of the upright box that holds a standing figure and, for a jumper, the top of its jump."""
    identity = figure.identity
    jump = 0.28 if figure.action == "jump" else 0.0
    half_3 = np.array([0.26 * identity.height / 1.5 * identity.girth, 0.2, 0.5 * (identity.height + jump)])
    placed_83: Array = SIGNS_83 * half_3 + np.array(figure.position) + np.array([0.0, 0.0, half_3[2]])
    return placed_83


class Room:
    """Who already has a place: in the picture at time 0 and on the ground."""

    def __init__(self, camera: CameraPath) -> None:
        self._pose_34 = start_pose(camera)
        self._edge = FRAME_MARGIN * math.tan(camera.fov / 2.0)
        self._taken: list[tuple[Rectangle, float, float, float]] = []

    def body_fits(self, body: Body) -> bool:
        """Takes the place of a body if it is free: wholly in the central square, little hidden, apart from
        everything else.
        """
        width = body.radius * (1.2 if body.shape == "cube" else 1.0)
        return self._take(body_box(body), body.position, width)

    def figure_fits(self, figure: Figure) -> bool:
        """As `body_fits`, for a figure."""
        return self._take(figure_box(figure), figure.position, FIGURE_SPACE)

    def _take(self, box_83: Array, position: Vec3, radius: float) -> bool:
        rectangle = self._seen(box_83)
        if rectangle is None:
            return False
        x, y, _ = position
        for other, other_x, other_y, other_radius in self._taken:
            if math.hypot(other_x - x, other_y - y) < radius + other_radius + FREE_SPACE or _crowded(rectangle, other):
                return False
        self._taken.append((rectangle, x, y, radius))
        return True

    def _seen(self, box_83: Array) -> Rectangle | None:
        """The box's rectangle in the picture; None when it leaves the central square or is too near."""
        seen_83 = (box_83 - self._pose_34[:, 3]) @ self._pose_34[:, :3]
        if seen_83[:, 2].min() < LEAST_DISTANCE:
            return None
        picture_82 = seen_83[:, :2] / seen_83[:, 2:]
        if np.abs(picture_82).max() > self._edge:
            return None
        (left, top), (right, bottom) = picture_82.min(axis=0), picture_82.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def _crowded(first: Rectangle, second: Rectangle) -> bool:
    """Whether two rectangles cover too much of one another."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0.0 or height <= 0.0:
        return False
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height > MOST_OVERLAP * smaller


def stays_visible(scene: Scene, states: States) -> bool:
    """Whether everything can be seen for at least half of the frames, and nothing comes too near the camera.

    Seen means: its centre is in the central square, and no nearer thing hides most of it.
    """
    middle_F3 = np.array([0.0, 0.0, 0.75])
    centre_FK3 = np.concatenate([states.body_position_FN3, states.figure_root_FM3 + middle_F3], axis=1)
    reach_K = np.array([body.radius for body in scene.bodies] + [0.3] * len(scene.figures))
    if scene.animals:
        middle_A3 = np.array([[0.0, 0.0, 0.35 * animal.scale] for animal in scene.animals])
        centre_FK3 = np.concatenate([centre_FK3, states.animal_root_FA3 + middle_A3], axis=1)
        reach_K = np.concatenate([reach_K, [0.3 * animal.scale for animal in scene.animals]])
    away_FK3 = centre_FK3 - states.camera_pose_F34[:, None, :, 3]
    if (np.linalg.norm(away_FK3, axis=2) < reach_K + LEAST_DISTANCE).any():
        return False
    seen_FK3 = away_FK3 @ states.camera_pose_F34[:, :, :3]
    depth_FK = np.maximum(seen_FK3[:, :, 2], 1e-3)
    picture_FK2 = seen_FK3[:, :, :2] / depth_FK[:, :, None]
    edge_F1 = np.tan(states.camera_fov_F / 2.0)[:, None]
    shown_FK = (np.abs(picture_FK2).max(axis=2) < edge_F1) & (seen_FK3[:, :, 2] > 0.0)
    shown_FK &= ~_hidden(picture_FK2, depth_FK, reach_K)
    return bool((shown_FK.mean(axis=0) >= LEAST_SHOWN).all())


def all_in_frame(scene: Scene, states: States) -> bool:
    """Whether every solid of an act starts in the central square and its middle stays there for most of the clip.

    Which may hide which is the act's own affair; a close shot shows a head, so only that must be in the picture.
    """
    parts = scene_parts(replace(scene, panels=()), states)
    if scene.camera.shot == "close":
        parts = [part for part in parts if part.paint == "face"]
    centre_FK3 = np.stack([part.centre_F3 for part in parts], axis=1)
    reach_K = np.array([np.mean(part.half_3) for part in parts])
    seen_FK3 = (centre_FK3 - states.camera_pose_F34[:, None, :, 3]) @ states.camera_pose_F34[:, :, :3]
    if (seen_FK3[:, :, 2] < reach_K + NEAREST_PART).any():
        return False
    edge_F1 = np.tan(states.camera_fov_F / 2.0)[:, None] * seen_FK3[:, :, 2]
    out_FK = np.abs(seen_FK3[:, :, :2]).max(axis=2)
    starts = (out_FK[0] + 0.8 * reach_K < edge_F1[0]).all()
    return bool(starts and (out_FK < edge_F1).mean(axis=0).min() >= ACT_SHOWN)


def _hidden(picture_FK2: Array, depth_FK: Array, reach_K: Array) -> npt.NDArray[np.bool_]:
    """Which things are mostly behind a nearer one, all taken as discs in the picture."""
    disc_FK = reach_K / depth_FK
    apart_FKK = np.linalg.norm(picture_FK2[:, :, None] - picture_FK2[:, None, :], axis=3)
    nearer_FKK = depth_FK[:, None, :] < depth_FK[:, :, None] - 1e-6
    hidden_FKK: npt.NDArray[np.bool_] = nearer_FKK & (apart_FKK < disc_FK[:, None, :] - 0.2 * disc_FK[:, :, None])
    hidden_FK: npt.NDArray[np.bool_] = np.any(hidden_FKK, axis=2)
    return hidden_FK
