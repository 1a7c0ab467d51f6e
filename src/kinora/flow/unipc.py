"""UniPC of order 2 (Zhao et al. 2023, B(h) = e^h - 1, data prediction), as Wan samples: wan/utils/fm_solvers_unipc.py.

With `x = (1 - s) x_0 + s noise` the exponential integrator needs no exponentials: where Wan's file has
`alpha_t (e^-h - 1)` stands `(t - s) / s`, s the level a step comes from and t the one it goes to, and both halves are

    x_t = t / s x_s + (1 - t / s) (m_s + g (m_s - m_p) + c (m_t - m_s)),    m = x - sigma v, the guessed clean latents

the predictor with c = 0, because m_t is not yet known, the corrector once the model was asked at t. Only g and c know
the half logarithmic signal-to-noise ratio l = log((1 - sigma) / sigma) and h = l_t - l_s.
Axes: B batch, C channels, T latent frames, H W latent grid, U different caps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.flow.step import History, Step

__all__ = ["UniPC"]


class UniPC:
    """Second order (the corrector adds one), one evaluation a step.

    A cell's first step is of first order, as is the last step of all; a cell that comes in late begins anew, for it has
    no whole step behind it.
    """

    def __init__(self) -> None:
        self._past: _Past | None = None
        self._caps: _Caps | None = None

    def step(self, x_BCTHW: Tensor, step: Step) -> Tensor:
        caps = self._caps = self._caps or _Caps(step.state.cap_BTHW)
        clean_BCTHW = x_BCTHW - step.state.sigma_at(step.levels[step.index])[:, None] * step.ask(x_BCTHW)
        if self._past is not None:
            x_BCTHW = self._past.corrected(x_BCTHW, clean_BCTHW, caps, step)
        before_BCTHW = clean_BCTHW if self._past is None else self._past.clean_BCTHW
        self._past = _Past(x_BCTHW=x_BCTHW, clean_BCTHW=clean_BCTHW, before_BCTHW=before_BCTHW)
        weights = caps.weights(step.levels, step.index, x_BCTHW)
        return weights.applied(x_BCTHW, clean_BCTHW, before_BCTHW, None)

    def history(self) -> History:
        past = self._past
        if past is None:
            return {}
        return {"x": past.x_BCTHW, "clean": past.clean_BCTHW, "before": past.before_BCTHW}

    def resume(self, history: History) -> None:
        self._past = None
        if history:
            x_BCTHW, clean_BCTHW, before_BCTHW = (history[name] for name in ("x", "clean", "before"))
            self._past = _Past(x_BCTHW=x_BCTHW, clean_BCTHW=clean_BCTHW, before_BCTHW=before_BCTHW)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Past:
    """What the step before began with."""

    x_BCTHW: Tensor
    """The latents as corrected."""
    clean_BCTHW: Tensor
    before_BCTHW: Tensor
    """The guess of the step before that."""

    def corrected(self, x_BCTHW: Tensor, clean_BCTHW: Tensor, caps: _Caps, step: Step) -> Tensor:
        """Where the step before would have led, had it known what the model now says of its end."""
        weights = caps.weights(step.levels, step.index - 1, x_BCTHW, correct=True)
        better_BCTHW = weights.applied(self.x_BCTHW, self.clean_BCTHW, self.before_BCTHW, clean_BCTHW)
        return torch.where(weights.still_B1THW, x_BCTHW, better_BCTHW)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weights:
    """The formula's numbers, for every cell."""

    still_B1THW: Tensor
    """Cells whose level does not change."""
    keep_B1THW: Tensor
    """t / s."""
    back_B1THW: Tensor
    """g."""
    ahead_B1THW: Tensor
    """c."""

    def applied(self, x_BCTHW: Tensor, clean_BCTHW: Tensor, before_BCTHW: Tensor, after_BCTHW: Tensor | None) -> Tensor:
        """The latents at the step's end; cells whose level stays are returned bit for bit."""
        guess_BCTHW = clean_BCTHW + self.back_B1THW * (clean_BCTHW - before_BCTHW)
        if after_BCTHW is not None:
            guess_BCTHW = guess_BCTHW + self.ahead_B1THW * (after_BCTHW - clean_BCTHW)
        moved_BCTHW = self.keep_B1THW * x_BCTHW + (1.0 - self.keep_B1THW) * guess_BCTHW
        return torch.where(self.still_B1THW, x_BCTHW, moved_BCTHW)


class _Caps:
    """A cell's numbers depend on its cap alone, so they are computed once for each different cap, in float64: the
    corrector's are differences of nearly equal numbers.
    """

    def __init__(self, cap_BTHW: Tensor) -> None:
        cap_U, self._row_BTHW = torch.unique(cap_BTHW, return_inverse=True)
        self._cap_U = cap_U.double().cpu()

    def weights(self, levels: tuple[float, ...], index: int, like: Tensor, *, correct: bool = False) -> _Weights:
        """Of the interval `index` of the schedule, in the dtype and place of `like`."""
        from_U, to_U = (self._cap_U.clamp(max=levels[i]) for i in (index, index + 1))
        still_U = from_U == to_U
        keep_U = torch.where(still_U, 1.0, to_U / from_U)
        back_U = ahead_U = torch.zeros_like(keep_U)
        if correct:
            ahead_U = torch.full_like(keep_U, 0.5)
        if 0 < index < len(levels) - 2:
            # Behind a whole step of its own a cell is at the schedule's level, so these are the same for all such.
            back, ahead = _second_order(levels[index - 1], levels[index], levels[index + 1], correct=correct)
            whole_U = self._cap_U >= levels[index - 1]
            back_U, ahead_U = torch.where(whole_U, back, back_U), torch.where(whole_U, ahead, ahead_U)
        return _Weights(
            still_B1THW=self._cells(still_U.to(like.device)),
            keep_B1THW=self._cells(keep_U.to(like)),
            back_B1THW=self._cells(back_U.to(like)),
            ahead_B1THW=self._cells(ahead_U.to(like)),
        )

    def _cells(self, value_U: Tensor) -> Tensor:
        return value_U[self._row_BTHW][:, None]


def _second_order(past: float, here: float, there: float, *, correct: bool) -> tuple[float, float]:
    """g and c of the step from `here` to `there` with one from `past` behind it (Zhao et al. 2023, eq. 5 and 9).

    With r = (l_past - l_here) / h, the predictor's g is -1 / 2r; the corrector solves
    `rho_1 + rho_2 = b_1, r rho_1 + rho_2 = b_2` for g = -rho_1 / r and c = rho_2.
    """
    level = torch.tensor([past, here, there], dtype=torch.float64)
    ratio_past, ratio_here, ratio_there = ((1.0 - level).log() - level.log()).tolist()
    h = ratio_there - ratio_here
    r = (ratio_past - ratio_here) / h  # -inf behind a step from pure noise, which then counts for nothing
    if not correct:
        return -0.5 / r, 0.0
    b_1, b_2 = _b(h)
    rho_1 = (b_1 - b_2) / (1.0 - r)
    return -rho_1 / r, b_1 - rho_1


def _b(h: float) -> tuple[float, float]:
    """`phi_2(-h) / phi_1(-h)` and `2 phi_3(-h) / phi_1(-h)`, where z phi_k+1(z) = phi_k(z) - 1 / k!."""
    z = torch.tensor(-h, dtype=torch.float64)
    phi_1 = torch.expm1(z) / z
    phi_2 = (phi_1 - 1.0) / z
    phi_3 = (phi_2 - 0.5) / z
    return float(phi_2 / phi_1), float(2.0 * phi_3 / phi_1)
