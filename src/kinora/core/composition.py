"""What may stand together in one request, and why some things may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, get_args

from kinora.core.conditions import Brush, Condition, Continue, Keyframe, Moves, Reference, Region, Speech
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Still

if TYPE_CHECKING:
    from kinora.core.request import Request

__all__ = ["BRUSH_SECONDS", "CLOSEST_KEYFRAMES", "MOST_KEYFRAMES", "MOST_REFERENCES", "check_together", "mentions"]

MOST_KEYFRAMES = 10
CLOSEST_KEYFRAMES = 0.25
"""Seconds: one step of the latent grid at sixteen frames a second; two pictures in one step cannot both be shown."""
MOST_REFERENCES = 7
BRUSH_SECONDS = 5.0
"""One window of the model."""
ROUNDING = 1e-6

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Two conditions that contradict each other."""

    one: type
    other: type
    reason: str


NAMES = {
    Brush: "a brush",
    Moves: "a camera move",
    Region: "a region to make anew",
    Continue: "a film to go on from",
    Speech: "speech",
    Keyframe: "a keyframe",
}
APART = (
    Apart(one=Continue, other=Region, reason="one keeps the footage and adds to it, the other changes it"),
    Apart(one=Moves, other=Region, reason="the footage has its camera's motion already"),
    Apart(one=Brush, other=Region, reason="the footage has its motion already"),
    Apart(one=Brush, other=Continue, reason="a brush paints on a first picture, and this film's is already made"),
    Apart(one=Keyframe, other=Region, reason="the footage says what every moment looks like"),
)


def check_together(request: Request) -> None:
    """Raise `InputError` (or `ShapeError`) for a request whose conditions contradict each other or its length."""
    for condition in request.conditions:
        if not isinstance(condition, get_args(Condition)):
            raise InputError(f"{condition!r} is no condition; see kinora.core.conditions for those there are.")
    _check_single(request)
    _check_apart(request)
    _check_keyframes(request)
    _check_motion(request)
    _check_footage(request)
    _check_references(request)


def mentions(prompt: str, names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Where a prompt says `@name`, and which of `names` it is: the longest that fits, or "" when none does.

    In Chinese no space ends a name, so a name ends where it says; among Latin letters it must be a whole word. An @
    inside a word (an address of mail) mentions nobody.
    """
    for found in re.finditer(r"(?<![A-Za-z0-9._-])@(?=\w)", prompt):
        rest = prompt[found.end() :]
        fitting = [name for name in names if rest.startswith(name) and not _goes_on(name, rest[len(name) :])]
        yield found.start(), max(fitting, key=len, default="")


def _goes_on(name: str, rest: str) -> bool:
    """Whether a Latin word does not end where `name` does."""
    return name[-1].isascii() and re.match(r"[A-Za-z0-9_]", rest) is not None


def _of(request: Request, kind: type[T]) -> list[T]:
    return [condition for condition in request.conditions if isinstance(condition, kind)]


def _check_single(request: Request) -> None:
    for kind in (Brush, Moves, Region, Continue, Speech):
        count = len(_of(request, kind))
        if count > 1:
            raise InputError(f"The request has {NAMES[kind]} {count} times; a film takes one. Leave the others out.")


def _check_apart(request: Request) -> None:
    for pair in APART:
        if _of(request, pair.one) and _of(request, pair.other):
            raise InputError(
                f"{NAMES[pair.one].capitalize()} and {NAMES[pair.other]} contradict each other: {pair.reason}. "
                "Leave one out."
            )


def _check_keyframes(request: Request) -> None:
    keyframes = _of(request, Keyframe)
    if len(keyframes) > MOST_KEYFRAMES:
        raise InputError(f"The film has {len(keyframes)} keyframes; at most {MOST_KEYFRAMES} are kept.")
    moments = sorted(request.seconds if key.at is None else key.at for key in keyframes)
    if moments and moments[-1] > request.seconds + ROUNDING:
        raise InputError(
            f"The keyframe at {moments[-1]:g} s lies beyond the film's {request.seconds:g} s; make the film longer or "
            "move the keyframe."
        )
    for sooner, later in pairwise(moments):
        if later - sooner < CLOSEST_KEYFRAMES - ROUNDING:
            raise InputError(
                f"The keyframes at {sooner:g} s and {later:g} s are too near each other: keep {CLOSEST_KEYFRAMES:g} s "
                "between them."
            )
    if _of(request, Continue) and moments and moments[0] < CLOSEST_KEYFRAMES:
        raise InputError(
            "A film that goes on from footage has its first picture from there; leave the keyframe at "
            f"{moments[0]:g} s out."
        )


def _check_motion(request: Request) -> None:
    """Brush and camera: what they stand on, and that nothing else says where things end."""
    later = [key for key in _of(request, Keyframe) if key.at != 0]
    for kind in (Brush, Moves):
        if _of(request, kind) and later:
            when = "the end" if later[0].at is None else f"{later[0].at:g} s"
            raise InputError(
                f"{NAMES[kind].capitalize()} and the keyframe at {when} both say where things end; leave one out."
            )
    for brush in _of(request, Brush):
        first = next((key.still for key in _of(request, Keyframe) if key.at == 0), None)
        if first is None:
            raise InputError("A brush paints on a picture, and the film has no first one: give it with --image.")
        if request.script:
            raise InputError("A brush lasts for one window, and a script takes more; leave one out.")
        if request.seconds > BRUSH_SECONDS:
            raise InputError(
                f"A brush lasts for one window of {BRUSH_SECONDS:g} s, and the film for {request.seconds:g} s; make "
                f"{BRUSH_SECONDS:g} s with it, then extend the film."
            )
        _check_masks(brush, first)


def _check_masks(brush: Brush, still: Still) -> None:
    height, width, _ = still.rgb_HW3.shape
    for mask in brush.masks:
        if mask.seen and still.seen and mask.inside_HW.shape != (height, width):
            high, wide = mask.inside_HW.shape
            raise ShapeError(
                f"{mask.name} is {wide} x {high} and {still.name} is {width} x {height}; a brush's masks have its "
                "picture's size."
            )


def _check_footage(request: Request) -> None:
    """Conditions that bring a film along."""
    for speech in _of(request, Speech):
        if speech.footage is not None and (len(request.conditions) > 1 or request.script):
            raise InputError(
                "Speech in an existing film changes its mouth and nothing else; leave the other conditions and the "
                "script out, and make them first."
            )
    for onward in _of(request, Continue):
        if onward.before and request.script:
            raise InputError("A script goes forward in time and cannot lead up to a film; leave it out.")
    for region in _of(request, Region):
        _check_length(request, region.footage.clip.seconds if region.footage.seen else request.seconds)
    for speech in _of(request, Speech):
        if speech.footage is not None and speech.footage.seen:
            _check_length(request, speech.footage.clip.seconds)


def _check_length(request: Request, footage: float) -> None:
    if request.seconds > footage + CLOSEST_KEYFRAMES:
        raise InputError(
            f"The footage lasts {footage:g} s, the film is to last {request.seconds:g} s; ask for {footage:g} s."
        )


def _check_references(request: Request) -> None:
    references = _of(request, Reference)
    if len(references) > MOST_REFERENCES:
        raise InputError(f"The request has {len(references)} references; at most {MOST_REFERENCES} are looked at.")
    names = [reference.name for reference in references if reference.name]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{names.count(name)} references are called {name!r}; give each a name of its own.")
    said: set[str] = set()
    for prompt in (request.prompt, *(line.prompt for line in request.script)):
        for place, name in mentions(prompt, tuple(names)):
            if not name:
                what = re.split(r"[\s,.;:!?，。；：！？、]", prompt[place:], maxsplit=1)[0]
                known = f"there are {', '.join(f'@{one}' for one in names)}" if names else "there are none"
                raise InputError(
                    f"The prompt mentions {what}, and no reference is called so ({known}); give it with "
                    "--reference FILE@NAME."
                )
            said.add(name)
    for name in names:
        if name not in said:
            raise InputError(
                f"The reference {name!r} is never mentioned; write @{name} in the prompt, or leave its name out."
            )
