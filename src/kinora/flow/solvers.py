"""From noise to latents: the equation dx / dsigma = v, walked down a schedule.

A cell's own level is `min(sigma, cap)`, so a step is a different length in different cells, and a cell whose level
does not change is not touched at all. Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.renewal import Renewal, Renewing
from kinora.flow.state import LatentState
from kinora.flow.step import History, Solver, Step, Velocity, advance
from kinora.flow.unipc import UniPC

__all__ = [
    "SOLVERS", "AdamsBashforth", "Euler", "Heun", "OnStand", "OnStep", "Standing", "Velocity", "sample", "still_steps",
]  # fmt: skip

OnStep = Callable[[int, int], None]
"""Told (steps done, steps in all) after each step; may raise `Cancelled`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standing:
    """Where a walk stands between two steps: with the same velocity, state and schedule it goes on from here to the
    same bits as if it had never been interrupted.
    """

    steps: int
    """Steps that are done."""
    x_BCTHW: Tensor
    history: History = field(default_factory=dict)
    """Of the solver."""


OnStand = Callable[[Standing], None]
"""Shown where the walk stands after each step, before `OnStep` is told; to look at costs nothing."""


class _Forgetful:
    """A solver that remembers nothing."""

    def history(self) -> History:
        return {}

    def resume(self, history: History) -> None:
        pass


class Euler(_Forgetful):
    """First order: the slope where the step begins."""

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        return advance(x_BCTHW, step.change_B1THW, step.ask(x_BCTHW))


class Heun(_Forgetful):
    """Second order, two evaluations a step: the mean of the slopes at both ends."""

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        change_B1THW, v_BCTHW = step.change_B1THW, step.ask(x_BCTHW)
        there_BCTHW = step.ask_next(advance(x_BCTHW, change_B1THW, v_BCTHW))
        return advance(x_BCTHW, change_B1THW, 0.5 * (v_BCTHW + there_BCTHW))


class AdamsBashforth:
    """Second order, one evaluation a step: the slope at the step's middle, on the line through the last two."""

    def __init__(self) -> None:
        self._before: tuple[Tensor, Tensor] | None = None

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        change_B1THW, v_BCTHW = step.change_B1THW, step.ask(x_BCTHW)
        slope_BCTHW = v_BCTHW
        if self._before is not None:
            extrapolated_BCTHW = _extrapolated(v_BCTHW, change_B1THW, *self._before)
            slope_BCTHW = torch.where(step.whole_B1THW, extrapolated_BCTHW, v_BCTHW)
        self._before = v_BCTHW, change_B1THW
        return advance(x_BCTHW, change_B1THW, slope_BCTHW)

    def history(self) -> History:
        return {} if self._before is None else {"v": self._before[0], "change": self._before[1]}

    def resume(self, history: History) -> None:
        self._before = (history["v"], history["change"]) if history else None


SOLVERS: Mapping[str, Callable[[], Solver]] = MappingProxyType(
    {"euler": Euler, "heun": Heun, "ab2": AdamsBashforth, "unipc": UniPC}
)
"""By name; each makes a solver for one film."""


@torch.no_grad()
def sample(
    velocity: Velocity,
    state: LatentState,
    sigmas: Tensor,
    solver: str = "euler",
    on_step: OnStep | None = None,
    *,
    renewal: Renewal | None = None,
    on_stand: OnStand | None = None,
    begin: Standing | None = None,
) -> Tensor:
    """The latents (B, C, T, H, W) that `state` becomes when the schedule has reached its end.

    The first of `sigmas` is what unmixed noise counts as: 1, or a little less in Wan's own schedules. To begin further
    down give cells a cap, not the schedule another beginning: steps before the first that moves a cell are not
    taken (`still_steps`), and the listeners hear nothing of them. With `renewal` its first steps draw part of the
    noise anew. `begin` is where an interrupted walk stood, from `on_stand`.
    """
    if solver not in SOLVERS:
        raise InputError(f"There is no solver {solver!r}; choose one of {', '.join(SOLVERS)}.")
    walker: Solver = SOLVERS[solver]()
    if renewal is not None:
        walker = Renewing(walker, renewal)
    levels = tuple(float(sigma) for sigma in sigmas)
    begin = begin or Standing(steps=0, x_BCTHW=state.latent_BCTHW)
    walker.resume(begin.history)
    x_BCTHW = begin.x_BCTHW
    for i in range(max(begin.steps, still_steps(levels, state)), len(levels) - 1):
        # What is read back from a file is contiguous; so that sums come in the same order, everything always is.
        x_BCTHW = walker.step(x_BCTHW, Step(velocity=velocity, state=state, levels=levels, index=i)).contiguous()
        if on_stand is not None:
            on_stand(Standing(steps=i + 1, x_BCTHW=x_BCTHW, history=walker.history()))
        if on_step is not None:
            on_step(i + 1, len(levels) - 1)
    return x_BCTHW


def still_steps(sigmas: Sequence[float], state: LatentState) -> int:
    """How many steps at the schedule's beginning end above every cell's cap, and so move nothing."""
    highest = float(state.cap_BTHW.max())
    return sum(level >= highest for level in sigmas[1:])


def _extrapolated(v_BCTHW: Tensor, change_B1THW: Tensor, last_v_BCTHW: Tensor, last_change_B1THW: Tensor) -> Tensor:
    """v + r / 2 (v - v_last), r = this step's length over the last one's."""
    moved_B1THW = last_change_B1THW != 0
    ratio_B1THW = torch.where(moved_B1THW, change_B1THW / torch.where(moved_B1THW, last_change_B1THW, 1.0), 0.0)
    return v_BCTHW + 0.5 * ratio_B1THW * (v_BCTHW - last_v_BCTHW)
