"""What a pipeline tells while it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["OnProgress", "Progress", "Stage", "Teller"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One event. Told at the start of the work and after each piece of it."""

    stage: str
    """`read` (the prompt), `imagine` (denoising) or `draw` (latents to pixels)."""
    done: int
    """Pieces of work done, over all stages."""
    total: int
    seconds_left: float | None
    """None until there is something to go by."""


OnProgress = Callable[[Progress], None]
"""Hears every event; it may raise `Cancelled` to stop the work between two pieces."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Work of one kind."""

    name: str
    pieces: int
    expected: float
    """Seconds a piece is expected to take; only the ratio between stages matters."""


@dataclass(kw_only=True)
class Teller:
    """Counts pieces of work and foretells the rest: the plan's expectation, corrected by how long things really
    take.
    """

    stages: tuple[Stage, ...]
    listener: OnProgress | None
    clock: Callable[[], float] = time.monotonic
    done: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    """Pieces that an earlier attempt has done: they took no time now, and tell nothing of how long others take."""
    spent: dict[str, float] = field(default_factory=dict)
    last: float = 0.0

    def start(self) -> None:
        """Set the clock and tell that nothing is done yet."""
        self.last = self.clock()
        self.tell(self.stages[0].name)

    def advance(self, stage: str, pieces: int = 1) -> None:
        """More of `stage` is done."""
        now = self.clock()
        self.done[stage] = self.done.get(stage, 0) + pieces
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self.last
        self.last = now
        self.tell(stage)

    def skip(self, stage: str, pieces: int) -> None:
        """So many of `stage` were done before."""
        self.skipped[stage] = self.skipped.get(stage, 0) + pieces
        self.tell(stage)

    def tell(self, stage: str) -> None:
        if self.listener is None:
            return
        done = sum(self.done.values()) + sum(self.skipped.values())
        total = sum(stage.pieces for stage in self.stages)
        self.listener(Progress(stage=stage, done=done, total=total, seconds_left=self.seconds_left()))

    def seconds_left(self) -> float | None:
        """A stage under way keeps its own pace; one not yet begun is off from its expectation as much as the rest
        was.
        """
        foretold = sum(stage.expected * self.done.get(stage.name, 0) for stage in self.stages)
        if not foretold:
            return None
        slowness = sum(self.spent.values()) / foretold
        left = 0.0
        for stage in self.stages:
            done = self.done.get(stage.name, 0)
            pace = self.spent[stage.name] / done if done else stage.expected * slowness
            left += (stage.pieces - done - self.skipped.get(stage.name, 0)) * pace
        return left
