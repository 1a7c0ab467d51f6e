"""How much of what a prompt states can be read in a clip.

A stated body may be any of the bodies read: they are matched so that most stated slots agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from kinora.core.slots import (
    ANIMAL_SLOTS,
    BODY_SLOTS,
    FIGURE_SLOTS,
    SCENE_SLOTS,
    AnimalSlots,
    BodySlots,
    FigureSlots,
    SceneSlots,
)

__all__ = ["COUNT_SLOTS", "Score", "Tally", "score"]

Score = dict[str, tuple[int, int]]
"""By slot: how many stated values were read, and how many were stated."""

COUNT_SLOTS = ("bodies", "figures", "animals")
"""Beside the slots of `kinora.core.slots.SLOTS`: is their number the one stated? Asked where at least one is stated."""

Thing = BodySlots | FigureSlots | AnimalSlots


def score(stated: SceneSlots, read: SceneSlots) -> Score:
    """Right and asked for every slot that `stated` fills.

    A stated body that finds no partner has all its slots wrong. Bodies read beyond those stated count only against
    their number.
    """
    result: dict[str, list[int]] = {}

    def ask(slot: str, right: bool) -> None:
        tally = result.setdefault(slot, [0, 0])
        tally[0] += right
        tally[1] += 1

    for name in SCENE_SLOTS:
        value = getattr(stated, name)
        if value is not None:
            ask(name, getattr(read, name) == value)
    _ask_things("body", BODY_SLOTS, stated.bodies, read.bodies, ask)
    _ask_things("figure", FIGURE_SLOTS, stated.figures, read.figures, ask)
    _ask_things("animal", ANIMAL_SLOTS, stated.animals, read.animals, ask)
    for name in COUNT_SLOTS:
        if getattr(stated, name):
            ask(name, len(getattr(stated, name)) == len(getattr(read, name)))
    return {slot: (right, asked) for slot, (right, asked) in result.items()}


def _ask_things(
    kind: str,
    slots: Mapping[str, tuple[str, ...]],
    stated: Sequence[Thing],
    read: Sequence[Thing],
    ask: Callable[[str, bool], None],
) -> None:
    partners = _match([[_agreement(a, b, slots) for b in read] for a in stated])
    for thing, partner in zip(stated, partners, strict=True):
        for name in slots:
            value = getattr(thing, name)
            if value is not None:
                ask(f"{kind}.{name}", partner is not None and getattr(read[partner], name) == value)


def _agreement(stated: Thing, read: Thing, slots: Iterable[str]) -> int:
    return sum(getattr(stated, name) is not None and getattr(stated, name) == getattr(read, name) for name in slots)


def _match(agreement: Sequence[Sequence[int]]) -> list[int | None]:
    """For every row its column in the best assignment of distinct columns; None for rows left over.

    Exact, by dynamic programming over sets of taken columns: scenes hold few things.
    """
    columns = len(agreement[0]) if agreement else 0

    @cache
    def best(row: int, taken: int) -> tuple[int, tuple[int | None, ...]]:
        if row == len(agreement):
            return 0, ()
        free = [column for column in range(columns) if not taken >> column & 1]
        options: list[tuple[int, tuple[int | None, ...]]] = []
        for column in free:
            total, partners = best(row + 1, taken | 1 << column)
            options.append((total + agreement[row][column], (column, *partners)))
        if len(free) < len(agreement) - row:
            total, partners = best(row + 1, taken)
            options.append((total, (None, *partners)))
        return max(options, key=lambda option: option[0])

    return list(best(0, 0)[1])


@dataclass(kw_only=True)
class Tally:
    """Scores of many clips, added up."""

    slots: dict[str, list[int]]
    clips: int = 0
    all_right: int = 0
    """Clips in which every stated slot was read, and nothing beyond what was stated."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[SceneSlots, SceneSlots]]) -> Tally:
        """Tally of (stated, read) pairs."""
        tally = cls(slots={})
        for stated, read in pairs:
            tally.add(stated, read)
        return tally

    def add(self, stated: SceneSlots, read: SceneSlots) -> None:
        counted = score(stated, read)
        for slot, (right, asked) in counted.items():
            total = self.slots.setdefault(slot, [0, 0])
            total[0] += right
            total[1] += asked
        self.clips += 1
        same_number = all(len(getattr(stated, name)) == len(getattr(read, name)) for name in COUNT_SLOTS)
        self.all_right += same_number and all(right == asked for right, asked in counted.values())

    def accuracy(self) -> dict[str, float]:
        """Share right of every slot that was asked, in [0, 1]."""
        return {slot: right / asked for slot, (right, asked) in self.slots.items()}

    @property
    def macro(self) -> float:
        """Mean of the slots' accuracies: a slot seldom stated weighs as much as one always stated."""
        accuracy = self.accuracy()
        return sum(accuracy.values()) / max(len(accuracy), 1)

    @property
    def share_all_right(self) -> float:
        return self.all_right / max(self.clips, 1)
