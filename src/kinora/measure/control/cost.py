"""What a control adds to the time of a clip.

The clip without and the clip with the control are made in turn, three times each, after one of each that is not
counted; the medians are compared. In turn, because a machine that is warm, or busy with something else, then is so for
both.

What fools it: anything else that runs meanwhile, if it comes and goes faster than a clip is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from kinora.core.request import Request
from kinora.measure.clips import Filmmaker

__all__ = ["CostFigures", "measure_cost"]

ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class CostFigures:
    """Seconds of a whole clip, model loaded."""

    without: float
    with_control: float

    @property
    def added(self) -> float:
        """Share of the time without."""
        return self.with_control / self.without - 1.0


def measure_cost(
    maker: Filmmaker,
    without: Request,
    with_control: Request,
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> CostFigures:
    """Times of two requests of the same length, size and quality."""
    times: tuple[list[float], list[float]] = ([], [])
    for count in range(rounds + 1):
        for series, request in zip(times, (without, with_control), strict=True):
            started = clock()
            maker.generate(request)
            if count:
                series.append(clock() - started)
    return CostFigures(without=median(times[0]), with_control=median(times[1]))
