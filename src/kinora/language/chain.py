"""What one token tells: a few numbers or values, each drawn knowing those before it.

Axes: V values of a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.blocking import NOTHING
from kinora.nn.norms import RMSNorm

__all__ = ["Chain", "between", "likely", "one_hot", "weights_of"]

LIKELY = 0.5
"""A number is drawn from its likeliest values, which have this share of the probability (nucleus sampling, Holtzman et
al. 2020, arXiv:1904.09751). At 0.9 one colour in ten more is wrong, and as many things move that should rest.
"""


class Chain(nn.Module):
    """The numbers that one token tells, each from the token's state and the numbers before it."""

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.told = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.mix = nn.ModuleList(
            nn.Sequential(RMSNorm(width), nn.Linear(width, width), nn.GELU(approximate="tanh")) for _ in sizes
        )
        self.name = nn.ModuleList(nn.Linear(width, size) for size in sizes)

    def embed(self, weights: Sequence[Tensor]) -> Tensor:
        """What the numbers add to the state of the next token; each comes as weights (..., V) of its values."""
        parts = [weight @ table.weight for weight, table in zip(weights, self.told, strict=True)]  # type: ignore[operator]
        return torch.stack(parts).sum(dim=0)

    def logits(self, state: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Logits (..., V) of the next number, where `weights` tell those before it."""
        at = len(weights)
        for weight, table in zip(weights, self.told, strict=False):
            state = state + weight @ table.weight  # type: ignore[operator]
        found: Tensor = self.name[at](self.mix[at](state))
        return found


def one_hot(value: int, size: int) -> Tensor:
    return functional.one_hot(torch.tensor(value), size).float()


def weights_of(chosen: Tensor, values: Sequence[str]) -> Tensor:
    """One-hot weights (..., V) of some of `values`, nothing being the last one."""
    return functional.one_hot(torch.where(chosen == NOTHING, len(values), chosen), len(values) + 1).float()


def between(number: Tensor, values: Sequence[float]) -> Tensor:
    """Weights (..., V) of the two values that a number lies between, so that their mean is the number."""
    table_V = torch.tensor(values, dtype=number.dtype, device=number.device)
    number = number.clamp(values[0], values[-1])
    above = torch.searchsorted(table_V, number.contiguous()).clamp(1, len(values) - 1)
    share = (number - table_V[above - 1]) / (table_V[above] - table_V[above - 1])
    lower, upper = (functional.one_hot(at, len(values)) for at in (above - 1, above))
    return upper * share[..., None] + lower * (1 - share)[..., None]


def likely(logits_V: Tensor, generator: torch.Generator) -> int:
    """One of the likeliest values."""
    share_V, value_V = logits_V.float().softmax(dim=0).sort(descending=True)
    share_V = share_V * (share_V.cumsum(dim=0) - share_V < LIKELY)
    return int(value_V[torch.multinomial(share_V, 1, generator=generator)])
