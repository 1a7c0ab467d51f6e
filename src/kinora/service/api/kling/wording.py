"""Kling's words as the loaded model's: mode and resolution, aspect, length, and what a prompt points to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from kinora.core.composition import mentions
from kinora.core.request import QUALITIES
from kinora.service.errors import Invalid

if TYPE_CHECKING:
    from kinora.service.catalogue import Card

__all__ = ["MODES", "MOST_SECONDS", "aspect_of", "pointed", "quality_for", "seconds_for"]

MODES: Mapping[str, str] = {
    "std": "standard", "pro": "pro", "4k": "pro", "720p": "standard", "1080p": "pro", "1k": "standard", "2k": "pro",
}  # fmt: skip
"""Of a mode or a resolution: all of them choose how much work is done; the size is the model's own."""
ANY_ASPECT = frozenset({"auto", "adaptive"})
ASPECT = re.compile(r"[1-9]\d{0,4}:[1-9]\d{0,4}")
MOST_SECONDS = 30.0
"""Kling's longest film of one request."""
TOKEN = re.compile(r"<<<\s*(image|element|video|voice)_(\d{1,3})\s*>>>(?=([A-Za-z0-9_])?)", re.IGNORECASE)
CHINESE = re.compile(r"[一-鿿]")


def quality_for(word: str | None, card: Card, *, field: str = "mode") -> str:
    """The quality that a mode or a resolution means; where the model has no such one, the nearest it has."""
    asked = "standard" if word is None else MODES.get(word.lower())
    if asked is None:
        raise Invalid(f"There is no {field} {word!r}; choose one of {', '.join(MODES)}.", field=field)
    place = QUALITIES.index(asked)
    return min(card.qualities, key=lambda known: abs(QUALITIES.index(known) - place))


def aspect_of(word: str | None) -> str:
    """Width to height as asked, 16:9 where nothing is; the model's nearest is taken later. Raises `Invalid`."""
    if word is None or word.lower() in ANY_ASPECT:
        return "16:9"
    if not ASPECT.fullmatch(word):
        raise Invalid(
            f"There is no aspect_ratio {word!r}; write it as width:height, such as 16:9.", field="aspect_ratio"
        )
    return word


def seconds_for(asked: float | None, card: Card, *, exactly: bool = False) -> float:
    """How long the film becomes: as asked, at most as long as the model makes; 5 s where nothing is said.

    `exactly`: there are shots to be shown, so that a shorter film would not do. Raises `Invalid`.
    """
    asked = 5.0 if asked is None else asked
    if not 1 <= asked <= MOST_SECONDS:
        raise Invalid(f"A duration of {asked:g} s cannot be; choose from 1 to {MOST_SECONDS:g}.", field="duration")
    if exactly and asked > card.most_seconds:
        raise Invalid(
            f"{card.name} makes films of at most {card.most_seconds:g} s, and the shots last {asked:g} s; leave "
            "some out.",
            field="duration",
        )
    return min(asked, card.most_seconds)


def pointed(prompt: str, names: Collection[str], shown: Collection[str] = ()) -> str:
    """A prompt whose `<<<image_1>>>` and `@image_1` are `@image_1` where `names` has it, and words where a picture of
    `shown` (a first or last frame, a film) is meant. Any other @ is left out: it points to nobody.

    Raises `Invalid` for a `<<<...>>>` that points to nothing.
    """
    known = {*names, *shown}

    def told(match: re.Match[str]) -> str:
        name = f"{match[1].lower()}_{int(match[2])}"
        if name not in known:
            there = ", ".join(f"<<<{one}>>>" for one in sorted(known)) or "nothing that could be meant"
            raise Invalid(f"The prompt points to {match[0]}, and the request brings {there}.", field="prompt")
        return f"@{name}" + (" " if match[3] else "")

    prompt = TOKEN.sub(told, prompt)
    picture = "画面" if CHINESE.search(prompt) else "the picture"
    for start, name in reversed(list(mentions(prompt, tuple(known)))):
        if name in names:
            continue
        prompt = prompt[:start] + (picture if name else "") + prompt[start + 1 + len(name) :]
    return prompt
