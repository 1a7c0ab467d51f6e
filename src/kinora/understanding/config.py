"""The reader's sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kinora.core.errors import InputError, ShapeError
from kinora.core.slots import SLOTS, SLOTS_1

__all__ = ["ObjectKind", "ReaderConfig"]

FINE_STRIDE = 8
"""Pixels of the reader's picture under one fine cell: a small body is two to three cells wide."""
TOKEN_STRIDE = 16
"""Pixels under one token of the encoder."""


@dataclass(frozen=True, kw_only=True)
class ObjectKind:
    """A kind of objects that a reader finds."""

    name: str
    """body, figure or animal, as in full names of slots."""
    places: slice
    """Where they stand in the arrays of truth."""
    slots: Mapping[str, tuple[str, ...]]

    @property
    def most(self) -> int:
        return int(self.places.stop - self.places.start)


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """Sizes of a `Reader`, and the questions that it answers."""

    size: int = 128
    """Side of the square picture it looks at, pixels; a multiple of 16."""
    close: int = 256
    """Side of the square picture that objects are cut from for a closer look, pixels."""
    eye_widths: tuple[int, int] = (64, 128)
    """Channels of the convolutions at a quarter and at an eighth of the size; at a sixteenth they are `width`."""
    eye_depths: tuple[int, int, int] = (1, 2, 1)
    """Residual blocks at a quarter, an eighth and a sixteenth of the size."""
    width: int = 192
    """Width of the tokens."""
    layers: int = 4
    """Layers of the encoder over space and time."""
    decoder_layers: int = 2
    """Layers of the decoder that follows single bodies and figures."""
    heads: int = 6
    scene_tokens: int = 4
    """Tokens of the encoder that stand for no place, for what is asked of the whole scene."""
    moments: int = 5
    """Moments of a clip that it looks at in one reading; it takes any number, and learns with this one."""
    max_bodies: int = 6
    max_figures: int = 4
    max_animals: int = 0
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(SLOTS_1))
    """The questions by their full names, with their answers; without them those of world 1.0, as of the first readers.
    """

    def __post_init__(self) -> None:
        told = {name: tuple(values) for name, values in self.slots.items()}  # JSON has lists
        object.__setattr__(self, "slots", told)
        for name, values in told.items():
            if foreign := set(values) - set(SLOTS.get(name, ())):
                raise InputError(
                    f"A reader cannot be asked for {name} = {min(foreign)}: the scene vocabulary has no such value. "
                    "Update Kinora, or train the reader again."
                )
        object.__setattr__(self, "eye_widths", tuple(self.eye_widths))
        object.__setattr__(self, "eye_depths", tuple(self.eye_depths))
        if self.size % TOKEN_STRIDE or self.size < TOKEN_STRIDE:
            raise ShapeError(f"The reader's picture is a multiple of {TOKEN_STRIDE} pixels wide, not {self.size}.")
        if self.width % self.heads:
            raise ShapeError(f"The reader's width {self.width} must be a multiple of its {self.heads} heads.")

    @property
    def fine_grid(self) -> int:
        """Fine cells along a side: where centres of bodies and figures are told."""
        return self.size // FINE_STRIDE

    @property
    def token_grid(self) -> int:
        """Encoder tokens along a side."""
        return self.size // TOKEN_STRIDE

    @property
    def objects(self) -> int:
        """Places for objects in the arrays of truth: bodies first, then figures, then animals."""
        return self.max_bodies + self.max_figures + self.max_animals

    @property
    def scene_slots(self) -> dict[str, tuple[str, ...]]:
        """Questions about the whole scene."""
        return {name: values for name, values in self.slots.items() if "." not in name}

    @property
    def kinds(self) -> tuple[ObjectKind, ...]:
        """Bodies, figures and, where it knows them, animals."""
        found, start = [], 0
        for name, most in (("body", self.max_bodies), ("figure", self.max_figures), ("animal", self.max_animals)):
            if most:
                asked = {
                    full.removeprefix(f"{name}."): values
                    for full, values in self.slots.items()
                    if full.startswith(f"{name}.")
                }
                found.append(ObjectKind(name=name, places=slice(start, start + most), slots=asked))
            start += most
        return tuple(found)
