"""Renewed noise: part of the noise is drawn anew at every step while levels are high.

What goes wrong high up (a body that spreads over half the picture) stays wrong on the way dx / dsigma = v: its end is
decided where it begins. A model that sees well at each level mends on the way what it would not have drawn, if noise is
drawn anew: the same distribution at every level by another way (Song et al. 2021, arXiv:2011.13456). Below a level it
stops, for there new noise costs more detail than it mends.

A step from level s to t with all of its noise renewed is one of the diffusion run backward: of the noise left at t the
share `sqrt(1 - r^2)` is new, r = (1 - s) t / ((1 - t) s). Song et al. 2020 (arXiv:2010.02502, equation 16) take a part
eta of that share. A share that did not shrink with the step would blur instead: each time the model answers with the
mean of what could be there.

Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.step import History, Solver, Step

__all__ = ["Renewal", "Renewing"]


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """How much noise is renewed, and how far down."""

    eta: float
    """0 renews nothing, 1 as much as the diffusion itself does."""
    floor: float = 0.6
    """Steps that end at or above this level renew."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.eta <= 1.0 and 0.0 < self.floor <= 1.0):
            raise InputError(
                f"Noise cannot be renewed by eta {self.eta:g} down to level {self.floor:g}: eta lies in 0 to 1, the "
                "level above 0 and at most at 1."
            )


class Renewing:
    """Renewing steps first, each of first order; then another solver's, which begins where they end.

    The noise of a step follows from the state's own noise and the step's number: an interrupted walk goes on to the
    same bits, and every clip of a batch is what it would be alone.
    """

    def __init__(self, solver: Solver, renewal: Renewal) -> None:
        self._solver, self._renewal = solver, renewal

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        if not self._renewal.eta or step.levels[step.index + 1] < self._renewal.floor:
            return self._solver.step(x_BCTHW, step)
        now, then = (step.state.sigma_at(step.levels[index])[:, None] for index in (step.index, step.index + 1))
        v_BCTHW = step.ask(x_BCTHW)
        clean_BCTHW, noise_BCTHW = x_BCTHW - now * v_BCTHW, x_BCTHW + (1.0 - now) * v_BCTHW
        moves = now != then
        kept = torch.where(moves, (1.0 - now) * then / ((1.0 - then) * now), 1.0)
        new = self._renewal.eta * (1.0 - kept.square()).sqrt()
        noise_BCTHW = (1.0 - new.square()).sqrt() * noise_BCTHW + new * _fresh(step.state.noise_BCTHW, step.index)
        return torch.where(moves, (1.0 - then) * clean_BCTHW + then * noise_BCTHW, x_BCTHW)

    def history(self) -> History:
        return self._solver.history()

    def resume(self, history: History) -> None:
        self._solver.resume(history)


def _fresh(noise_BCTHW: Tensor, index: int) -> Tensor:
    """Noise like that of each clip's beginning, and of its own; drawn on the CPU, the same on every device."""
    parts = []
    for noise_CTHW in noise_BCTHW:
        begun = int(noise_CTHW.flatten()[0].float().cpu().view(torch.int32))
        generator = torch.Generator().manual_seed((begun << 16 ^ (index + 1) * 0x9E3779B1) % 2**63)
        parts.append(torch.randn(noise_CTHW.shape, generator=generator))
    return torch.stack(parts).to(noise_BCTHW)
