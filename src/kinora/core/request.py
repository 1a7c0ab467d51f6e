"""A request: what a person asks for, checked before anything costly happens."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import asdict, dataclass, fields
from typing import Any

from kinora.core.errors import InputError, PromptError, ShapeError

__all__ = ["ASPECTS", "PROMPT_LIMIT", "QUALITIES", "SECONDS_RANGE", "SEED_LIMIT", "Request"]

ASPECTS = ("1:1", "16:9", "9:16")
"""Width to height."""
QUALITIES = ("draft", "standard", "pro")
"""How many steps the sampler takes; a preset says what each means for its model."""
SECONDS_RANGE = (0.25, 30.0)
"""Shorter is a picture (`kinora image`); longer wants a story of several shots."""
PROMPT_LIMIT = 500
"""Characters of a prompt, as people type them."""
SEED_LIMIT = 2**31
"""Seeds run from 0 to this, exclusive: every random generator in use takes them."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. Two equal requests to the same weights on the same device give the same frames.

    Raises `PromptError`, `ShapeError` or `InputError` when it could not be fulfilled by any model.
    """

    prompt: str
    """What the film shows, Chinese or English."""
    seconds: float = 5.0
    aspect: str = "1:1"
    """One of `ASPECTS`."""
    quality: str = "standard"
    """One of `QUALITIES`."""
    seed: int = 0
    negative: str = ""
    """What the film should not show; empty for nothing in particular."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", checked_text(self.prompt, "prompt"))
        object.__setattr__(self, "negative", checked_text(self.negative, "negative prompt"))
        if not self.prompt:
            raise PromptError("The prompt is empty; write a sentence that says what the film shows.")
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

    def to_record(self) -> dict[str, Any]:
        """The request as plain values, ready for JSON; `from_record` is its inverse."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Request:
        """The request that `to_record` wrote; raises `InputError` when fields are unknown or values out of range."""
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown or "prompt" not in record:
            what = f"knows no {', '.join(unknown)}" if unknown else "needs a prompt"
            raise InputError(f"This version's request {what}; it may come from a newer Kinora.")
        return cls(**record)


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
