"""JSON of strangers, value by value: what it must hold, and a sentence when it does not."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from kinora.core.errors import InputError

__all__ = ["entries", "is_number", "items", "number", "numbers", "shown"]


def is_number(value: object) -> bool:
    """Whether it is a finite number; `True` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def entries(value: Any, what: str, *, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
    """`value` if it is an object with the entries `needed` and none but those `known`."""
    if not isinstance(value, dict):
        raise InputError(f"{what} must be an object with {', '.join(known)}, not {shown(value)}.")
    unknown = [str(name) for name in value if name not in known]
    if unknown:
        raise InputError(f"{what} has no {', '.join(unknown)}; there are {', '.join(known)}.")
    missing = [name for name in needed if name not in value]
    if missing:
        raise InputError(f"{what} lacks {', '.join(missing)}; add it.")
    return value


def items(value: Any, what: str, *, of: str) -> list[Any]:
    """`value` if it is a list with something in it."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{what} must be a list of {of}, not {shown(value)}.")
    return value


def number(value: Any, what: str) -> float:
    """`value` if it is a finite number."""
    if not is_number(value):
        raise InputError(f"{what} must be a finite number, not {shown(value)}.")
    return float(value)


def numbers(value: Any, what: str, *, names: tuple[str, ...]) -> tuple[float, ...]:
    """Numbers told either in order, [1, 2], or by name, {"x": 1, "y": 2}."""
    if isinstance(value, dict):
        value = [entries(value, what, known=names, needed=names)[name] for name in names]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise InputError(f"{what} must be [{', '.join(names)}], not {shown(value)}.")
    return tuple(number(one, f"{what}: {name}") for one, name in zip(value, names, strict=True))


def shown(value: Any) -> str:
    """A value as it may stand in a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
