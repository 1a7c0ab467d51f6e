"""What things hang from and by: frames of two posts and a bar, strings, ropes, as parts.

F pixel frames, J joints of a rope.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kinora.world.palette import linear
from kinora.world.parts import ROPE_OWNER, STRING_OWNER, Part
from kinora.world.scene import Body, Rope, Scene, States

__all__ = ["frame_half_width", "rope_parts", "string_parts"]

Array = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

POST = 0.045
"""Half the thickness of posts and bars, metres."""
ROPE_RADIUS, KNOT_RADIUS, STRING_RADIUS = 0.045, 0.085, 0.018
FRAME_GAP = 0.18
"""Metres left between a post and what swings."""
WOOD: Rgb = linear(120, 82, 50)
HEMP: Rgb = linear(206, 162, 98)
TWINE: Rgb = linear(70, 62, 56)


def rope_parts(scene: Scene, states: States) -> list[Part]:
    """Frame, straight pieces with round joints, and the knot at the end of every rope."""
    parts = []
    for r, rope in enumerate(scene.ropes):
        owner = ROPE_OWNER + r
        parts += _frame(rope.anchor, frame_half_width(rope), owner, len(states.time_F))
        joint_FJ3 = states.rope_FRJ3[:, r]
        for j in range(joint_FJ3.shape[1] - 1):
            parts.append(_rod(joint_FJ3[:, j], joint_FJ3[:, j + 1], ROPE_RADIUS, HEMP, owner))
        parts.append(_ball(joint_FJ3[:, -1], KNOT_RADIUS, HEMP, owner))
    return parts


def string_parts(scene: Scene, states: States) -> list[Part]:
    """Frame and string of every swinging body."""
    parts = []
    for i, body in enumerate(scene.bodies):
        if body.action != "swing":
            continue
        owner = STRING_OWNER + i
        parts += _frame(body.anchor, frame_half_width(body), owner, len(states.time_F))
        top_F3 = np.repeat(np.array(body.anchor)[None], len(states.time_F), axis=0)
        parts.append(_rod(top_F3, states.body_position_FN3[:, i], STRING_RADIUS, TWINE, owner))
    return parts


def frame_half_width(hung: Body | Rope) -> float:
    """Half the distance between the posts, metres: they stand clear of what swings between them."""
    if isinstance(hung, Rope):
        return max(0.7, hung.length * math.sin(abs(hung.angle)) + KNOT_RADIUS + FRAME_GAP)
    # The bar runs along x, whatever way the body swings.
    return max(0.7, abs(hung.position[0] - hung.anchor[0]) + hung.radius * 1.3 + FRAME_GAP)


def _frame(anchor: tuple[float, float, float], half: float, owner: int, frames: int) -> list[Part]:
    x, y, z = anchor
    uprights = [((x + side * half, y, 0.5 * z), (POST, POST, 0.5 * z + POST)) for side in (-1.0, 1.0)]
    return [
        Part(
            kind="cube",
            centre_F3=np.tile(np.array(centre), (frames, 1)),
            rotation_F33=np.tile(np.eye(3), (frames, 1, 1)),
            half_3=half_3,
            rgb=WOOD,
            material="matte",
            owner=owner,
        )
        for centre, half_3 in [*uprights, ((x, y, z), (half + POST, POST, POST))]
    ]


def _rod(start_F3: Array, end_F3: Array, radius: float, rgb: Rgb, owner: int) -> Part:
    """A cylinder between two points whose distance does not change."""
    along_F3 = end_F3 - start_F3
    length = float(np.linalg.norm(along_F3[0]))
    z_F3 = along_F3 / length
    # Rods hang, so that their axis is never level: x is a safe second direction.
    y_F3 = np.cross(z_F3, np.array([1.0, 0.0, 0.0]))
    y_F3 /= np.linalg.norm(y_F3, axis=1, keepdims=True)
    return Part(
        kind="cylinder",
        centre_F3=0.5 * (start_F3 + end_F3),
        rotation_F33=np.stack([np.cross(y_F3, z_F3), y_F3, z_F3], axis=2),
        # A little longer than the gap: neighbours at an angle overlap.
        half_3=(radius, radius, 0.5 * length + 0.2 * radius),
        rgb=rgb,
        material="matte",
        owner=owner,
    )


def _ball(centre_F3: Array, radius: float, rgb: Rgb, owner: int) -> Part:
    return Part(
        kind="sphere",
        centre_F3=centre_F3,
        rotation_F33=np.tile(np.eye(3), (len(centre_F3), 1, 1)),
        half_3=(radius, radius, radius),
        rgb=rgb,
        material="matte",
        owner=owner,
    )
