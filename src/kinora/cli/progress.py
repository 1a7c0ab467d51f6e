"""The progress bar: on a terminal one line that renews itself, elsewhere a line a stage."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from kinora.pipeline import Progress

__all__ = ["ProgressBar", "duration"]

WIDTH = 28
STAGES = {"read": "reading the prompt", "imagine": "imagining", "draw": "drawing"}


class ProgressBar:
    """A listener for a pipeline's events."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.stage = ""
        self.lively = self.stream.isatty()

    def __call__(self, event: Progress) -> None:
        if self.lively:
            self.stream.write("\r" + line(event) + "\x1b[K")
            if event.done == event.total:
                self.stream.write("\n")
        elif event.stage != self.stage:
            self.stream.write(STAGES.get(event.stage, event.stage) + "\n")
        self.stage = event.stage
        self.stream.flush()


def line(event: Progress) -> str:
    """One line: how far, at what, how long still."""
    filled = WIDTH * event.done // max(1, event.total)
    bar = "█" * filled + "·" * (WIDTH - filled)
    left = "" if event.seconds_left is None or event.done == event.total else f"  {duration(event.seconds_left)} left"
    return f"{bar} {100 * event.done // max(1, event.total):3d}%  {STAGES.get(event.stage, event.stage)}{left}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
