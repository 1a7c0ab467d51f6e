"""A recipe: how a file was made, carried inside it, so that anyone can make it again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self

from kinora.core.errors import InputError, MediaError
from kinora.core.request import Find, Request

__all__ = ["RECIPE_KINDS", "Recipe"]

RECIPE_KINDS = ("film", "image")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the frames, apart from the device.

    It holds no time and no name, so that the same recipe gives the same file.
    """

    kind: str
    """One of `RECIPE_KINDS`."""
    request: Request
    """Read from a file, the materials of its conditions are unseen: known by name and digest alone. See `brought`."""
    model: str
    weights: str
    """Hash of the model's weights, as its manifest states it."""
    world: str
    """Version of the world that taught the model."""
    kinora: str
    """Version of this program."""

    def to_json(self) -> str:
        """One line of ASCII: players and tools of every age pass it on unharmed."""
        record = {
            "kinora": self.kinora,
            "kind": self.kind,
            "model": self.model,
            "weights": self.weights,
            "world": self.world,
            "request": self.request.to_record(),
        }
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe that `to_json` wrote; raises `MediaError` when `text` is something else."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise MediaError("The file's comment is not a Kinora recipe.") from error
        names = ("kinora", "kind", "model", "weights", "world")
        if not (isinstance(record, dict) and isinstance(record.get("request"), dict)):
            raise MediaError("The file's comment is not a Kinora recipe.")
        if any(not isinstance(record.get(name), str) for name in names) or record["kind"] not in RECIPE_KINDS:
            raise MediaError(f"The recipe in the file is incomplete: it must state {', '.join(names)} and the request.")
        values: dict[str, Any] = {name: record[name] for name in names}
        try:
            from kinora.core.records import unseen

            return cls(request=Request.from_record(record["request"], unseen), **values)
        except InputError as error:
            raise MediaError(f"The recipe in the file cannot be followed: {error}") from error

    @property
    def needs(self) -> tuple[tuple[str, str, str], ...]:
        """Kind, name and digest of every file that the request's conditions are made of."""
        if not self.request.conditions:
            return ()
        from kinora.core.records import materials_of

        return materials_of(self.request.conditions)

    def brought(self, find: Find) -> Self:
        """The same recipe with every material seen; raises `InputError` for one that is not what it was."""
        return replace(self, request=Request.from_record(self.request.to_record(), find))
