"""Activations that several models share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.nn.reuse import may_reuse

__all__ = ["TanhGelu"]

PIECE = 1 << 18
"""Numbers that each core works on at once: what stays in its cache between the passes."""


class TanhGelu(nn.Module):
    """GELU in its tanh form: `x (1 + tanh(u)) / 2` with `u = sqrt(2 / pi) (x + 0.044715 x^3)` (Hendrycks and Gimpel
    2016).

    Where `x`, which must be nobody else's, may be reused the result takes its place, by way of `(1 + tanh(u)) / 2 =
    sigmoid(2 u)`: a third to a half cheaper than torch's, which is what is taken elsewhere.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not may_reuse(x):
            return functional.gelu(x, approximate="tanh")
        linear = x.new_tensor(2.0 * math.sqrt(2.0 / math.pi))
        for piece in x.view(-1).split(PIECE * torch.get_num_threads()):
            doubled = torch.addcmul(linear, piece, piece, value=0.044715 * float(linear)).mul_(piece)
            piece.mul_(doubled.sigmoid_())
        return x
