"""How figures move: root, heading, head, limbs, face and mouth as closed functions of time.

Nothing here is integrated, so any frame can be had alone. Angles in radians, times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.world.scene import Figure

__all__ = ["WALKING", "FigureMotion", "figure_motion", "heading_vector"]

Array = npt.NDArray[np.float64]

LEG_SWING, ARM_SWING = 0.5, 0.42
LEG_SHARE = 0.42
"""Length of a leg as a share of the height; with the swing it fixes the stride, so that feet do not skate."""
JUMP_SPEED = 2.2
CROUCH_SECONDS, PAUSE_SECONDS = 0.35, 0.3
NOD_SECONDS, NOD_ANGLE = 1.2, 0.45
SMILE_SECONDS = 0.6
BLINK_EVERY, BLINK_SECONDS = 2.7, 0.26
WALKING = ("walk", "carry", "push")
"""Actions that take a figure along its heading; what its arms do there is `handling`'s."""

_EXPRESSIONS: dict[str, tuple[float, tuple[float, float, float], tuple[float, float, float, float]]] = {
    "neutral": (0.15, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    "smile": (1.0, (0.25, 0.0, 0.0), (0.22, 0.6, 0.0, 0.7)),
    "frown": (-0.85, (0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    "surprised": (0.0, (1.0, 0.0, 1.0), (0.62, 0.10, 0.62, 0.0)),
}
"""By the slot `figure.expression`: smile, brows and eyes as in `States.figure_brow_FM3`, and the mouth of one who does
not speak."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FigureMotion:
    """One figure over time; the columns of `States` without the figure axis."""

    root_F3: Array
    heading_F: Array
    head_F2: Array
    limbs_F4: Array
    spread_F2: Array
    face_F2: Array
    brow_F3: Array
    mouth_F4: Array


def heading_vector(heading: float) -> Array:
    """The horizontal unit vector (3,) in which a figure with this heading looks; heading 0 is -y, toward the camera."""
    return np.array([np.sin(heading), -np.cos(heading), 0.0])


def figure_motion(figure: Figure, time_F: Array, *, gravity: float, phase: float = 0.0) -> FigureMotion:
    """The figure at the given times; `phase` in [0, 1) shifts idle swaying and blinks, so that two figures differ."""
    frames = len(time_F)
    root_F3 = np.repeat(np.array(figure.position)[None], frames, axis=0)
    heading_F = np.full(frames, figure.heading)
    head_F2 = np.zeros((frames, 2))
    head_F2[:, 0] = 0.04 * np.sin(2.0 * np.pi * (time_F / 3.7 + phase)) + figure.gaze
    limbs_F4 = 0.03 * np.sin(2.0 * np.pi * (time_F / 2.9 + phase))[:, None] * np.array([1.0, 1.0, 0.0, 0.0])
    smile, brow_3, mouth_4 = _EXPRESSIONS[figure.expression]
    face_F2 = np.column_stack([np.full(frames, smile), _blinks(time_F, phase)])
    if figure.action in WALKING:
        distance_F = figure.speed * time_F
        root_F3 += distance_F[:, None] * heading_vector(figure.heading)
        limbs_F4 = _walking_limbs(distance_F, figure.identity.height)
    elif figure.action == "jump":
        root_F3[:, 2], limbs_F4 = _jump(time_F, gravity)
    elif figure.action == "turn":
        heading_F = heading_F + figure.speed * time_F
    elif figure.action == "nod":
        head_F2[:, 1] = NOD_ANGLE * 0.5 * (1.0 - np.cos(2.0 * np.pi * time_F / NOD_SECONDS))
    elif figure.action == "smile":
        face_F2[:, 0] = 0.15 + 0.85 * np.clip((time_F - 0.2) / SMILE_SECONDS, 0.0, 1.0)
    return FigureMotion(
        root_F3=root_F3,
        heading_F=heading_F,
        head_F2=head_F2,
        limbs_F4=limbs_F4,
        spread_F2=np.zeros((frames, 2)),
        face_F2=face_F2,
        brow_F3=np.tile(np.array(brow_3), (frames, 1)),
        mouth_F4=_mouth(figure, time_F, mouth_4),
    )


def _walking_limbs(distance_F: Array, height: float) -> Array:
    stride = 4.0 * LEG_SHARE * height * np.sin(LEG_SWING)
    swing_F = np.sin(2.0 * np.pi * distance_F / stride)
    limbs_F4: Array = swing_F[:, None] * np.array([-ARM_SWING, ARM_SWING, LEG_SWING, -LEG_SWING])
    return limbs_F4


def _jump(time_F: Array, gravity: float) -> tuple[Array, Array]:
    """Height of the feet and limbs: crouch, ballistic flight, pause, over and over."""
    flight = 2.0 * JUMP_SPEED / gravity
    within_F = np.mod(time_F, CROUCH_SECONDS + flight + PAUSE_SECONDS)
    airborne_F = within_F - CROUCH_SECONDS
    flying_F = (airborne_F > 0.0) & (airborne_F < flight)
    height_F = np.where(flying_F, airborne_F * (JUMP_SPEED - 0.5 * gravity * airborne_F), 0.0)
    crouch_F = np.sin(np.pi * np.clip(within_F / CROUCH_SECONDS, 0.0, 1.0))
    reach_F = np.where(flying_F, np.sin(np.pi * np.clip(airborne_F / flight, 0.0, 1.0)), 0.0)
    arms_F = 1.6 * reach_F - 0.7 * crouch_F
    legs_F = 0.25 * crouch_F
    return height_F, np.column_stack([arms_F, arms_F, legs_F, -legs_F])


def _blinks(time_F: Array, phase: float) -> Array:
    """Eyelid closure: a short triangle now and then."""
    since_F = np.mod(time_F + (0.35 + phase) * BLINK_EVERY, BLINK_EVERY)
    return np.clip(1.2 * (1.0 - np.abs(2.0 * since_F / BLINK_SECONDS - 1.0)), 0.0, 1.0)


def _mouth(figure: Figure, time_F: Array, silent_4: tuple[float, float, float, float]) -> Array:
    """The speech track read at the frames' times, by linear interpolation; closed before it starts and after it
    ends. Without one the mouth of the expression.
    """
    if figure.speech is None or not len(figure.speech.mouth_F4):
        return np.tile(np.array(silent_4), (len(time_F), 1))
    track_F4 = figure.speech.mouth_F4
    track_time_F = np.arange(len(track_F4)) / figure.speech.frame_rate
    axes = [np.interp(time_F, track_time_F, track_F4[:, axis], right=0.0) for axis in range(4)]
    return np.column_stack(axes).astype(np.float64)
