"""A toy dog: how it moves, and as parts.

Animal axes as of figures: x its own left, y its back, z up; at heading 0 it faces the starting camera. Lengths in
metres at scale 1, where it stands about 0.7 m high. F pixel frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.world.axes import Frame, Vec3, turn_x, turn_y, turn_z, vec3
from kinora.world.motion import heading_vector
from kinora.world.palette import COLOUR_RGB, linear
from kinora.world.parts import ANIMAL_OWNER, Part
from kinora.world.scene import Animal, States

__all__ = ["ANIMAL_SPACE", "AnimalMotion", "animal_motion", "animal_parts", "head_top"]

Array = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

ANIMAL_SPACE = 0.42
"""Metres around the axis of an animal of scale 1 that stay free."""
LEG, SHOULDER_Y = 0.285, -0.17
LEG_SWING = 0.5
SIT_TILT, SIT_RISE, HIND_FOLD = 0.80, 0.02, 1.35
"""Sitting turns the trunk about the shoulders, lifts them a little, and lays the hind legs forward."""
WAG_ANGLE, WAG_RATE = 0.85, 1.9
"""Radians and beats a second of a wagging tail."""
NECK = (0.0, -0.20, 0.36)
HEAD = (0.0, -0.11, 0.195)
"""Where the head's middle is from the neck's foot."""
SIT_BACK, SIT_LIFT = 0.05, 0.06
"""How far sitting moves the neck back and up."""
HEAD_HALF = (0.150, 0.150, 0.146)
DARK: Rgb = linear(24, 22, 24)
RED, BLUE = linear(206, 30, 36), linear(40, 84, 216)
REDDISH = ("red", "orange", "pink", "purple", "brown")
"""Coats on which a red collar would not be seen."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnimalMotion:
    """One animal over time; the columns of `States` without the animal axis."""

    root_F3: Array
    heading_F: Array
    legs_F4: Array
    pose_F4: Array


def animal_motion(animal: Animal, time_F: Array) -> AnimalMotion:
    """The animal at the given times, each moment by itself."""
    frames = len(time_F)
    root_F3 = np.repeat(np.array(animal.position, np.float64)[None], frames, axis=0)
    legs_F4 = np.zeros((frames, 4))
    pose_F4 = np.zeros((frames, 4))
    pose_F4[:, 2] = 0.10 * np.sin(2.0 * np.pi * time_F / 3.1)
    pose_F4[:, 3] = 0.04 * np.sin(2.0 * np.pi * time_F / 2.3)
    if animal.action == "walk":
        distance_F = animal.speed * time_F
        root_F3 += distance_F[:, None] * heading_vector(animal.heading)
        # A trot: legs across from each other swing together. The stride fits the swing, so that paws do not skate.
        stride = 4.0 * LEG * animal.scale * np.sin(LEG_SWING)
        phase_F = 2.0 * np.pi * distance_F / stride
        legs_F4 = LEG_SWING * np.sin(phase_F)[:, None] * np.array([1.0, -1.0, -1.0, 1.0])
        pose_F4[:, 1] = 0.25 * np.sin(phase_F)
    elif animal.action == "sit":
        pose_F4[:, 0] = 1.0
    elif animal.action == "wag":
        pose_F4[:, 1] = WAG_ANGLE * np.sin(2.0 * np.pi * WAG_RATE * time_F)
    return AnimalMotion(root_F3=root_F3, heading_F=np.full(frames, animal.heading), legs_F4=legs_F4, pose_F4=pose_F4)


def head_top(animal: Animal, root_3: Array) -> Array:
    """The top of its head in the world (3,), head held straight, for an animal at `root_3`: what is stroked."""
    sitting = animal.action == "sit"
    up = NECK[2] + HEAD[2] + HEAD_HALF[2] + (SIT_LIFT if sitting else 0.0)
    ahead = -(NECK[1] + HEAD[1]) - (SIT_BACK if sitting else 0.0)
    return np.asarray(root_3 + animal.scale * (ahead * heading_vector(animal.heading) + np.array([0.0, 0.0, up])))


def animal_parts(animal: Animal, states: States, a: int) -> list[Part]:
    """The solids of animal `a` at every frame of `states`, all with owner `ANIMAL_OWNER + a`."""
    legs_F4, pose_F4 = states.animal_legs_FA4[:, a], states.animal_pose_FA4[:, a]
    sit_F, tail_F, yaw_F, pitch_F = pose_F4.T
    size = animal.scale
    root_F3 = states.animal_root_FA3[:, a].copy()
    # It sinks with each stride: the paws on the ground stay there.
    root_F3[:, 2] -= LEG * size * (1.0 - np.cos(legs_F4).max(axis=1)) * (1.0 - sit_F)
    body = Frame(origin_F3=root_F3, turn_F33=turn_z(states.animal_heading_FA[:, a]))
    coat = COLOUR_RGB[animal.colour]
    collar = BLUE if animal.colour in REDDISH else RED
    solids = [*_trunk(body, sit_F, tail_F), *_legs(body, sit_F, legs_F4), *_head(body, sit_F, yaw_F, pitch_F, collar)]
    return [_part(solid, size, root_F3, coat, ANIMAL_OWNER + a) for solid in solids]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Solid:
    """A solid in metres at scale 1: where `rgb` is None it has the coat's colour times `shade` plus `light`."""

    axes: Frame
    half: Vec3
    kind: str = "sphere"
    shade: float = 1.0
    light: float = 0.006
    rgb: Rgb | None = None


def _part(solid: _Solid, size: float, root_F3: Array, coat: Rgb, owner: int) -> Part:
    """The solid at the animal's size: scaled about the ground under its middle."""
    red, green, blue = solid.rgb or (min(1.0, value * solid.shade + solid.light) for value in coat)
    return Part(
        kind=solid.kind,
        centre_F3=root_F3 + size * (solid.axes.origin_F3 - root_F3),
        rotation_F33=solid.axes.turn_F33,
        half_3=vec3(size * np.array(solid.half)),
        rgb=(red, green, blue),
        material="matte",
        owner=owner,
    )


def _shoulders(body: Frame, sit_F: Array) -> Frame:
    """Axes of the trunk, at the shoulders; sitting takes its hind end down."""
    axes = body.moved((0.0, SHOULDER_Y, 0.345), turn_x(-SIT_TILT * sit_F))
    return Frame(origin_F3=axes.origin_F3 + sit_F[:, None] * np.array([0.0, 0.0, SIT_RISE]), turn_F33=axes.turn_F33)


def _trunk(body: Frame, sit_F: Array, tail_F: Array) -> list[_Solid]:
    trunk = _shoulders(body, sit_F)
    tail = trunk.moved((0.0, 0.40, 0.04), turn_z(tail_F) @ turn_x(0.75 - 0.35 * sit_F))
    return [
        _Solid(axes=trunk.moved((0.0, 0.02, -0.005)), half=(0.150, 0.170, 0.152)),
        _Solid(axes=trunk.moved((0.0, 0.19, -0.005)), half=(0.140, 0.250, 0.135)),
        _Solid(axes=tail.moved((0.0, 0.10, 0.0)), half=(0.046, 0.145, 0.046), shade=0.55),
    ]


def _legs(body: Frame, sit_F: Array, legs_F4: Array) -> list[_Solid]:
    """Front legs stand under the shoulders; hind ones hang from the trunk's end and fold forward as it sits."""
    trunk = _shoulders(body, sit_F)
    solids = []
    for index, (x, y) in enumerate(((1.0, 0.0), (-1.0, 0.0), (1.0, 0.34), (-1.0, 0.34))):
        fold_F = HIND_FOLD * sit_F if y else 0.0 * sit_F
        hip = trunk.moved((0.088 * x, y, -0.06))
        leg = Frame(origin_F3=hip.origin_F3, turn_F33=body.turn_F33 @ turn_x(-(legs_F4[:, index] + fold_F)))
        solids.append(_Solid(axes=leg.moved((0.0, 0.0, -0.135)), half=(0.054, 0.056, 0.135), kind="cylinder"))
        solids.append(_Solid(axes=leg.moved((0.0, -0.022, -0.245)), half=(0.060, 0.082, 0.045), shade=0.55))
    return solids


def _head(body: Frame, sit_F: Array, yaw_F: Array, pitch_F: Array, collar: Rgb) -> list[_Solid]:
    """Neck with a collar, head, snout, nose, eyes and hanging ears."""
    neck = body.moved(NECK)
    lift_F3 = sit_F[:, None] * (body.turn_F33 @ np.array([0.0, SIT_BACK, SIT_LIFT]))
    neck = Frame(origin_F3=neck.origin_F3 + lift_F3, turn_F33=neck.turn_F33)
    head = neck.moved((0.0, 0.0, 0.0), turn_z(yaw_F) @ turn_x(pitch_F)).moved(HEAD)
    leaning = neck.moved((0.0, -0.05, 0.075), turn_x(np.full(len(sit_F), 0.55)))
    solids = [
        _Solid(axes=leaning, half=(0.098, 0.098, 0.15)),
        _Solid(axes=leaning, half=(0.110, 0.110, 0.024), kind="cylinder", rgb=collar),
        _Solid(axes=head, half=HEAD_HALF),
        _Solid(axes=head.moved((0.0, -0.150, -0.048)), half=(0.078, 0.100, 0.066), shade=1.15, light=0.07),
        _Solid(axes=head.moved((0.0, -0.247, -0.020)), half=(0.036, 0.028, 0.028), rgb=DARK),
    ]
    for side in (1.0, -1.0):
        ear = head.moved((0.130 * side, 0.005, 0.062), turn_y(np.full(len(sit_F), -0.35 * side)))
        solids.append(_Solid(axes=ear.moved((0.0, 0.0, -0.060)), half=(0.042, 0.070, 0.122), shade=0.55))
        eye = head.moved((0.060 * side, -0.130, 0.042))
        solids.append(_Solid(axes=eye, half=(0.026, 0.022, 0.031), rgb=DARK))
    return solids
