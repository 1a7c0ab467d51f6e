"""A request: what a person asks for, checked before anything costly happens.

Without conditions it needs nothing but Python: the command line answers before numpy is there.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kinora.core.errors import InputError, PromptError, ShapeError

if TYPE_CHECKING:
    from kinora.core.conditions import Condition
    from kinora.core.materials import Material

__all__ = [
    "ASPECTS", "PROMPT_LIMIT", "QUALITIES", "REUSE_LIMIT", "SECONDS_RANGE", "SEED_LIMIT", "Find", "Line", "Request",
]  # fmt: skip

ASPECTS = ("1:1", "16:9", "9:16")
"""Width to height."""
QUALITIES = ("draft", "standard", "pro")
"""How many steps the sampler takes; a preset says what each means for its model."""
SECONDS_RANGE = (0.25, 600.0)
"""Shorter is a picture (`kinora image`); longer wants a story of several shots."""
PROMPT_LIMIT = 2500
"""Characters of a prompt; models read fewer or more words of it, and say so themselves."""
REUSE_LIMIT = 0.5
"""More would be another film."""
SEED_LIMIT = 2**31
"""Seeds run from 0 to this, exclusive: every random generator in use takes them."""

Find = Callable[[str, str, str], "Material"]
"""Brings a material of a record: find(kind, name, digest); kinds are still, mask, footage and voice."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a script: from `at` on, the film shows something else. Raises `InputError` or `PromptError`."""

    at: float
    """Seconds from the film's start, above 0; before the first line the request's own prompt holds."""
    prompt: str

    def __post_init__(self) -> None:
        at = self.at
        if isinstance(at, bool) or not isinstance(at, int | float) or not (math.isfinite(at) and at > 0):
            raise InputError(f"A line of a script begins at a number of seconds above 0, not at {at!r}.")
        object.__setattr__(self, "prompt", checked_prompt(self.prompt, f"prompt at {at:g} s"))


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. Two equal requests to the same weights on the same device give the same frames.

    Raises `PromptError`, `ShapeError` or `InputError` when it could not be fulfilled by any model.
    """

    prompt: str
    """What the film shows, Chinese or English."""
    seconds: float = 5.0
    """How much is made: with a film to go on from, the new part alone."""
    aspect: str = "1:1"
    """One of `ASPECTS`."""
    quality: str = "standard"
    """One of `QUALITIES`."""
    seed: int = 0
    negative: str = ""
    """What the film should not show; empty for nothing in particular."""
    conditions: tuple[Condition, ...] = ()
    """What is known or wanted beyond the prompt; they may not contradict each other."""
    script: tuple[Line, ...] = ()
    """Other prompts from some moments on, in order of time."""
    size: tuple[int, int] | None = None
    """Width and height, for models that draw any; None for the model's own at this aspect."""
    reuse: float = 0.0
    """Above 0 steps are left out that would change little, as long as the change they miss is estimated below this
    share: faster and not the same film. 0 takes every step.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", checked_prompt(self.prompt, "prompt"))
        object.__setattr__(self, "negative", checked_text(self.negative, "negative prompt"))
        object.__setattr__(self, "conditions", tuple(self.conditions))
        object.__setattr__(self, "script", tuple(self.script))
        if self.aspect not in ASPECTS:
            raise ShapeError(f"There is no aspect {self.aspect!r}; choose one of {', '.join(ASPECTS)}.")
        if self.quality not in QUALITIES:
            raise InputError(f"There is no quality {self.quality!r}; choose one of {', '.join(QUALITIES)}.")
        low, high = SECONDS_RANGE
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float):
            raise ShapeError(f"A film's length is a number of seconds, not {self.seconds!r}.")
        if not (math.isfinite(self.seconds) and low <= self.seconds <= high):
            raise ShapeError(f"A film of {self.seconds:g} s cannot be made; choose from {low:g} to {high:g} seconds.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < SEED_LIMIT:
            raise InputError(f"A seed is a whole number from 0 to {SEED_LIMIT - 1}; {self.seed!r} is not.")
        if self.size is not None:
            object.__setattr__(self, "size", checked_size(self.size))
        if type(self.reuse) not in (int, float) or not 0 <= self.reuse <= REUSE_LIMIT:
            raise InputError(f"Steps are reused up to a change of 0 to {REUSE_LIMIT:g}, not {self.reuse!r}.")
        check_script(self.script, self.seconds)
        if self.conditions or "@" in self.prompt or any("@" in line.prompt for line in self.script):
            from kinora.core.composition import check_together

            check_together(self)

    def to_record(self) -> dict[str, Any]:
        """The request as plain values, ready for JSON; `from_record` is its inverse.

        Conditions, script, size and reuse appear only where there are any; materials as their name and digest.
        """
        apart = ("conditions", "script", "size", "reuse")
        record = {part.name: getattr(self, part.name) for part in fields(self) if part.name not in apart}
        if self.size is not None:
            record["size"] = list(self.size)
        if self.reuse:
            record["reuse"] = self.reuse
        if self.conditions:
            from kinora.core.records import record_of

            record["conditions"] = [record_of(condition) for condition in self.conditions]
        if self.script:
            record["script"] = [{"at": line.at, "prompt": line.prompt} for line in self.script]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any], find: Find | None = None) -> Request:
        """The request that `to_record` wrote; `find` brings the materials of its conditions.

        Raises `InputError` when fields are unknown or values out of range, and, without `find`, when materials are
        needed: it names them.
        """
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown or "prompt" not in record:
            what = f"knows no {', '.join(unknown)}" if unknown else "needs a prompt"
            raise InputError(f"This version's request {what}; it may come from a newer Kinora.")
        values = dict(record)
        if values.get("conditions"):
            from kinora.core.records import conditions_of

            values["conditions"] = conditions_of(values["conditions"], find)
        values["script"] = script_of(values.get("script", []))
        return cls(**values)


def checked_size(size: Any) -> tuple[int, int]:
    """Width and height as whole numbers above 0; raises `ShapeError` for anything else."""
    if not isinstance(size, tuple | list) or len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ShapeError(f"A size is a width and a height in whole pixels, such as 832x480, not {size!r}.")
    return size[0], size[1]


def script_of(records: Any) -> tuple[Line, ...]:
    """The lines of a record's script."""
    told = {"at", "prompt"}
    if not isinstance(records, list) or any(not isinstance(one, dict) or set(one) != told for one in records):
        raise InputError('A script is a list of {"at": seconds, "prompt": text}; this one is not.')
    return tuple(Line(**one) for one in records)


def check_script(script: tuple[Line, ...], seconds: float) -> None:
    """Raise `InputError` unless the lines follow each other inside a film of `seconds`."""
    if any(not isinstance(line, Line) for line in script):
        raise InputError("A script is made of lines: Line(at=seconds, prompt=text).")
    times = [line.at for line in script]
    if any(later <= sooner for sooner, later in pairwise(times)):
        told = ", ".join(f"{at:g} s" for at in times)
        raise InputError(f"The lines of a script follow each other in time; these stand at {told}. Sort them.")
    if times and times[-1] >= seconds:
        raise InputError(
            f"The script's line at {times[-1]:g} s begins after the film's {seconds:g} s; make the film longer or the "
            "line earlier."
        )


def checked_prompt(text: str, what: str) -> str:
    """`checked_text` that may not be empty."""
    text = checked_text(text, what)
    if not text:
        raise PromptError(f"The {what} is empty; write a sentence that says what the film shows.")
    return text


def checked_text(text: str, what: str) -> str:
    """`text` without surrounding space; raises `PromptError` unless it is readable and not too long."""
    if not isinstance(text, str):
        raise PromptError(f"The {what} must be text, not {type(text).__name__}.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\r\n" for letter in text):
        raise PromptError(f"The {what} holds bytes that are not text; is the terminal set to UTF-8?")
    text = " ".join(text.split())
    if len(text) > PROMPT_LIMIT:
        raise PromptError(f"The {what} has {len(text)} characters; at most {PROMPT_LIMIT} are read. Shorten it.")
    return text
