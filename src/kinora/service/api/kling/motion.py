"""Motion: `camera_control`, and the motion brush's masks and trajectories."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from kinora.core.camera import NAMED_MOVES, CameraMove
from kinora.core.conditions import STROKE_POINTS, Brush, Moves, Stroke
from kinora.core.errors import InputError
from kinora.core.materials import Still
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.intake import mask
from kinora.service.api.kling.lenient import Number, Text, Wire
from kinora.service.errors import Invalid

__all__ = ["CameraControl", "DynamicMask", "Point", "brush_of", "moves_of"]

SIMPLE = "simple"
NAMED = tuple(name for name in NAMED_MOVES if name != "still")
FIELDS = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")
LIMIT = 10.0


class CameraConfig(Wire):
    """Exactly one of them is not zero."""

    horizontal: Number = 0.0
    vertical: Number = 0.0
    pan: Number = 0.0
    tilt: Number = 0.0
    roll: Number = 0.0
    zoom: Number = 0.0


class CameraControl(Wire):
    """A move by name, or a simple one by its amount."""

    type: Text | None = None
    config: CameraConfig | None = None


class Point(Wire):
    """A place in pixels, from the bottom left corner; some clients send [x, y]."""

    x: Number
    y: Number

    @model_validator(mode="before")
    @classmethod
    def _named(cls, sent: Any) -> Any:
        return {"x": sent[0], "y": sent[1]} if isinstance(sent, list) and len(sent) == 2 else sent


class DynamicMask(Wire):
    """An area and the way it goes."""

    mask: Text
    trajectories: tuple[Point, ...]


def moves_of(control: CameraControl) -> Moves | None:
    """The camera's move; None where the model is left to choose. Raises `Invalid`."""
    if control.type is None and control.config is None:
        return None
    if control.type in NAMED:
        return Moves(move=NAMED_MOVES[control.type])
    if control.type not in (None, SIMPLE):
        told = ", ".join((SIMPLE, *NAMED))
        raise Invalid(f"There is no camera type {control.type!r}; choose one of {told}.", field="camera_control.type")
    config = control.config or CameraConfig()
    amounts = {name: getattr(config, name) for name in FIELDS if getattr(config, name)}
    if len(amounts) != 1:
        said = ", ".join(f"{name}={amount:g}" for name, amount in amounts.items()) or "none"
        raise Invalid(
            f"A simple camera move has exactly one of {', '.join(FIELDS)} other than 0; this one has {said}.",
            field="camera_control.config",
        )
    (name, amount), *_ = amounts.items()
    if abs(amount) > LIMIT:
        raise Invalid(
            f"{name}={amount:g} is out of range; choose from -10 to 10.", field=f"camera_control.config.{name}"
        )
    return Moves(move=CameraMove(**amounts))


def brush_of(call: Call, static: str | None, dynamic: tuple[DynamicMask, ...], still: Still) -> Brush:
    """The brush on a picture. Raises `Invalid` for masks that do not fit it, overlap or are empty, and for points
    outside of it.
    """
    strokes = tuple(
        Stroke(mask=mask(call, one.mask, f"dynamic_masks[{place}].mask", still), points=_shares(one, place, still))
        for place, one in enumerate(dynamic)
    )
    try:
        return Brush(strokes=strokes, static=None if static is None else mask(call, static, "static_mask", still))
    except InputError as error:
        raise Invalid(str(error), field="dynamic_masks") from error


def _shares(one: DynamicMask, place: int, still: Still) -> tuple[tuple[float, float], ...]:
    """Points as shares of width and height from the top left, where Kling counts pixels from the bottom left."""
    height, width, _ = still.rgb_HW3.shape
    field = f"dynamic_masks[{place}].trajectories"
    low, high = STROKE_POINTS
    if not low <= len(one.trajectories) <= high:
        raise Invalid(f"{field} has {len(one.trajectories)} points; draw it with {low} to {high}.", field=field)
    shares = []
    for index, point in enumerate(one.trajectories):
        if not (0 <= point.x <= width and 0 <= point.y <= height):
            raise Invalid(
                f"{field}[{index}] at ({point.x:g}, {point.y:g}) lies outside the picture of {width} x {height} "
                "pixels; keep the whole path inside.",
                field=f"{field}[{index}]",
            )
        shares.append((point.x / width, 1 - point.y / height))
    return tuple(shares)
