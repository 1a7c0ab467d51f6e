"""Conditions in words: what a plan says of them, what a model refuses, and what a prompt means by `@name`."""

from __future__ import annotations

import re
from collections.abc import Collection
from types import MappingProxyType
from typing import TypeVar

from kinora.core.composition import mentions
from kinora.core.conditions import Brush, Condition, Continue, Keyframe, Moves, Reference, Region, Speech
from kinora.core.errors import InputError
from kinora.core.materials import Footage
from kinora.core.request import Request

__all__ = [
    "FIRST_PICTURE", "LAST_PICTURE", "OBEYED", "condition_lines", "condition_of", "footage_of", "plain_prompt",
    "refuse_what_it_cannot",
]  # fmt: skip

OBEYED = MappingProxyType(
    {
        Keyframe: "keyframes",
        Moves: "camera moves",
        Brush: "brushes",
        Reference: "references",
        Region: "regions",
        Continue: "continuation",
        Speech: "speech",
    }
)
"""The words in which a preset says what its model obeys. A model that takes no picture in between says `FIRST_PICTURE`
or `LAST_PICTURE` instead of keyframes.
"""
FIRST_PICTURE = "a first picture"
LAST_PICTURE = "a last picture"
GIVEN_BY = MappingProxyType({FIRST_PICTURE: "--image", LAST_PICTURE: "--end-image"})
Kind = TypeVar("Kind", bound=Condition)
CHINESE = re.compile(r"[一-鿿]")


def condition_of(request: Request, kind: type[Kind]) -> Kind | None:
    """The request's condition of that kind, the first where there may be several."""
    return next((condition for condition in request.conditions if isinstance(condition, kind)), None)


def footage_of(request: Request) -> Footage | None:
    """The film that a request goes on from or works over."""
    holders = (condition for condition in request.conditions if isinstance(condition, Continue | Region | Speech))
    return next((holder.footage for holder in holders if holder.footage is not None), None)


def refuse_what_it_cannot(
    request: Request, name: str, obeys: Collection[str], needs: frozenset[str] = frozenset()
) -> None:
    """Raise `InputError` naming a condition that the model does not obey, or one that it cannot do without."""
    asked = [_asked(condition, obeys) for condition in request.conditions]
    for word in asked:
        if word not in obeys:
            known = (*OBEYED.values(), FIRST_PICTURE, LAST_PICTURE)
            can = ", ".join(can for can in known if can in obeys) or "prompts alone"
            raise InputError(f"{name} was not made to follow {word}; it follows {can}. Leave the condition out.")
    # What goes on from a film has its first picture there.
    missing = [] if condition_of(request, Continue) else [word for word in GIVEN_BY if word in needs - {*asked}]
    if missing:
        told, give = " and ".join(missing), " and ".join(GIVEN_BY[word] for word in missing)
        also = "also " if len(missing) < len(needs) else ""
        raise InputError(f"{name} {also}needs {told}; give {give}, or choose a model that films words.")


def _asked(condition: Condition, obeys: Collection[str]) -> str:
    """The word for what a condition asks of a model."""
    if isinstance(condition, Keyframe) and OBEYED[Keyframe] not in obeys:
        if condition.at is None:
            return LAST_PICTURE
        return FIRST_PICTURE if condition.at == 0 else OBEYED[Keyframe]
    return OBEYED[type(condition)]


def condition_lines(request: Request) -> tuple[str, ...]:
    """One line of a plan for each condition and each later prompt."""
    prompts = (f"{'then':10}from {line.at:g} s: {line.prompt}" for line in request.script)
    return (*(_line(condition) for condition in request.conditions), *prompts)


def _line(condition: Condition) -> str:
    match condition:
        case Keyframe(still=still, at=at, fit=fit):
            where = "the last frame" if at is None else "the first frame" if at == 0 else f"at {at:g} s"
            return (
                f"{'picture':10}{still.name}, {where}, {'cropped' if fit == 'crop' else 'padded'} to the film's shape"
            )
        case Moves(move=move):
            return f"{'camera':10}{move.name}: a guide drawn from the first picture, and the pose of every latent frame"
        case Brush(strokes=strokes, static=static):
            still_part = ", one area held still" if static is not None else ""
            return f"{'brush':10}{len(strokes)} strokes{still_part}: a guide cut from the first picture and dragged"
        case Reference(still=still, name=name):
            called = f" as @{name}" if name else ""
            return f"{'reference':10}{still.name}{called}: one latent frame beside the film"
        case Region(footage=footage, mask=mask):
            share = mask.inside_HW.mean()
            return f"{'region':10}{share:.0%} of {footage.name} made anew, the rest kept to the pixel"
        case Continue(footage=footage, before=before):
            return f"{'goes on':10}{'before' if before else 'after'} {footage.name} ({footage.clip.seconds:.2f} s)"
        case Speech(voice=voice, footage=footage):
            where = "a new film" if footage is None else footage.name
            return (
                f"{'speech':10}{voice.name} in {where}: a mouth drawn into the face, and mouth shapes for every token"
            )


def plain_prompt(prompt: str, request: Request) -> str:
    """The prompt with every `@name` told as the model was taught to hear of a reference: a person."""
    someone = "一个人" if CHINESE.search(prompt) else "a person"
    names = tuple(c.name for c in request.conditions if isinstance(c, Reference) and c.name)
    for start, name in reversed([(start, name) for start, name in mentions(prompt, names) if name]):
        prompt = prompt[:start] + someone + prompt[start + 1 + len(name) :]
    return prompt
