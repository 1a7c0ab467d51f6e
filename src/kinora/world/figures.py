"""Toy people as parts: at most sixteen solids each, posed at every frame.

Figure axes: x its own left, y its back, z up; at heading 0 they are the world's axes, so it faces the starting camera.
The head is about a third of the height, so that a face can be read in a small picture. F pixel frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.world.palette import COLOUR_RGB, linear
from kinora.world.parts import FIGURE_OWNER, Part
from kinora.world.scene import Figure, States

__all__ = ["HAIR_RGB", "HEAD_HALF", "figure_parts", "head_centre"]

Array = npt.NDArray[np.float64]
Vec3 = tuple[float, float, float]

HAIR_RGB: dict[str, Vec3] = {
    "black": linear(26, 24, 28),
    "brown": linear(116, 66, 32),
    "yellow": linear(248, 206, 60),
    "red": linear(196, 62, 20),
    "white": linear(236, 236, 240),
}
"""Linear RGB of every value of the slot `figure.hair`."""

SHOE_RGB = linear(52, 42, 44)
HEAD_HALF: Vec3 = (0.178, 0.162, 0.174)
"""Half extents of a head of size 1, in heights of the figure."""
CHIN, HIP, SHOULDER = 0.648, 0.285, 0.58
"""Heights of chin, hip and shoulder over the ground, in heights of the figure."""


@dataclass(frozen=True, kw_only=True)
class Lump:
    """A lump of hair in units of the head: the head is the unit sphere, x own left, y back, z up."""

    centre: Vec3
    half: Vec3
    kind: str = "sphere"
    turn: Vec3 = (0.0, 0.0, 1.0)
    """Where its own z axis points."""


CAP = Lump(centre=(0.0, 0.17, 0.17), half=(1.045, 1.03, 1.04))
HAIR_STYLES: tuple[tuple[Lump, ...], ...] = (
    (CAP, Lump(centre=(0.0, -0.62, 0.86), half=(0.56, 0.34, 0.22))),
    (
        Lump(centre=(0.0, 0.24, 0.10), half=(1.12, 1.02, 1.10)),
        Lump(centre=(0.93, 0.02, -0.42), half=(0.22, 0.46, 0.56)),
        Lump(centre=(-0.93, 0.02, -0.42), half=(0.22, 0.46, 0.56)),
    ),
    (CAP, Lump(centre=(0.0, 0.30, 1.30), half=(0.42, 0.42, 0.38))),
    (
        CAP,
        Lump(centre=(0.0, -0.30, 1.22), half=(0.30, 0.30, 0.36), kind="cone", turn=(0.0, -0.35, 1.0)),
        Lump(centre=(0.55, 0.05, 1.08), half=(0.30, 0.30, 0.38), kind="cone", turn=(0.75, 0.1, 1.0)),
        Lump(centre=(-0.55, 0.05, 1.08), half=(0.30, 0.30, 0.38), kind="cone", turn=(-0.75, 0.1, 1.0)),
    ),
    (
        Lump(centre=(0.0, 0.20, 0.15), half=(1.09, 1.04, 1.06)),
        Lump(centre=(0.0, 0.62, -0.75), half=(0.92, 0.50, 1.15)),
        Lump(centre=(0.92, 0.10, -0.62), half=(0.20, 0.34, 0.80)),
        Lump(centre=(-0.92, 0.10, -0.62), half=(0.20, 0.34, 0.80)),
    ),
)
"""Hair by `Identity.hair_style`: short, bob, bun, spiky, long."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A moving set of axes: a point p lies in the world at `origin + turn @ p`."""

    origin_F3: Array
    turn_F33: Array

    def moved(self, offset: Vec3, turn_F33: Array | None = None) -> Frame:
        """Axes whose origin lies at `offset` in these, turned further by `turn_F33`."""
        origin_F3 = self.origin_F3 + self.turn_F33 @ np.array(offset)
        return Frame(origin_F3=origin_F3, turn_F33=self.turn_F33 if turn_F33 is None else self.turn_F33 @ turn_F33)


def figure_parts(figure: Figure, states: States, m: int) -> list[Part]:
    """The solids of figure `m` at every frame of `states`, all with owner `FIGURE_OWNER + m`; the head has paint
    "face".
    """
    identity = figure.identity
    body = _body_axes(figure, states, m)
    left_arm_F, right_arm_F, left_leg_F, right_leg_F = states.figure_limbs_FM4[:, m].T
    tall, wide = identity.height, identity.girth
    parts = [
        *_trunk(body, tall, wide, COLOUR_RGB[identity.clothes], identity.skin),
        *_arm(body, 1.0, left_arm_F, tall, wide, COLOUR_RGB[identity.clothes], identity.skin),
        *_arm(body, -1.0, right_arm_F, tall, wide, COLOUR_RGB[identity.clothes], identity.skin),
        *_leg(body, 1.0, left_leg_F, tall, wide, identity.trousers),
        *_leg(body, -1.0, right_leg_F, tall, wide, identity.trousers),
        *_head(figure, states, m),
    ]
    return [replace(part, owner=FIGURE_OWNER + m) for part in parts]


def head_centre(figure: Figure, states: States, m: int) -> Array:
    """Where the middle of the head is, world metres (F, 3): what a camera or a face box aims at."""
    return _head_axes(figure, states, m).origin_F3


def _body_axes(figure: Figure, states: States, m: int) -> Frame:
    """Axes between the feet, turned to the heading; they sink with each stride: the straighter leg stays planted."""
    root_F3 = states.figure_root_FM3[:, m].astype(np.float64)
    reach_F = np.cos(states.figure_limbs_FM4[:, m, 2:]).max(axis=1)
    root_F3[:, 2] -= HIP * figure.identity.height * (1.0 - reach_F)
    return Frame(origin_F3=root_F3, turn_F33=_turn_z(states.figure_heading_FM[:, m]))


def _head_axes(figure: Figure, states: States, m: int) -> Frame:
    identity = figure.identity
    body = _body_axes(figure, states, m)
    yaw_F, pitch_F = states.figure_head_FM2[:, m].T
    # It nods about the neck, not about its middle.
    neck = body.moved((0.0, 0.0, CHIN * identity.height), _turn_z(yaw_F) @ _turn_x(pitch_F))
    return neck.moved((0.0, 0.0, 0.94 * HEAD_HALF[2] * identity.head * identity.height))


def _trunk(body: Frame, tall: float, wide: float, clothes: Vec3, skin: Vec3) -> list[Part]:
    """Trunk, shoulders and neck."""
    girth = wide * tall
    return [
        _part(
            body.moved((0.0, 0.0, 0.41 * tall)), (0.128 * girth, 0.098 * girth, 0.145 * tall), clothes, kind="cylinder"
        ),
        _part(body.moved((0.0, 0.0, 0.555 * tall)), (0.128 * girth, 0.098 * girth, 0.08 * tall), clothes),
        _part(body.moved((0.0, 0.0, 0.635 * tall)), (0.048 * girth, 0.048 * girth, 0.05 * tall), skin, kind="cylinder"),
    ]


def _arm(body: Frame, side: float, swing_F: Array, tall: float, wide: float, clothes: Vec3, skin: Vec3) -> list[Part]:
    """Sleeve and hand on one side (+1 left, -1 right), hanging a little outward from the shoulder."""
    outward = np.full(len(swing_F), -0.30 * side)
    arm = body.moved((side * 0.125 * wide * tall, 0.0, SHOULDER * tall), _turn_x(-swing_F) @ _turn_y(outward))
    return [
        _part(arm.moved((0.0, 0.0, -0.115 * tall)), (0.046 * tall, 0.048 * tall, 0.135 * tall), clothes),
        _part(arm.moved((0.0, 0.0, -0.262 * tall)), (0.043 * tall, 0.043 * tall, 0.043 * tall), skin),
    ]


def _leg(body: Frame, side: float, swing_F: Array, tall: float, wide: float, trousers: Vec3) -> list[Part]:
    """Leg and shoe on one side."""
    leg = body.moved((side * 0.066 * wide * tall, 0.0, HIP * tall), _turn_x(-swing_F))
    return [
        # It ends at the hip: a longer or thicker one would come out of the shirt when it swings.
        _part(
            leg.moved((0.0, 0.0, -0.13 * tall)),
            (0.058 * wide * tall, 0.060 * wide * tall, 0.13 * tall),
            trousers,
            kind="cylinder",
        ),
        _part(leg.moved((0.0, -0.028 * tall, -0.247 * tall)), (0.062 * tall, 0.098 * tall, 0.038 * tall), SHOE_RGB),
    ]


def _head(figure: Figure, states: States, m: int) -> list[Part]:
    """Head and hair; raises `InputError` for an unknown hair style."""
    identity = figure.identity
    if not 0 <= identity.hair_style < len(HAIR_STYLES):
        raise InputError(f"There is no hair style {identity.hair_style}; styles run from 0 to {len(HAIR_STYLES) - 1}.")
    head = _head_axes(figure, states, m)
    half = np.array(HEAD_HALF) * identity.head * identity.height
    parts = [_part(head, _vec3(half), identity.skin, paint="face")]
    for lump in HAIR_STYLES[identity.hair_style]:
        axes = head.moved(_vec3(half * lump.centre), _pointing(lump.turn))
        parts.append(_part(axes, _vec3(half * lump.half), HAIR_RGB[identity.hair], kind=lump.kind))
    return parts


def _part(axes: Frame, half: Vec3, rgb: Vec3, *, kind: str = "sphere", paint: str | None = None) -> Part:
    return Part(
        kind=kind,
        centre_F3=axes.origin_F3,
        rotation_F33=axes.turn_F33,
        half_3=half,
        rgb=rgb,
        material="matte",
        owner=FIGURE_OWNER,
        paint=paint,
    )


def _vec3(value_3: Array) -> Vec3:
    x, y, z = map(float, value_3)
    return x, y, z


def _pointing(direction: Vec3) -> Array:
    """A rotation (1, 3, 3) that takes z to `direction`."""
    z_3 = np.array(direction) / np.linalg.norm(direction)
    x_3 = np.cross([0.0, 1.0, 0.0], z_3)
    x_3 = x_3 / np.linalg.norm(x_3)
    return np.column_stack([x_3, np.cross(z_3, x_3), z_3])[None]


def _turn_x(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about x: positive takes the front (-y) down."""
    return _turn(angle_F, 1, 2)


def _turn_y(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about y: positive takes z to x."""
    return _turn(angle_F, 2, 0)


def _turn_z(angle_F: Array) -> Array:
    """Rotations (F, 3, 3) about z: positive turns to the own left."""
    return _turn(angle_F, 0, 1)


def _turn(angle_F: Array, first: int, second: int) -> Array:
    """Rotations that take axis `first` towards axis `second`."""
    turn_F33 = np.broadcast_to(np.eye(3), (len(angle_F), 3, 3)).copy()
    cosine_F, sine_F = np.cos(angle_F), np.sin(angle_F)
    turn_F33[:, first, first], turn_F33[:, second, second] = cosine_F, cosine_F
    turn_F33[:, second, first], turn_F33[:, first, second] = sine_F, -sine_F
    return turn_F33
