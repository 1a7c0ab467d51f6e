"""In-betweens: what is between the keys of a motion.

Things move on smooth curves until they hit something. Through neighbouring keys goes a parabola, which is what falls
follow; where a hit lies between two keys, what came before it and what comes after are both carried on until they meet
(subcell resolution: Harten 1989, Journal of Computational Physics 83). So a ball drops ever faster, lands at once and
lies still, though no key was set at its landing. Of two parabolas through the same two keys the calmer one counts more
(weighted essentially non-oscillatory: Jiang and Shu 1996, Journal of Computational Physics 126).

Axes: T keys (or intervals after them), N numbers that move, M moments asked for, K intervals near one, 2 roots,
3 coefficients (constant, linear, square).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["inbetween"]

Array = npt.NDArray[np.float64]

HIT = 0.03
"""How far both curves must miss the next key to tell of a hit, in what the numbers are measured in: half a picture's
shorter side. Less is how unsteadily keys are set.
"""


def inbetween(key_T: Array, value_TN: Array, moment_M: Array) -> Array:
    """Values (M, N) at moments, from those at keys, whose times rise; outside of them the first and the last stay."""
    if len(key_T) == 1:
        return np.repeat(value_TN, len(moment_M), axis=0)
    moment_M = np.clip(moment_M, key_T[0], key_T[-1])
    of_M = np.clip(np.searchsorted(key_T, moment_M, side="right") - 1, 0, len(key_T) - 2)
    curves = _Curves(key_T, value_TN)
    # With an interval before the first and one after the last, where nothing is hit.
    hit_TN = np.pad(_hits(curves), ((1, 1), (0, 0)), constant_values=np.nan)
    value_MN = np.empty((len(moment_M), value_TN.shape[1]))
    for at in np.unique(of_M):
        chosen = of_M == at
        before_N, here_N, after_N = hit_TN[at : at + 3]
        until_MN, earlier_MN, later_MN, from_MN = (curves(at + first, moment_M[chosen]) for first in (-2, -1, 0, 1))
        # A curve through keys on both sides of a hit is none; nor is one of two that bends much more than the other.
        calm_N = [1 / (HIT**2 + curves.bend(at + first) ** 2) ** 2 for first in (-1, 0)]
        smooth_MN = (calm_N[0] * earlier_MN + calm_N[1] * later_MN) / (calm_N[0] + calm_N[1])
        smooth_MN = np.where(np.isfinite(after_N), earlier_MN, smooth_MN)
        smooth_MN = np.where(np.isfinite(before_N), later_MN, smooth_MN)
        hit_MN = np.where(moment_M[chosen, None] < here_N, until_MN, from_MN)
        value_MN[chosen] = np.where(np.isfinite(here_N), hit_MN, smooth_MN)
    return value_MN


class _Curves:
    """Parabolas through three keys each; where there are only two, the line through them."""

    def __init__(self, key_T: Array, value_TN: Array) -> None:
        self.key_T, self.value_TN = key_T, value_TN
        self._count = min(3, len(key_T))

    def __call__(self, first: int, moment_M: Array) -> Array:
        """Values (M, N) of the one from a key on, or of the nearest one that there is."""
        first = self._nearest(first)
        powers_M3 = np.vander(moment_M - self.key_T[first], self._count, increasing=True)
        values: Array = powers_M3 @ self.through(first, self.key_T[first])
        return values

    def bend(self, first: int) -> Array:
        """How far (N) it leaves a straight line in the time between two keys."""
        first = self._nearest(first)
        length = (self.key_T[first + self._count - 1] - self.key_T[first]) / max(1, self._count - 1)
        square_N: Array = self.through(first, 0.0)[2] if self._count == 3 else np.zeros(self.value_TN.shape[1])
        return square_N * length**2

    def _nearest(self, first: int) -> int:
        return max(0, min(first, len(self.key_T) - self._count))

    def through(self, first: int, origin: float) -> Array:
        """Coefficients (3, N) of the one from a key on, in time from an origin."""
        keys = slice(first, first + self._count)
        powers_33 = np.vander(self.key_T[keys] - origin, self._count, increasing=True)
        return np.linalg.solve(powers_33, self.value_TN[keys]).astype(np.float64)


def _hits(curves: _Curves) -> Array:
    """When between a key and the next something is hit (T-1, N); not a number where nothing is."""
    key_T, value_TN = curves.key_T, curves.value_TN
    hit_TN: Array = np.full((len(key_T) - 1, value_TN.shape[1]), np.nan)
    bent_TN = np.full_like(hit_TN, np.inf)
    for at in range(2, len(key_T) - 3):
        until_3N, from_3N = curves.through(at - 2, key_T[at]), curves.through(at + 1, key_T[at])
        length = key_T[at + 1] - key_T[at]
        past_N = until_3N[0] + until_3N[1] * length + until_3N[2] * length**2 - value_TN[at + 1]
        early_N = from_3N[0] - value_TN[at]
        meets_N = _first_root(until_3N - from_3N, length)
        clear_N = (np.abs(past_N) > HIT) & (np.abs(early_N) > HIT) & np.isfinite(meets_N)
        hit_TN[at] = np.where(clear_N, key_T[at] + meets_N, np.nan)
        bent_TN[at] = np.where(clear_N, np.maximum(np.abs(until_3N[2]), np.abs(from_3N[2])), np.inf)
    # A hit bends the curves through keys on both sides of it, which then miss too: the least bent are the true ones.
    near_TNK = np.lib.stride_tricks.sliding_window_view(
        np.pad(bent_TN, ((2, 2), (0, 0)), constant_values=np.inf), 5, axis=0
    )
    return np.where(bent_TN <= near_TNK.min(axis=-1), hit_TN, np.nan)


def _first_root(coefficient_3N: Array, until: float) -> Array:
    """The first root of each parabola between 0 and a time; infinite where there is none."""
    constant_N, linear_N, square_N = coefficient_3N
    with np.errstate(invalid="ignore", divide="ignore"):
        root_N = np.sqrt(linear_N**2 - 4 * square_N * constant_N)
        # This way round no digits are lost where the parabola is nearly a line.
        half_N = -0.5 * (linear_N + np.where(linear_N < 0, -root_N, root_N))
        meets_2N = np.stack([half_N / square_N, constant_N / half_N])
    meets_2N[~((meets_2N > 0) & (meets_2N < until))] = np.inf
    first_N: Array = meets_2N.min(axis=0)
    return first_N
