"""Toy people as parts: at most sixteen solids each, and three for a hat, posed at every frame.

Figure axes: x its own left, y its back, z up; at heading 0 they are the world's axes, so it faces the starting camera.
The head is about a third of the height, so that a face can be read in a small picture. F pixel frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.world.axes import Frame, Vec3, pointing, turn_x, turn_y, turn_z, vec3
from kinora.world.palette import COLOUR_RGB, linear
from kinora.world.parts import FIGURE_OWNER, Part
from kinora.world.scene import Figure, Identity, States

__all__ = [
    "ARM_LENGTH",
    "ARM_OUTWARD",
    "CHIN",
    "HAIR_RGB",
    "HAND_RADIUS",
    "HEAD_HALF",
    "HIP",
    "SHOULDER",
    "SHOULDER_WIDE",
    "figure_parts",
    "head_centre",
]

Array = npt.NDArray[np.float64]

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
SHOULDER_WIDE, ARM_LENGTH, HAND_RADIUS = 0.125, 0.262, 0.043
"""Shoulder from the middle (at girth 1), shoulder to the middle of the hand, and the hand, in heights of the figure."""
ARM_OUTWARD = 0.30
"""Radians that an arm hangs outward at rest."""


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
UNDER_HAT = 0.5
"""Lumps of hair that start higher than this would stick out of a hat and are left away under one."""


@dataclass(frozen=True, kw_only=True)
class HatPiece:
    """A piece of a hat, in units of the head as a lump of hair; without a colour of its own it takes the hat's."""

    lump: Lump
    rgb: Vec3 | None = None
    shade: float = 1.0
    """Factor on the hat's colour."""

    def colour(self, own: Vec3) -> Vec3:
        """Its linear RGB on a hat of some colour."""
        red, green, blue = own
        return self.rgb or (self.shade * red, self.shade * green, self.shade * blue)


FELT = linear(30, 28, 34)
BRIGHT = linear(244, 240, 226)
LEAN: Vec3 = (0.0, 0.22, 1.0)
"""Hats sit a little back on the head, clear of the brows."""
HATS: dict[str, tuple[HatPiece, ...]] = {
    "cap": (
        HatPiece(lump=Lump(centre=(0.0, 0.16, 0.46), half=(1.09, 1.06, 0.76))),
        HatPiece(lump=Lump(centre=(0.0, -0.92, 0.68), half=(0.72, 0.86, 0.075), turn=(0.0, -0.10, 1.0)), shade=0.5),
        HatPiece(lump=Lump(centre=(0.0, 0.17, 1.22), half=(0.12, 0.12, 0.10)), shade=0.5),
    ),
    "top_hat": (
        HatPiece(lump=Lump(centre=(0.0, 0.16, 0.74), half=(1.32, 1.32, 0.07), kind="cylinder", turn=LEAN), rgb=FELT),
        HatPiece(lump=Lump(centre=(0.0, 0.34, 1.42), half=(0.84, 0.84, 0.66), kind="cylinder", turn=LEAN), rgb=FELT),
        HatPiece(lump=Lump(centre=(0.0, 0.21, 0.94), half=(0.875, 0.875, 0.15), kind="cylinder", turn=LEAN)),
    ),
    "party_hat": (
        HatPiece(lump=Lump(centre=(0.0, 0.30, 1.28), half=(0.88, 0.88, 0.80), kind="cone", turn=LEAN)),
        HatPiece(lump=Lump(centre=(0.0, 0.48, 2.08), half=(0.20, 0.20, 0.20)), rgb=BRIGHT),
        HatPiece(lump=Lump(centre=(0.0, 0.14, 0.60), half=(0.91, 0.91, 0.10), kind="cylinder", turn=LEAN), rgb=BRIGHT),
    ),
}
"""Values of the slot `figure.hat` other than none."""


def figure_parts(figure: Figure, states: States, m: int) -> list[Part]:
    """The solids of figure `m` at every frame of `states`, all with owner `FIGURE_OWNER + m`; the head has paint
    "face".
    """
    identity = figure.identity
    body = _body_axes(figure, states, m)
    left_arm_F, right_arm_F, left_leg_F, right_leg_F = states.figure_limbs_FM4[:, m].T
    left_F, right_F = states.figure_spread_FM2[:, m].T
    tall, wide = identity.height, identity.girth
    parts = [
        *_trunk(body, tall, wide, COLOUR_RGB[identity.clothes], identity.skin),
        *_arm(body, 1.0, left_arm_F, left_F, identity),
        *_arm(body, -1.0, right_arm_F, right_F, identity),
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
    return Frame(origin_F3=root_F3, turn_F33=turn_z(states.figure_heading_FM[:, m]))


def _head_axes(figure: Figure, states: States, m: int) -> Frame:
    identity = figure.identity
    body = _body_axes(figure, states, m)
    yaw_F, pitch_F = states.figure_head_FM2[:, m].T
    # It nods about the neck, not about its middle.
    neck = body.moved((0.0, 0.0, CHIN * identity.height), turn_z(yaw_F) @ turn_x(pitch_F))
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


def _arm(body: Frame, side: float, swing_F: Array, spread_F: Array, identity: Identity) -> list[Part]:
    """Sleeve and hand on one side (+1 left, -1 right), hanging a little outward from the shoulder."""
    tall = identity.height
    outward_F = -(ARM_OUTWARD + spread_F) * side
    shoulder = (side * SHOULDER_WIDE * identity.girth * tall, 0.0, SHOULDER * tall)
    arm = body.moved(shoulder, turn_x(-swing_F) @ turn_y(outward_F))
    hand = HAND_RADIUS * tall
    return [
        _part(
            arm.moved((0.0, 0.0, -0.115 * tall)),
            (0.046 * tall, 0.048 * tall, 0.135 * tall),
            COLOUR_RGB[identity.clothes],
        ),
        _part(arm.moved((0.0, 0.0, -ARM_LENGTH * tall)), (hand, hand, hand), identity.skin),
    ]


def _leg(body: Frame, side: float, swing_F: Array, tall: float, wide: float, trousers: Vec3) -> list[Part]:
    """Leg and shoe on one side."""
    leg = body.moved((side * 0.066 * wide * tall, 0.0, HIP * tall), turn_x(-swing_F))
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
    parts = [_part(head, vec3(half), identity.skin, paint="face")]
    hair = HAIR_STYLES[identity.hair_style]
    if identity.hat != "none":
        hair = tuple(lump for lump in hair if lump.centre[2] < UNDER_HAT)
    parts += [_lump_part(head, half, lump, HAIR_RGB[identity.hair]) for lump in hair]
    if identity.hat != "none":
        if identity.hat not in HATS:
            raise InputError(f"There is no hat {identity.hat!r}; choose none or one of {', '.join(HATS)}.")
        own = COLOUR_RGB[identity.hat_colour]
        parts += [_lump_part(head, half, piece.lump, piece.colour(own)) for piece in HATS[identity.hat]]
    return parts


def _lump_part(head: Frame, half: Array, lump: Lump, rgb: Vec3) -> Part:
    axes = head.moved(vec3(half * lump.centre), pointing(lump.turn))
    return _part(axes, vec3(half * lump.half), rgb, kind=lump.kind)


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
