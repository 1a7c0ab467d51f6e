"""What hangs or circles: a body on a string, a body round another, a rope.

The string is taut and without mass and the pendulum swings with its whole angle (no small-angle sine); the rope is
the hanging chain in its small-angle modes. Axes in names: F pixel frames, J joints, S steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kinora.core.poses import rotation_about
from kinora.world.scene import Body, Rope

__all__ = ["JOINTS", "Path", "orbit_path", "pendulum_angle", "rope_joints", "swing_path"]

Array = npt.NDArray[np.float64]

STEPS_PER_SECOND = 960
"""Of the Runge-Kutta integration; halving them moves a pendulum by less than 1e-9 rad in five seconds."""
JOINTS = 15
"""Joints of a rope: the straight pieces between them turn by a few degrees at most."""
MODES = 4
"""Modes of a rope; the fifth has less than a hundredth of the first one's amplitude."""
UP_3 = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """One body over time; the columns of `States` without the body axis."""

    position_F3: Array
    rotation_F33: Array
    velocity_F3: Array


def pendulum_angle(start: float, length: float, gravity: float, time_F: Array) -> tuple[Array, Array]:
    """Angle from the vertical and its rate (F,) of a pendulum let go at rest: theta'' = -(g / l) sin theta.

    Integrated by the classical Runge-Kutta method with a fixed step, and by a shorter one to each asked moment, so that
    a moment's answer does not depend on which others are asked for.
    """
    pull = gravity / length
    step = 1.0 / STEPS_PER_SECOND
    whole_F = np.floor(time_F * STEPS_PER_SECOND + 1e-9).astype(np.int64)
    angle, rate = start, 0.0
    states = [(angle, rate)]
    for _ in range(int(whole_F.max(initial=0))):
        angle, rate = _step(angle, rate, pull, step)
        states.append((angle, rate))
    found = []
    for whole, time in zip(whole_F.tolist(), time_F.tolist(), strict=True):
        angle, rate = states[whole]
        found.append(_step(angle, rate, pull, time - whole * step))
    angle_F2 = np.array(found).reshape(-1, 2)
    return angle_F2[:, 0], angle_F2[:, 1]


def _step(angle: float, rate: float, pull: float, step: float) -> tuple[float, float]:
    """One Runge-Kutta step of theta' = w, w' = -pull sin theta."""
    a1, w1 = rate, -pull * math.sin(angle)
    a2, w2 = rate + 0.5 * step * w1, -pull * math.sin(angle + 0.5 * step * a1)
    a3, w3 = rate + 0.5 * step * w2, -pull * math.sin(angle + 0.5 * step * a2)
    a4, w4 = rate + step * w3, -pull * math.sin(angle + step * a3)
    return angle + step / 6.0 * (a1 + 2 * a2 + 2 * a3 + a4), rate + step / 6.0 * (w1 + 2 * w2 + 2 * w3 + w4)


def swing_path(body: Body, gravity: float, time_F: Array) -> Path:
    """A body on a string, let go at rest where it is declared; it turns with the string, as if that were stiff."""
    hung_3 = np.array(body.position) - np.array(body.anchor)
    length = float(np.linalg.norm(hung_3))
    level = math.hypot(hung_3[0], hung_3[1])
    toward_3 = np.array([hung_3[0], hung_3[1], 0.0]) / level if level > 1e-9 else np.array([1.0, 0.0, 0.0])
    angle_F, rate_F = pendulum_angle(math.atan2(level, -hung_3[2]), length, gravity, time_F)
    sine_F1, cosine_F1 = np.sin(angle_F)[:, None], np.cos(angle_F)[:, None]
    axis_3 = np.cross(UP_3, toward_3)
    yawed_33 = rotation_about(UP_3, body.yaw)
    return Path(
        position_F3=np.array(body.anchor) + length * (sine_F1 * toward_3 - cosine_F1 * UP_3),
        # A body that swings towards +x leans over towards -x at its top.
        rotation_F33=np.stack([rotation_about(axis_3, -float(angle)) @ yawed_33 for angle in angle_F]),
        velocity_F3=length * rate_F[:, None] * (cosine_F1 * toward_3 + sine_F1 * UP_3),
    )


def orbit_path(body: Body, time_F: Array) -> Path:
    """A body that goes round a vertical axis through its anchor at a constant rate, always the same side inward."""
    away_3 = np.array(body.position) - np.array(body.anchor)
    away_3[2] = 0.0
    turn_F33 = np.stack([rotation_about(UP_3, body.rate * float(time)) for time in time_F])
    away_F3 = turn_F33 @ away_3
    return Path(
        position_F3=np.array([body.anchor[0], body.anchor[1], body.position[2]]) + away_F3,
        rotation_F33=turn_F33 @ rotation_about(UP_3, body.yaw),
        velocity_F3=body.rate * np.cross(UP_3, away_F3),
    )


def _bessel(order: int, argument: Array) -> Array:
    """J_order for arguments up to about 20, by its power series (Abramowitz and Stegun, 9.1.10)."""
    half = 0.5 * argument
    term: Array = half**order / math.factorial(order)
    total = term.copy()
    for k in range(1, 60):
        term = -term * half * half / (k * (k + order))
        total += term
    return total


@lru_cache(maxsize=1)
def _bessel_zeros() -> tuple[float, ...]:
    """The first zeros of J0, by Newton's method from McMahon's approximation."""
    zeros = []
    for n in range(1, MODES + 1):
        zero = math.pi * (n - 0.25)
        for _ in range(8):
            at = np.array([zero])
            zero += float(_bessel(0, at)[0] / _bessel(1, at)[0])
        zeros.append(zero)
    return tuple(zeros)


def rope_joints(rope: Rope, gravity: float, time_F: Array) -> Array:
    """Joints (F, J, 3) of a rope drawn straight aside and let go.

    The hanging chain (Daniel Bernoulli, 1732): with s the distance from the free end over the length, the modes are
    J0(a_k sqrt s) with J0(a_k) = 0 and frequencies a_k sqrt(g / l) / 2. A straight rope let go at the angle A holds
    8 A / (a_k^3 J1(a_k)) of mode k. The slope of the sum is taken as the rope's angle, so its length is kept.
    """
    share_J = np.linspace(1.0, 0.0, JOINTS)
    middle_L = 0.5 * (share_J[1:] + share_J[:-1])
    angle_FL = np.zeros((len(time_F), JOINTS - 1))
    for zero in _bessel_zeros():
        amount = 8.0 * rope.angle / (zero**3 * float(_bessel(1, np.array([zero]))[0]))
        natural = 0.5 * zero * math.sqrt(gravity / rope.length)
        decay, rate = rope.damping * natural, natural * math.sqrt(1.0 - rope.damping**2)
        swing_F = np.exp(-decay * time_F) * (np.cos(rate * time_F) + decay / rate * np.sin(rate * time_F))
        # d/ds J0(a sqrt s) = -a J1(a sqrt s) / (2 sqrt s); the angle grows towards the free end, where s falls.
        root_L = np.sqrt(middle_L)
        slope_L = zero * _bessel(1, zero * root_L) / (2.0 * root_L)
        angle_FL += amount * swing_F[:, None] * slope_L
    piece = rope.length / (JOINTS - 1)
    away_FL = piece * np.sin(angle_FL)
    direction_3 = np.array([math.cos(rope.azimuth), math.sin(rope.azimuth), 0.0])
    step_FL3 = away_FL[..., None] * direction_3 - piece * np.cos(angle_FL)[..., None] * UP_3
    joint_FJ3 = np.zeros((len(time_F), JOINTS, 3))
    joint_FJ3[:, 1:] = np.cumsum(step_FL3, axis=1)
    return np.asarray(joint_FJ3 + np.array(rope.anchor))
