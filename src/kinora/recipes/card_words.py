"""How the model card says things: values, shares, tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["NOT_RECORDED", "in_order", "said", "share", "table"]

NOT_RECORDED = "not recorded"


def said(value: object) -> str:
    """A recorded value in words."""
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {said(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(said(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def in_order(many: Iterable[Iterable[Any]]) -> list[Any]:
    """Everything that occurs in any of them, once, in the order of first sight."""
    return list(dict.fromkeys(entry for entries in many for entry in entries))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
