"""Camera moves as people ask for them, and the poses they come to.

Six numbers in [-10, 10] as Kling's `camera_control` has them, its four named moves, an orbit, and free paths. Signs:
horizontal left (-) and right (+), vertical down and up, pan left and right, tilt down and up, roll counter-clockwise
and clockwise, zoom to a longer focal length (narrower) and a shorter one (wider), orbit to the left and to the right.
Ten is a fast move: `FULL` says what it comes to in a second.

Poses are camera-to-world with the first frame's camera as the world: x right, y down, z forward, in units of the
distance to what the camera looks at. Axes: F frames, K keys of a path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.core.poses import rotation_about
from kinora.core.values import is_number

__all__ = [
    "AMOUNTS", "FULL", "NAMED_MOVES", "CameraKey", "CameraMove", "CameraTrack", "camera_track", "spoken_move",
]  # fmt: skip

Array = npt.NDArray[np.float64]

FULL = MappingProxyType(
    {
        "horizontal": 0.10,
        "vertical": 0.05,
        "pan": 0.16,
        "tilt": 0.085,
        "roll": 0.16,
        "zoom": 0.16,
        "orbit": 0.19,
        "forward": 0.09,
    }
)
"""What 10 comes to in a second: radians for turns, the logarithm of the focal length for zoom, and for travel shares of
the distance to what the camera looks at. They are the fast end of what the bundled model was taught."""
AMOUNTS = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom", "orbit", "forward")
LIMIT = 10.0
FARTHEST = MappingProxyType(
    {"x": 10.0, "y": 10.0, "z": 10.0, "pan": 3600.0, "tilt": 90.0, "roll": 3600.0, "orbit": 3600.0, "zoom": 3.0}
)
"""How far a key of a path may go, either way: beyond it there is nothing to be seen, or nothing to be computed."""
SPOKEN = MappingProxyType(
    {
        "pan": ("pan", 2.8, 7.5),
        "tilt": ("tilt", 4.1, 10.0),
        "roll": ("roll", 3.75, 10.0),
        "zoom": ("zoom", 3.75, 10.0),
        "dolly": ("forward", 3.3, 8.9),
        "orbit": ("orbit", 3.7, 10.0),
    }
)
"""What a move that is told in words comes to, slow and fast: as fast as in the clips the bundled model was taught."""
RAMP_SECONDS = 0.4
"""A move starts from rest: its speed grows evenly for so long and is constant from then on."""
UP_3 = np.array([0.0, -1.0, 0.0])
RIGHT_3 = np.array([1.0, 0.0, 0.0])
FORWARD_3 = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class CameraKey:
    """The camera at one moment of a free path; between keys every number changes evenly."""

    seconds: float
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    """Where it is: right, down, forward, in distances to what it looked at first."""
    pan: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    """Where it looks, degrees; signs as for moves."""
    orbit: float = 0.0
    """How far it has gone round the point it looked at first, degrees; to the right is positive."""
    zoom: float = 0.0
    """Logarithm of the focal length over the first one: 0.69 is twice as near."""


@dataclass(frozen=True, kw_only=True)
class CameraMove:
    """Steady moves, or a free path. All zero is a camera that stands still, and says so.

    Raises `InputError` for amounts outside [-10, 10], for a path together with amounts, and for keys out of order.
    """

    horizontal: float = 0.0
    vertical: float = 0.0
    pan: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    zoom: float = 0.0
    orbit: float = 0.0
    forward: float = 0.0
    """Backward (-) and forward (+); not one of Kling's six, its named moves use it."""
    path: tuple[CameraKey, ...] = ()

    def __post_init__(self) -> None:
        for name in AMOUNTS:
            amount = getattr(self, name)
            if not (is_number(amount) and abs(amount) <= LIMIT):
                raise InputError(f"camera {name}={amount!r} is out of range: choose from -10 to 10.")
        if self.path and any(getattr(self, name) for name in AMOUNTS):
            raise InputError("A camera follows either a path or steady moves, not both; leave one out.")
        times = [key.seconds for key in self.path]
        numbers = [getattr(key, part.name) for key in self.path for part in fields(key)]
        if not all(is_number(number) for number in numbers):
            raise InputError("Every number of a camera path must be finite.")
        if any(abs(getattr(key, name)) > most for key in self.path for name, most in FARTHEST.items()):
            told = ", ".join(f"{name} {most:g}" for name, most in FARTHEST.items())
            raise InputError(f"A camera path goes too far; no key may go beyond {told}.")
        if self.path and (times[0] != 0.0 or any(b <= a for a, b in pairwise(times))):
            raise InputError(f"A camera path starts at 0 s and goes on in order; its keys stand at {times}.")

    @property
    def name(self) -> str:
        """In a few words, for plans."""
        if self.path:
            return f"a path of {len(self.path)} keys"
        amounts = [f"{name}={getattr(self, name):g}" for name in AMOUNTS if getattr(self, name)]
        return ", ".join(amounts) or "still"


NAMED_MOVES = MappingProxyType(
    {
        "still": CameraMove(),
        "down_back": CameraMove(vertical=-6.0, forward=-8.0),
        "forward_up": CameraMove(vertical=6.0, forward=8.0),
        "right_turn_forward": CameraMove(pan=6.0, forward=8.0),
        "left_turn_forward": CameraMove(pan=-6.0, forward=8.0),
    }
)
"""Kling's four, and one that keeps the camera where it is."""


def spoken_move(kind: str, speed: str) -> CameraMove:
    """A move in the words of the slots `camera` and `camera_speed` (`kinora.core.slots`): `pan_left`, `slow`."""
    name, _, way = kind.partition("_")
    if name not in SPOKEN:
        return CameraMove()
    amount, slow, fast = SPOKEN[name]
    negative = way in ("left", "down", "counterclockwise", "out") if name != "zoom" else way == "in"
    size = fast if speed == "fast" else slow
    amounts: dict[str, Any] = {amount: -size if negative else size}
    return CameraMove(**amounts)


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraTrack:
    """Where the camera is at every frame."""

    pose_F34: Array
    zoom_F: Array
    """Focal length over the first frame's."""


def camera_track(move: CameraMove, seconds_F: Array) -> CameraTrack:
    """Poses and focal lengths at some moments; at 0 s the identity and 1."""
    keys = [_key_at(move, float(seconds)) for seconds in seconds_F]
    pose_F34 = np.stack([_pose(key, steady=not move.path) for key in keys])
    return CameraTrack(pose_F34=pose_F34, zoom_F=np.exp([key.zoom for key in keys]))


def _key_at(move: CameraMove, seconds: float) -> CameraKey:
    if move.path:
        times = [key.seconds for key in move.path]
        names = [part.name for part in fields(CameraKey) if part.name != "seconds"]
        between = {name: float(np.interp(seconds, times, [getattr(key, name) for key in move.path])) for name in names}
        first = move.path[0]
        offsets = {name: value - getattr(first, name) for name, value in between.items()}
        return CameraKey(seconds=seconds, **offsets)
    travelled = seconds**2 / (2 * RAMP_SECONDS) if seconds < RAMP_SECONDS else seconds - RAMP_SECONDS / 2
    amount = {name: travelled * FULL[name] * getattr(move, name) / LIMIT for name in AMOUNTS}
    return CameraKey(
        seconds=seconds,
        x=amount["horizontal"],
        y=-amount["vertical"],
        z=amount["forward"],
        pan=math.degrees(amount["pan"]),
        tilt=math.degrees(amount["tilt"]),
        roll=math.degrees(amount["roll"]),
        zoom=-amount["zoom"],
        orbit=math.degrees(amount["orbit"]),
    )


def _pose(key: CameraKey, *, steady: bool) -> Array:
    """Pan about the vertical, then tilt and roll about the camera's own axes; at last the orbit about the point ahead.

    Right-handed about axes that point up, right and forward: a turn to the right is negative about up, and so is going
    round to the left.
    """
    pan_33 = rotation_about(UP_3, -math.radians(key.pan))
    tilt_33 = rotation_about(RIGHT_3, math.radians(key.tilt))
    roll_33 = rotation_about(FORWARD_3, math.radians(key.roll))
    position_3 = _arc(key) if steady else np.array([key.x, key.y, key.z])
    turn_33 = rotation_about(UP_3, math.radians(key.orbit))
    return np.column_stack([turn_33 @ pan_33 @ tilt_33 @ roll_33, FORWARD_3 + turn_33 @ (position_3 - FORWARD_3)])


def _arc(key: CameraKey) -> Array:
    """Going forward while turning follows a circle."""
    angle = math.radians(key.pan)
    if abs(angle) < 1e-9:
        return np.array([key.x, key.y, key.z])
    radius = key.z / angle
    return np.array([key.x + radius * (1.0 - math.cos(angle)), key.y, radius * math.sin(angle)])
