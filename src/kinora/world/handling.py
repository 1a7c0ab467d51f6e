"""What figures do with their hands: carry, push and eat a body, stroke an animal.

A handled body moves as the hands do, and the hands stay on it: both follow from the figure's walk, so any moment can be
had alone. Figure axes: x its own left, y its back, z up. F pixel frames.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kinora.core.poses import rotation_about
from kinora.world.animals import head_top
from kinora.world.axes import turn_z
from kinora.world.figures import (
    ARM_LENGTH,
    ARM_OUTWARD,
    CHIN,
    HAND_RADIUS,
    HEAD_HALF,
    HIP,
    SHOULDER,
    SHOULDER_WIDE,
)
from kinora.world.motion import FigureMotion, figure_motion, heading_vector
from kinora.world.scene import Animal, Body, Figure, Scene, Vec3
from kinora.world.swinging import Path

__all__ = ["BITE", "contact_time", "handled_path", "held_offset", "push_reach", "stroked_spot", "with_hands"]

Array = npt.NDArray[np.float64]

CARRY_HEIGHT = 0.47
"""Height of the hands of one who carries, in heights of the figure."""
LIFT, BITE, SWALLOW, LOWER = 0.7, 1.8, 2.15, 3.1
"""Seconds at which an eater's hand starts up, reaches the mouth, has let go, and is down again."""
CHEW = (2.2, 4.4)
"""From when to when an eater chews, seconds."""
CHEW_RATE = 1.6
HOLD_SWING, HOLD_SPREAD = 1.15, -0.05
STROKE_REACH, STROKE_RATE = 0.085, 0.75
"""Metres that a stroking hand goes forward and back, and how often in a second."""
STROKE_SPREAD = 0.95
"""Radians outward of an arm that strokes, on top of what it hangs outward anyway: where an animal sits right."""
MOMENT = 1e-5
"""Seconds over which velocities are taken, by central differences of closed forms."""


def with_hands(scene: Scene, m: int, motion: FigureMotion, time_F: Array) -> FigureMotion:
    """The motion of figure `m` with its arms (and an eater's mouth) as its action asks."""
    figure = scene.figures[m]
    if figure.action == "carry" and scene.bodies:
        return _with_arms(motion, *_both_arms(figure, *_carry_hand(figure, scene.bodies[0].radius), motion))
    if figure.action == "push" and scene.bodies:
        return _with_arms(motion, *_both_arms(figure, *_push_hand(figure, scene.bodies[0].radius), motion))
    if figure.action == "eat" and scene.bodies:
        return _eating(figure, scene.bodies[0], motion, time_F)
    if figure.action == "stroke" and scene.animals:
        return _stroking(figure, scene.animals[0], motion, time_F)
    return motion


def handled_path(scene: Scene, body: Body, time_F: Array) -> Path:
    """A body that the first figure of the scene carries, pushes or eats."""
    figure, gravity = scene.figures[0], scene.physics.gravity
    place = {"carried": _carried, "pushed": _pushed, "eaten": _eaten}[body.action]

    def at(moments_F: Array) -> tuple[Array, Array]:
        return place(figure, body, figure_motion(figure, moments_F, gravity=gravity), moments_F)

    position_F3, rotation_F33 = at(time_F)
    velocity_F3 = (at(time_F + MOMENT)[0] - at(time_F - MOMENT)[0]) / (2.0 * MOMENT)
    return Path(position_F3=position_F3, rotation_F33=rotation_F33, velocity_F3=velocity_F3)


def held_offset(figure: Figure, radius: float) -> Vec3:
    """Where the middle of a carried body is from the figure's feet at time 0, figure axes, metres."""
    _, forward, height = _carry_hand(figure, radius)
    return 0.0, -forward, height


def push_reach(figure: Figure, body: Body) -> float:
    """Level distance of the figure's axis from the middle of a body whose near side its hands are on."""
    across, forward, height = _push_hand(figure, body.radius)
    r, above = body.radius, height - body.radius
    if body.shape == "cube":
        near = r
    elif body.shape == "cone":
        near = math.sqrt(max(0.0, (r - 0.5 * height) ** 2 - across**2))
    else:
        near = math.sqrt(max(0.0, r * r - across**2 - (above**2 if body.shape == "sphere" else 0.0)))
    return forward + HAND_RADIUS * figure.identity.height + near


def contact_time(figure: Figure, body: Body) -> float:
    """When a pusher's hands meet the body, seconds."""
    away = math.dist(figure.position[:2], body.position[:2])
    return (away - push_reach(figure, body)) / figure.speed


def stroked_spot(figure: Figure) -> Vec3:
    """Where a head should be for the figure to stroke it: world metres, the height being that of its top."""
    tall, out = figure.identity.height, ARM_OUTWARD + STROKE_SPREAD
    across = SHOULDER_WIDE * figure.identity.girth * tall + (ARM_LENGTH + HAND_RADIUS) * tall * math.sin(out)
    level_3 = _world(figure.heading, (figure.side * across, 0.0, 0.0))
    height = (SHOULDER - ARM_LENGTH * math.cos(out) - HAND_RADIUS) * tall
    return figure.position[0] + level_3[0], figure.position[1] + level_3[1], height


def _world(heading: float, offset: Vec3) -> Array:
    """A vector in figure axes as one in world axes."""
    turned: Array = turn_z(np.array([heading]))[0] @ np.array(offset)
    return turned


def _sink(figure: Figure, motion: FigureMotion) -> Array:
    """How far the trunk is lower than at rest in each stride (F), as `figures` draws it."""
    reach_F: Array = np.cos(motion.limbs_F4[:, 2:]).max(axis=1)
    return HIP * figure.identity.height * (1.0 - reach_F)


def _carry_hand(figure: Figure, radius: float) -> Vec3:
    """Hands of a carrier: across, forward, height, metres at rest. They lie on both sides of the body."""
    tall = figure.identity.height
    across = radius + 0.7 * HAND_RADIUS * tall
    height = CARRY_HEIGHT * tall
    return across, _forward(figure, across, height), height


def _push_hand(figure: Figure, radius: float) -> Vec3:
    tall = figure.identity.height
    across = min(0.10 * tall, 0.6 * radius)
    height = min(max(1.2 * radius, 0.40 * tall), 0.56 * tall)
    return across, _forward(figure, across, height), height


def _forward(figure: Figure, across: float, height: float) -> float:
    """How far forward a hand is that is held so far across and so high: arms do not bend."""
    tall = figure.identity.height
    aside = across - SHOULDER_WIDE * figure.identity.girth * tall
    left = (ARM_LENGTH * tall) ** 2 - aside**2 - (height - SHOULDER * tall) ** 2
    return math.sqrt(max(0.0, left))


def _both_arms(
    figure: Figure, across: float, forward: float, height: float, motion: FigureMotion
) -> tuple[Array, Array]:
    """Swing and spread (F) of both arms for hands held so far across, forward and high over the feet.

    The trunk sinks with each stride and takes them along: a pusher's hands slide up and down by a few centimetres,
    since arms that do not bend can keep either their height or their place on the body.
    """
    return _arm_angles(figure, np.tile(np.array([across, -forward, height]), (len(motion.heading_F), 1)))


def _arm_angles(figure: Figure, target_F3: Array) -> tuple[Array, Array]:
    """Swing and spread that point an arm at a target (F, 3) in figure axes, x being outward on the arm's own side."""
    tall = figure.identity.height
    aim_F3 = target_F3 - np.array([SHOULDER_WIDE * figure.identity.girth * tall, 0.0, SHOULDER * tall])
    aim_F3 = aim_F3 / np.linalg.norm(aim_F3, axis=1, keepdims=True)
    return np.arctan2(-aim_F3[:, 1], -aim_F3[:, 2]), np.arcsin(aim_F3[:, 0]) - ARM_OUTWARD


def _with_arms(motion: FigureMotion, swing_F: Array, spread_F: Array) -> FigureMotion:
    limbs_F4 = np.column_stack([swing_F, swing_F, motion.limbs_F4[:, 2:]])
    return replace(motion, limbs_F4=limbs_F4, spread_F2=np.column_stack([spread_F, spread_F]))


def _with_one_arm(figure: Figure, motion: FigureMotion, swing_F: Array, spread_F: Array) -> FigureMotion:
    arm = 0 if figure.side > 0.0 else 1
    limbs_F4, spread_F2 = motion.limbs_F4.copy(), motion.spread_F2.copy()
    limbs_F4[:, arm], spread_F2[:, arm] = swing_F, spread_F
    return replace(motion, limbs_F4=limbs_F4, spread_F2=spread_F2)


def _carried(figure: Figure, body: Body, motion: FigureMotion, time_F: Array) -> tuple[Array, Array]:
    """It keeps its place before the trunk and sinks with it."""
    away_3 = np.array(body.position) - np.array(figure.position)
    position_F3 = motion.root_F3 + away_3
    position_F3[:, 2] -= _sink(figure, motion)
    return position_F3, _turned(body, len(time_F))


def _pushed(figure: Figure, body: Body, motion: FigureMotion, time_F: Array) -> tuple[Array, Array]:
    """It stands until the hands are on it and goes with them from then on; a ball rolls."""
    ahead_3 = heading_vector(figure.heading)
    gone_F = figure.speed * np.maximum(0.0, time_F - contact_time(figure, body))
    position_F3 = np.array(body.position) + gone_F[:, None] * ahead_3
    rotation_F33 = _turned(body, len(time_F))
    if body.shape == "sphere":
        axis_3 = np.cross(np.array([0.0, 0.0, 1.0]), ahead_3)
        rolled_F33 = np.stack([rotation_about(axis_3, float(gone) / body.radius) for gone in gone_F])
        rotation_F33 = rolled_F33 @ rotation_F33
    return position_F3, rotation_F33


def _turned(body: Body, frames: int) -> Array:
    return np.tile(rotation_about(np.array([0.0, 0.0, 1.0]), body.yaw), (frames, 1, 1))


def _ease(time_F: Array, start: float, end: float) -> Array:
    """0 before `start`, 1 after `end`, at rest at both."""
    share_F = np.clip((time_F - start) / (end - start), 0.0, 1.0)
    return share_F * share_F * (3.0 - 2.0 * share_F)


def _mouth_spot(figure: Figure) -> Array:
    """The mouth in figure axes (3,)."""
    identity = figure.identity
    half_3 = np.array(HEAD_HALF) * identity.head * identity.height
    # The mouth is drawn 0.47 rad under the head's equator.
    middle = CHIN * identity.height + 0.94 * half_3[2]
    return np.array([0.0, -half_3[1] * math.cos(0.47), middle - half_3[2] * math.sin(0.47)])


def _on_palm(figure: Figure, radius: float) -> Array:
    """Where a small body lies from the middle of the hand that holds it, figure axes."""
    return np.array([0.0, -0.2 * radius, 0.9 * HAND_RADIUS * figure.identity.height + 0.8 * radius])


def _eater_arm(figure: Figure, body: Body, time_F: Array) -> tuple[Array, Array]:
    """The arm goes from before the chest to the mouth and down to the side."""
    at_mouth_3 = _mouth_spot(figure) + np.array([0.0, -0.9 * body.radius, 0.0]) - _on_palm(figure, body.radius)
    up_swing, up_spread = (float(angle[0]) for angle in _arm_angles(figure, at_mouth_3[None]))
    up_F, down_F = _ease(time_F, LIFT, BITE), _ease(time_F, SWALLOW, LOWER)
    swing_F = (HOLD_SWING + (up_swing - HOLD_SWING) * up_F) * (1.0 - down_F)
    spread_F = (HOLD_SPREAD + (up_spread - HOLD_SPREAD) * up_F) * (1.0 - down_F)
    return swing_F, spread_F


def _eating(figure: Figure, body: Body, motion: FigureMotion, time_F: Array) -> FigureMotion:
    motion = _with_one_arm(figure, motion, *_eater_arm(figure, body, time_F))
    gape_F = _ease(time_F, BITE - 0.55, BITE - 0.1) * (1.0 - _ease(time_F, SWALLOW - 0.1, SWALLOW + 0.15))
    chewing_F = _ease(time_F, CHEW[0], CHEW[0] + 0.2) * (1.0 - _ease(time_F, CHEW[1] - 0.2, CHEW[1]))
    chew_F = 0.5 - 0.5 * np.cos(2.0 * np.pi * CHEW_RATE * (time_F - CHEW[0]))
    mouth_F4 = np.outer(gape_F, [0.95, 0.2, 0.1, 0.0]) + np.outer(chewing_F * chew_F, [0.30, 0.25, 0.25, 0.0])
    # The head keeps still until the food is in, so that hand and mouth meet.
    return replace(motion, mouth_F4=mouth_F4, head_F2=motion.head_F2 * _ease(time_F, SWALLOW, LOWER)[:, None])


def _eaten(figure: Figure, body: Body, motion: FigureMotion, time_F: Array) -> tuple[Array, Array]:
    """It lies in the hand, goes through the mouth into the head, and stays there out of sight."""
    identity = figure.identity
    tall = identity.height
    swing_F, spread_F = _eater_arm(figure, body, time_F)
    out_F = ARM_OUTWARD + spread_F
    shoulder_3 = np.array([SHOULDER_WIDE * identity.girth * tall, 0.0, SHOULDER * tall])
    along_F3 = np.column_stack([np.sin(out_F), -np.sin(swing_F) * np.cos(out_F), -np.cos(swing_F) * np.cos(out_F)])
    palm_F3 = shoulder_3 + ARM_LENGTH * tall * along_F3 + _on_palm(figure, body.radius)
    inside_3 = np.array([0.0, 0.0, CHIN * tall + 0.94 * HEAD_HALF[2] * identity.head * tall])
    share_F1 = _ease(time_F, BITE, SWALLOW)[:, None]
    local_F3 = (palm_F3 * (1.0 - share_F1) + inside_3 * share_F1) * np.array([figure.side, 1.0, 1.0])
    turn_33 = turn_z(np.array([figure.heading]))[0]
    return motion.root_F3 + local_F3 @ turn_33.T, _turned(body, len(time_F))


def _stroking(figure: Figure, animal: Animal, motion: FigureMotion, time_F: Array) -> FigureMotion:
    """The hand goes to and fro over the top of the animal's head."""
    top_3 = head_top(animal, np.array(animal.position)) - np.array(figure.position)
    top_3[2] += HAND_RADIUS * figure.identity.height
    to_fro_F = STROKE_REACH * np.sin(2.0 * np.pi * STROKE_RATE * time_F)
    target_F3 = top_3 + to_fro_F[:, None] * heading_vector(animal.heading)
    # World axes to figure axes, then to those of its own side.
    local_F3 = target_F3 @ turn_z(np.array([figure.heading]))[0]
    return _with_one_arm(figure, motion, *_arm_angles(figure, local_F3 * np.array([figure.side, 1.0, 1.0])))
