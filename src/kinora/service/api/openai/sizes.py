"""What clients say of size and length, as what the loaded model makes.

Any `WIDTHxHEIGHT` is taken and drawn in the model's size of the nearest aspect; any length is taken and cut to what the
model can make. The answer says the real ones.
"""

from __future__ import annotations

import math
import re
from typing import Any

from kinora.core.request import SECONDS_RANGE
from kinora.pipeline.planning import MOST_SLENDER
from kinora.service.catalogue import Card
from kinora.service.errors import Invalid

__all__ = ["exact", "length_of", "seconds_of", "shape_of", "size_text"]

SIZE = re.compile(r"\s*([0-9]{1,5})\s*[xX*×:]\s*([0-9]{1,5})\s*")
WHOLE = 0.1
"""Seconds by which a film may miss a whole number and still be told as one: 4 s at 16 frames a second are 65 frames."""


def shape_of(said: object, field: str = "size") -> tuple[int, int] | None:
    """Width and height (or an aspect's two sides) of `1280x720` or `16:9`; None for nothing said and for `auto`.

    Raises `Invalid`.
    """
    if said is None or (isinstance(said, str) and said.strip().lower() in ("", "auto")):
        return None
    found = SIZE.fullmatch(said) if isinstance(said, str) else None
    if found is None or not int(found[1]) or not int(found[2]):
        told = f"{field} must be width x height in pixels, such as 1280x720, not {str(said)[:40]!r}."
        raise Invalid(told, field=field)
    return int(found[1]), int(found[2])


def seconds_of(said: Any, default: float, most: float, field: str = "seconds") -> float:
    """The length in seconds, cut to what can be made; raises `Invalid` for what is no length."""
    if said is None or said == "":
        said = default
    try:
        seconds = math.nan if isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise Invalid(f"{field} must be a number of seconds above 0, not {str(said)[:40]!r}.", field=field)
    return min(max(seconds, SECONDS_RANGE[0]), most, SECONDS_RANGE[1])


def length_of(seconds: float) -> str:
    """Seconds as text: whole where a film is as good as that long, else with two digits."""
    whole = round(seconds)
    return str(whole) if whole and abs(seconds - whole) <= WHOLE else f"{seconds:.2f}".rstrip("0").rstrip(".")


def size_text(width: int, height: int) -> str:
    return f"{width}x{height}"


def exact(shape: tuple[int, int], card: Card) -> bool:
    """Whether a model that draws any size draws this one."""
    width, height = shape
    facts = card.facts
    step = facts.compression.space * facts.patch
    even = width % step == 0 and height % step == 0
    return even and 0 < width * height <= facts.most_pixels and max(shape) <= MOST_SLENDER * min(shape)
