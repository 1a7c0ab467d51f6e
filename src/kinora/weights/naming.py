"""Stored tensors under the names that their modules have. Knows no torch.

Whoever publishes weights names them their own way; a part's `keys` say how its files name what is here called
otherwise. What is renamed may be tensors, or what a header says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

__all__ = ["Naming", "Rename", "renamed"]

Naming = Callable[[str], str | None]
"""From a tensor's name in a file to its own; None where it is no part of the model."""

Rename = Callable[[Iterable[str]], Naming]
"""From all names of a file (or all its shards) to their naming, as `kinora.transformer.keys.rename`."""

Value = TypeVar("Value")


def renamed(stored: Mapping[str, Value], rename: Rename) -> dict[str, Value]:
    """The same values under the module's names, whichever naming `stored` has; without what is no part of it."""
    naming = rename(stored)
    return {name: value for old, value in stored.items() if (name := naming(old)) is not None}
