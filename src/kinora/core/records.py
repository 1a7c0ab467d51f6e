"""Conditions as plain values and back: what a recipe keeps of them.

A condition becomes {"kind": ..., and its own entries}; an entry at its default is left out. A material becomes its
name and digest.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from kinora.core.camera import CameraKey, CameraMove
from kinora.core.conditions import (
    Brush,
    Condition,
    Continue,
    Face,
    Keyframe,
    Moves,
    Reference,
    Region,
    Speech,
    Stroke,
)
from kinora.core.errors import InputError
from kinora.core.materials import Footage, Mask, Material, Still, Voice
from kinora.core.request import Find
from kinora.core.values import entries, items, numbers, shown

__all__ = ["check_seen", "conditions_of", "materials_of", "record_of", "unseen"]

KINDS: dict[str, type[Condition]] = {
    "keyframe": Keyframe,
    "moves": Moves,
    "brush": Brush,
    "reference": Reference,
    "region": Region,
    "continue": Continue,
    "speech": Speech,
}
MATERIALS: dict[str, type[Material]] = {"still": Still, "mask": Mask, "footage": Footage, "voice": Voice}
ENTRIES = {**{kind: kind for kind in MATERIALS}, "static": "mask"}
"""Entry of a condition -> the kind of material it is."""


def record_of(condition: Condition) -> dict[str, Any]:
    """A condition as plain values, ready for JSON."""
    kind = next(kind for kind, made in KINDS.items() if type(condition) is made)
    return {"kind": kind, **_plain(condition)}


def conditions_of(records: Any, find: Find | None) -> tuple[Condition, ...]:
    """The conditions of a record; raises `InputError` for what is none, and for materials that cannot be brought."""
    listed = items(records, "A record's conditions", of="conditions")
    conditions = tuple(_condition(record, unseen) for record in listed)
    if find is None:
        check_seen(conditions)
        return conditions
    return tuple(_condition(record, find) for record in listed)


def check_seen(conditions: tuple[Condition, ...]) -> None:
    """Raise `InputError` naming the materials that are known by name and digest alone: no film can be made of them."""
    missing = [material for condition in conditions for material in _materials(condition) if not material.seen]
    if missing:
        files = ", ".join(dict.fromkeys(f"{material.name} ({kind_of(material)})" for material in missing))
        raise InputError(f"The request needs files that are not in its record: {files}. Bring them to follow it.")


def kind_of(material: Material) -> str:
    """What a finder is asked for."""
    return next(kind for kind, made in MATERIALS.items() if isinstance(material, made))


def materials_of(conditions: tuple[Condition, ...]) -> tuple[tuple[str, str, str], ...]:
    """Kind, name and digest of every material in conditions, each once, in order."""
    materials = [material for condition in conditions for material in _materials(condition)]
    return tuple(dict.fromkeys((kind_of(material), material.name, material.digest) for material in materials))


def unseen(kind: str, name: str, digest: str) -> Material:
    """A finder that brings nothing: materials known by name and digest alone."""
    return MATERIALS[kind].unseen(name, digest)


def _materials(value: Any) -> list[Material]:
    """All materials inside a condition, in order."""
    if isinstance(value, Still | Mask | Footage | Voice):
        return [value]
    if isinstance(value, tuple):
        return [found for one in value for found in _materials(one)]
    if is_dataclass(value):
        return [found for part in fields(value) for found in _materials(getattr(value, part.name))]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, Still | Mask | Footage | Voice):
        return {"name": value.name, "digest": value.digest}
    if is_dataclass(value):
        told = {part.name: getattr(value, part.name) for part in fields(value) if part.init}
        ordinary = {part.name: part.default for part in fields(value) if part.default is not MISSING}
        return {name: _plain(one) for name, one in told.items() if name not in ordinary or one != ordinary[name]}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _condition(record: Any, find: Find) -> Condition:
    if not isinstance(record, dict) or record.get("kind") not in KINDS:
        named = record.get("kind") if isinstance(record, dict) else record
        raise InputError(f"There is no condition {shown(named)}; there are {', '.join(KINDS)}.")
    kind = record["kind"]
    told = {name: value for name, value in record.items() if name != "kind"}
    return _made(KINDS[kind], told, f"The condition {kind}", find)


def _made(made: type, record: Any, what: str, find: Find) -> Any:
    """A dataclass from its record, its own checks included."""
    parts = fields(made)
    needed = [part.name for part in parts if part.default is MISSING]
    told = entries(record, what, known=[part.name for part in parts], needed=needed)
    optional = {part.name for part in parts if part.default is None} | {"at"}
    return made(
        **{
            name: None if value is None and name in optional else _value(name, value, f"{what}'s {name}", find)
            for name, value in told.items()
        }
    )


def _value(name: str, value: Any, what: str, find: Find) -> Any:
    """An entry's value, told by its name."""
    if name in ENTRIES:
        return _material(ENTRIES[name], value, what, find)
    if name == "move":
        return _made(CameraMove, value, what, find)
    if name == "path":
        return tuple(_made(CameraKey, key, f"{what} key", find) for key in items(value, what, of="keys"))
    if name == "strokes":
        return tuple(_made(Stroke, stroke, f"{what} stroke", find) for stroke in items(value, what, of="strokes"))
    if name == "points":
        return tuple(numbers(point, f"{what} point", names=("x", "y")) for point in items(value, what, of="points"))
    if name == "face":
        return _made(Face, value, what, find)
    if name == "track":
        names = ("seconds", "x", "y", "radius")
        return tuple(numbers(key, f"{what} place", names=names) for key in items(value, what, of="places"))
    return value


def _material(kind: str, record: Any, what: str, find: Find) -> Material:
    told = entries(record, what, known=("name", "digest"), needed=("name", "digest"))
    name, digest = told["name"], told["digest"]
    if not isinstance(name, str) or not isinstance(digest, str):
        raise InputError(f"{what} must be told by a name and a digest, both text, not {shown(record)}.")
    material = find(kind, name, digest)
    if not isinstance(material, MATERIALS[kind]):
        raise InputError(f"{what} is {name}, a {kind}; a {type(material).__name__.lower()} was brought.")
    if material.digest != digest:
        raise InputError(f"{name} is not the {kind} it was: its content has changed. Bring the one that was used.")
    return material
