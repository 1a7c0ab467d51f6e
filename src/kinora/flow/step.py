"""One interval of a schedule, and what a solver is. Axes: B batch, C channels, T latent frames, H W latent grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kinora.flow.state import LatentState

__all__ = ["History", "Solver", "Step", "Velocity", "advance"]

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x_BCTHW, sigma_BTHW, position_BT) -> v_BCTHW."""
History = Mapping[str, Tensor]
"""What is remembered from step to step, by name: with it a walk goes on elsewhere as if nothing had happened."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """The way from one level of the schedule to the next."""

    velocity: Velocity
    state: LatentState
    levels: tuple[float, ...]
    """The whole schedule, from noise to nothing."""
    index: int
    """Which interval of it this is, from 0."""

    @property
    def change_B1THW(self) -> Tensor:
        """How far each cell's level moves: never above 0, and 0 while the schedule is above the cell's cap."""
        now_BTHW = self.state.sigma_at(self.levels[self.index])
        return (self.state.sigma_at(self.levels[self.index + 1]) - now_BTHW)[:, None]

    @property
    def whole_B1THW(self) -> Tensor:
        """Cells that took all of the step before. A cell whose cap lies inside that step came in late: there is no
        whole step of it to extrapolate from.
        """
        return (self.state.cap_BTHW >= self.levels[self.index - 1])[:, None]

    def ask(self, x_BCTHW: Tensor) -> Tensor:
        """The velocity at this step's beginning."""
        return self._ask(x_BCTHW, self.levels[self.index])

    def ask_next(self, x_BCTHW: Tensor) -> Tensor:
        """The velocity at this step's end."""
        return self._ask(x_BCTHW, self.levels[self.index + 1])

    def _ask(self, x_BCTHW: Tensor, level: float) -> Tensor:
        return self.velocity(x_BCTHW, self.state.sigma_at(level), self.state.position_BT)


class Solver(Protocol):
    """Walks one film down its schedule, remembering what it needs from step to step; a new one for each film."""

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        """The latents at the step's end. A cell whose level does not change is returned bit for bit."""
        ...

    def history(self) -> History:
        """What it remembers now; its tensors are never changed afterwards."""
        ...

    def resume(self, history: History) -> None:
        """Remember what another one did."""
        ...


def advance(x_BCTHW: Tensor, change_B1THW: Tensor, slope_BCTHW: Tensor) -> Tensor:
    """One straight step; cells whose level stays are returned bit for bit."""
    return torch.where(change_B1THW == 0, x_BCTHW, x_BCTHW + change_B1THW * slope_BCTHW)
