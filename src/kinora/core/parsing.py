"""What people write on a command line or in a JSON file, as conditions. Every mistake is an `InputError`.

Places come in pixels or in shares of the picture, from the top left or the bottom left corner; inside Kinora they are
shares from the top left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kinora.core.camera import AMOUNTS, NAMED_MOVES, CameraKey, CameraMove
from kinora.core.conditions import MOST_STROKES, STROKE_POINTS, Brush, Face, Stroke
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Mask, Voice
from kinora.core.request import Line
from kinora.core.values import entries, items, number, numbers, shown
from kinora.core.visemes import MOUTH_AXES, VisemeTrack

__all__ = [
    "VOICE_RATE",
    "parse_box",
    "parse_camera",
    "parse_keyframe",
    "parse_line",
    "parse_reference",
    "read_brush",
    "read_face",
    "read_path",
    "read_voice",
]

UNITS = ("normalised", "pixels")
ORIGINS = ("top-left", "bottom-left")
VOICE_RATE = 16.0
"""Mouth shapes a second of a track that does not say: the bundled model's frame rate."""
FACE_KEY = ("seconds", "x", "y", "radius")

Shares = tuple[tuple[float, float], ...]
MaskOf = Callable[[Any], Mask]
"""Makes a mask of a file's name or of {"polygon": ((x, y), ...)} in shares from the top left."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """How a file tells places."""

    units: str
    origin: str
    size_HW: tuple[int, int]


def parse_camera(text: str) -> CameraMove:
    """`pan=5`, `pan=3,zoom=-2` or a named move such as `forward_up`."""
    text = text.strip()
    if text in NAMED_MOVES:
        return NAMED_MOVES[text]
    amounts: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, amount = (piece.strip() for piece in part.partition("="))
        if name not in AMOUNTS or not equals:
            raise InputError(
                f"There is no camera move {part.strip()!r}; choose {', '.join(f'{one}=N' for one in AMOUNTS)} with N "
                f"from -10 to 10 (several with commas between), or one of {', '.join(NAMED_MOVES)}."
            )
        if name in amounts:
            raise InputError(f"The camera's {name} is said twice in {text!r}; say it once.")
        amounts[name] = _told_number(amount, f"camera {name}")
    return CameraMove(**amounts)


def parse_keyframe(text: str) -> tuple[float, str]:
    """`2.5s=pic.png` -> 2.5 seconds and the file's name."""
    return _timed(text, "A keyframe", "2.5s=picture.png")


def parse_line(text: str) -> Line:
    """`5s=a red ball falls`: from five seconds on the film shows that."""
    at, prompt = _timed(text, "A line of the script", '"5s=a red ball falls"')
    return Line(at=at, prompt=prompt)


def parse_reference(text: str) -> tuple[str, str]:
    """`face.png@name` -> file and name; the name is empty when there is none.

    An @ in the file's own name stays there: a name holds no dot and no slash.
    """
    path, at, name = text.rpartition("@")
    if not at or re.search(r"[./\\]", name):
        return text, ""
    if not path or not re.fullmatch(r"\w[\w-]*", name):
        raise InputError(f"The reference {text!r} is not FILE or FILE@NAME, with letters, digits, _ and - in the name.")
    return path, name


def parse_box(text: str) -> Shares:
    """`0.2,0.2,0.6,0.8` (left, top, right, bottom in shares of the picture) -> its four corners."""
    what = f"The box {text!r}"
    parts = [_told_number(part.strip(), f"A side of {text!r}") for part in text.split(",")]
    if len(parts) != 4:
        raise InputError(f"{what} is not X0,Y0,X1,Y1: four shares of the picture's width and height.")
    left, top, right, bottom = parts
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise InputError(f"{what} is no box in the picture: shares go from 0 to 1, left to right and top to bottom.")
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def read_path(record: Any) -> CameraMove:
    """A free path: {"keys": [{"seconds": 0, "x": 0, ...}, ...]}."""
    keys = entries(record, "A camera path", known=("keys",), needed=("keys",))["keys"]
    names = [part.name for part in fields(CameraKey)]
    path = []
    for index, key in enumerate(items(keys, "A camera path's keys", of="keys")):
        what = f"Key {index} of the camera path"
        told = entries(key, what, known=names, needed=("seconds",))
        path.append(CameraKey(**{name: number(value, f"{what}: {name}") for name, value in told.items()}))
    return CameraMove(path=tuple(path))


def read_brush(record: Any, mask: MaskOf, size_HW: tuple[int, int]) -> Brush:
    """Motion painted on a picture of `size_HW`: {"units": "pixels", "origin": "top-left", "static": mask,
    "strokes": [{"mask": mask, "points": [[x, y], ...]}, ...]}.

    A mask is a file's name or {"polygon": [[x, y], ...]}, and `mask` makes it of that; a polygon reaches it in shares
    from the top left. In pixels the origin must be said: programs differ in it.
    """
    told = entries(record, "A brush", known=("units", "origin", "static", "strokes"))
    units = _chosen(told.get("units", "normalised"), "A brush's units", UNITS)
    if units == "pixels" and "origin" not in told:
        raise InputError(f"A brush in pixels must say where they count from: add an origin, {' or '.join(ORIGINS)}.")
    origin = _chosen(told.get("origin", "top-left"), "A brush's origin", ORIGINS)
    places = Places(units=units, origin=origin, size_HW=size_HW)
    static = None if told.get("static") is None else _mask(told["static"], "The static mask", places, mask)
    listed = items(told["strokes"], "A brush's strokes", of="strokes") if told.get("strokes") else []
    if len(listed) > MOST_STROKES:
        raise InputError(f"The brush has {len(listed)} strokes; at most {MOST_STROKES} are followed at once.")
    strokes = []
    for index, stroke in enumerate(listed, start=1):
        what = f"Stroke {index} of the brush"
        parts = entries(stroke, what, known=("mask", "points"), needed=("mask", "points"))
        low, high = STROKE_POINTS
        count = len(items(parts["points"], f"{what}: points", of="points"))
        if not low <= count <= high:
            raise InputError(f"{what} has {count} points; draw it with {low} to {high}.")
        points = _shares(parts["points"], what, places)
        strokes.append(Stroke(mask=_mask(parts["mask"], f"The mask of stroke {index}", places, mask), points=points))
    return Brush(strokes=tuple(strokes), static=static)


def read_voice(record: Any, name: str = "speech track") -> Voice:
    """A speech track: {"frame_rate": 16, "frames": [[openness, width, rounding, teeth], ...]}, or the list alone.

    A frame is four numbers in [0, 1], in this order or by name.
    """
    if isinstance(record, list):
        record = {"frames": record}
    told = entries(record, "A speech track", known=("frame_rate", "frames"), needed=("frames",))
    rate = number(told.get("frame_rate", VOICE_RATE), "A speech track's frame_rate")
    if not 1 <= rate <= 240:
        raise InputError(f"A speech track of {rate:g} frames a second cannot be followed; choose from 1 to 240.")
    rows = [
        numbers(frame, f"Frame {index} of the speech track", names=MOUTH_AXES)
        for index, frame in enumerate(items(told["frames"], "A speech track's frames", of="mouth shapes"))
    ]
    for index, row in enumerate(rows):
        for axis, value in zip(MOUTH_AXES, row, strict=True):
            if not 0 <= value <= 1:
                raise InputError(
                    f"Frame {index} of the speech track has {axis}={value:g}; shapes of a mouth are shares from 0 to 1."
                )
    return Voice.of(VisemeTrack(mouth_F4=np.array(rows, dtype=np.float32), frame_rate=rate), name)


def read_face(record: Any) -> Face:
    """Where a face is: `"0.5,0.3,0.1"` (x, y, radius), {"x": 0.5, "y": 0.3, "radius": 0.1}, or several moments,
    {"track": [{"seconds": 0, "x": ...}, ...]}.
    """
    if isinstance(record, str):
        parts = [_told_number(part.strip(), f"A face's place {record!r}") for part in record.split(",")]
        if len(parts) != 3:
            raise InputError(f"A face's place is X,Y,RADIUS in shares of the picture; {record!r} is not.")
        return Face(track=((0.0, parts[0], parts[1], parts[2]),))
    if isinstance(record, dict) and "track" not in record:
        x, y, radius = numbers(record, "A face", names=FACE_KEY[1:])
        return Face(track=((0.0, x, y, radius),))
    track = entries(record, "A face", known=("track",))["track"]
    rows = [numbers(key, "A face's place", names=FACE_KEY) for key in items(track, "A face's track", of="places")]
    return Face(track=tuple((seconds, x, y, radius) for seconds, x, y, radius in rows))


def _shares(value: Any, what: str, places: Places) -> Shares:
    """Places as shares from the top left."""
    height, width = places.size_HW if places.units == "pixels" else (1, 1)
    shares = []
    for index, point in enumerate(items(value, f"{what}: points", of="points")):
        x, y = numbers(point, f"{what}: point {index}", names=("x", "y"))
        if not (0 <= x <= width and 0 <= y <= height):
            raise InputError(
                f"{what}: point {index} at ({x:g}, {y:g}) lies outside the picture, which goes from (0, 0) to "
                f"({width}, {height}) in {places.units}; keep all of it inside."
            )
        shares.append((x / width, 1 - y / height if places.origin == "bottom-left" else y / height))
    return tuple(shares)


def _mask(value: Any, what: str, places: Places, mask: MaskOf) -> Mask:
    """A mask of the picture's size."""
    if isinstance(value, dict):
        polygon = entries(value, what, known=("polygon",), needed=("polygon",))["polygon"]
        value = {"polygon": _shares(polygon, what, places)}
    elif not isinstance(value, str):
        raise InputError(f'{what} is a file\'s name or {{"polygon": [[x, y], ...]}}, not {shown(value)}.')
    made = mask(value)
    if made.inside_HW.shape != places.size_HW:
        (high, wide), (height, width) = made.inside_HW.shape, places.size_HW
        raise ShapeError(
            f"{made.name} is {wide} x {high} and the picture {width} x {height}; a brush's masks have its size."
        )
    return made


def _chosen(value: Any, what: str, among: tuple[str, ...]) -> str:
    if value not in among:
        raise InputError(f"{what} are {' or '.join(among)}, not {shown(value)}.".replace("origin are", "origin is"))
    return str(value)


def _timed(text: str, what: str, example: str) -> tuple[float, str]:
    moment, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not rest or not moment:
        raise InputError(f"{what} is TIME=..., for example {example}; {text!r} is not.")
    seconds = _told_number(moment.removesuffix("s"), f"The time of {text!r}")
    if seconds < 0:
        raise InputError(f"The time of {text!r} is before the film's start; choose 0 s or later.")
    return seconds, rest


def _told_number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{what} must be a number, not {text!r}.") from error
    return number(value, what)
