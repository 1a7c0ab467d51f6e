"""Conditions: things known or wanted beyond the prompt. A request carries any that do not contradict each other.

Places in a picture are shares of its width and height, x right and y down from the top left corner; times are seconds
from the film's start. Each checks itself and raises `InputError`; what contradicts what is said in `composition`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations, pairwise

from kinora.core.camera import CameraMove
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.values import is_number

__all__ = [
    "FITS",
    "MOST_STROKES",
    "STROKE_POINTS",
    "Brush",
    "Condition",
    "Continue",
    "Face",
    "Keyframe",
    "Moves",
    "Reference",
    "Region",
    "Speech",
    "Stroke",
]

FITS = ("crop", "pad")
"""How a picture of another shape fills the film's: cut its edges off, or lay a blurred copy of itself around it."""
MOST_STROKES = 6
STROKE_POINTS = (2, 77)
"""Fewest and most points of a stroke's path, as Kling has them."""


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """A picture the film passes through: image to video, an end frame, or anything between."""

    still: Still
    at: float | None = 0.0
    """Seconds; None for the film's last frame."""
    fit: str = "crop"
    """One of `FITS`."""

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"There is no fit {self.fit!r}; choose one of {', '.join(FITS)}.")
        if self.at is not None and not (is_number(self.at) and self.at >= 0):
            raise InputError(f"A keyframe stands at a number of seconds from 0 on, not at {self.at!r}.")


@dataclass(frozen=True, kw_only=True)
class Moves:
    """The camera moves."""

    move: CameraMove


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A painted area and the way it goes."""

    mask: Mask
    points: tuple[tuple[float, float], ...]
    """2 to 77 places (x, y) in shares of width and height, evenly spaced in time over the film; the area moves by
    what they differ from the first.
    """

    def __post_init__(self) -> None:
        low, high = STROKE_POINTS
        if not low <= len(self.points) <= high:
            raise InputError(f"A stroke has {len(self.points)} points; draw it with {low} to {high}.")
        for point in self.points:
            if len(point) != 2 or not all(is_number(share) and 0 <= share <= 1 for share in point):
                raise InputError(
                    f"The stroke's point {point} lies outside the picture: shares of its width and height run from "
                    "0 to 1. Keep the whole path inside."
                )


@dataclass(frozen=True, kw_only=True)
class Brush:
    """Motion painted on the film's first picture. What no stroke touches stays."""

    strokes: tuple[Stroke, ...] = ()
    """At most 6; their masks have the picture's size before it is cropped or padded, and do not overlap."""
    static: Mask | None = None
    """What must stay, to the pixel."""

    def __post_init__(self) -> None:
        if len(self.strokes) > MOST_STROKES:
            raise InputError(f"The brush has {len(self.strokes)} strokes; at most {MOST_STROKES} are followed at once.")
        if not self.masks:
            raise InputError("The brush has neither a stroke nor a static mask; paint at least one.")
        for one, other in combinations([mask for mask in self.masks if mask.seen], 2):
            check_apart(one, other)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """All of them, the strokes' first."""
        still = () if self.static is None else (self.static,)
        return (*(stroke.mask for stroke in self.strokes), *still)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Someone or something to appear in the film."""

    still: Still
    name: str = ""
    """How the prompt calls it, `@name`; empty: it is meant without being named."""
    consent: bool = False
    """For a picture of a real person: that person agreed. Kept in the recipe."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or (self.name and not re.fullmatch(r"\w[\w-]*", self.name)):
            raise InputError(f"A reference cannot be called {self.name!r}; use letters, digits, _ and - only.")
        if not isinstance(self.consent, bool):
            raise InputError(f"Consent is given or not, true or false; {self.consent!r} is neither.")


@dataclass(frozen=True, kw_only=True)
class Region:
    """An existing film of which only a part is made anew."""

    footage: Footage
    mask: Mask
    """True where the film is made anew; of the footage's size (of the film's, when it is laid into another aspect)."""


@dataclass(frozen=True, kw_only=True)
class Continue:
    """An existing film to go on from."""

    footage: Footage
    before: bool = False
    """Whether the new part comes before the footage instead of after it."""
    told: str = ""
    """The prompt that the footage was made from, at the end that borders on the new part; empty where nobody knows."""

    def __post_init__(self) -> None:
        if not isinstance(self.before, bool):
            raise InputError(f"A film goes on before or after, true or false; {self.before!r} is neither.")


@dataclass(frozen=True, kw_only=True)
class Face:
    """Where a face is, at some moments; between them it moves evenly, outside them it stays."""

    track: tuple[tuple[float, float, float, float], ...]
    """(seconds, x, y, radius): x and y in shares of width and height, the radius in shares of the shorter side."""

    def __post_init__(self) -> None:
        if not self.track:
            raise InputError("A face needs a place; give at least one as x, y and radius.")
        for key in self.track:
            if len(key) != 4 or not all(is_number(value) for value in key):
                raise InputError(f"The face's place {key} must be four numbers: seconds, x, y and radius.")
            _, x, y, radius = key
            if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < radius <= 1):
                raise InputError(
                    f"A face at x={x:g}, y={y:g} with radius {radius:g} is not in the picture: x and y are shares from "
                    "0 to 1 of its width and height, the radius one above 0 of its shorter side."
                )
        times = [key[0] for key in self.track]
        if times[0] < 0 or any(later <= sooner for sooner, later in pairwise(times)):
            raise InputError(f"A face's places follow each other in time from 0 on; these stand at {times}.")


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Mouth shapes for one face, in a new film or (with a `footage`) in an existing one."""

    voice: Voice
    face: Face
    footage: Footage | None = None


Condition = Keyframe | Moves | Brush | Reference | Region | Continue | Speech


def check_apart(one: Mask, other: Mask) -> None:
    """Raise unless both masks have one size and no pixel in common."""
    if one.inside_HW.shape != other.inside_HW.shape:
        (height, width), (high, wide) = one.inside_HW.shape, other.inside_HW.shape
        raise ShapeError(
            f"{one.name} is {width} x {height} and {other.name} {wide} x {high}; masks of one brush have the same size."
        )
    shared = int((one.inside_HW & other.inside_HW).sum())
    if shared:
        raise InputError(
            f"{one.name} and {other.name} overlap in {shared} pixels; a pixel goes one way. Paint them apart."
        )
