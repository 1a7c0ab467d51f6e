"""Rotary positions over time, height and width, in Wan's layout.

The channels of a head are interleaved pairs (2i, 2i + 1); pair i turns by `position * theta ** (-2i / d)`. The first
pairs turn with time, then height, then width: of a head of width K, `K - 4 (K // 6)` channels belong to time and `2 (K
// 6)` each to height and width (Wan2.1, `wan/modules/model.py`). Time positions are given, not counted, and need not
be whole: a reference frame may stand at -3 and the frames of one training clip may be any chosen few of a longer one.
Axes: B batch, T latent frames, H W token grid, N = T H W tokens, A heads, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Rotary", "axis_widths", "rotary_table", "rotate", "rotate_in_place"]

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, each float32 of shape (B, N, 1, K / 2)."""


def axis_widths(head_width: int) -> tuple[int, int, int]:
    """Channels of a head that turn with time, height and width."""
    side = 2 * (head_width // 6)
    return head_width - 2 * side, side, side


def _angles(position_P: Tensor, channels: int, theta: float) -> Tensor:
    """Angles (P, channels / 2) in float64, so that far positions keep their digits."""
    exponent_K = torch.arange(0, channels, 2, dtype=torch.float64, device=position_P.device) / channels
    return position_P.to(torch.float64)[..., None] * theta**-exponent_K


def rotary_table(position_BT: Tensor, height: int, width: int, head_width: int, theta: float = 10000.0) -> Rotary:
    """Cosines and sines for every token, the grid read frame by frame and row by row."""
    time, down, across = axis_widths(head_width)
    device = position_BT.device
    batch, frames = position_BT.shape
    grid = (batch, frames, height, width)
    # Few angles are asked for their cosines, and many tokens given them.
    axes = (
        _angles(position_BT, time, theta)[:, :, None, None],
        _angles(torch.arange(height, device=device), down, theta)[None, None, :, None],
        _angles(torch.arange(width, device=device), across, theta)[None, None, None],
    )
    cos_BTHWK, sin_BTHWK = (
        torch.cat([turn(angle).float().expand(*grid, -1) for angle in axes], dim=-1) for turn in (torch.cos, torch.sin)
    )
    return cos_BTHWK.reshape(batch, -1, 1, cos_BTHWK.shape[-1]), sin_BTHWK.reshape(batch, -1, 1, sin_BTHWK.shape[-1])


def rotate(x_BNAK: Tensor, rotary: Rotary) -> Tensor:
    """Turn each pair of channels by its token's angle; computed in float32, returned in the type of `x_BNAK`."""
    pairs_BNAK2 = x_BNAK.float().unflatten(-1, (-1, 2))
    # In eager mode on CPU the complex product is five to fifteen times faster; compilers and bfloat16 want it real.
    eager_cpu = x_BNAK.device.type == "cpu" and not torch.compiler.is_compiling()
    turned_BNAK2 = (_turn_complex if eager_cpu else _turn_real)(pairs_BNAK2, *rotary)
    return turned_BNAK2.flatten(-2).to(x_BNAK.dtype)


def rotate_in_place(x_BNAK: Tensor, factor_BN11: Tensor, rotary: Rotary) -> Tensor:
    """The same of `factor * x` in the memory of `x_BNAK`: a turn and a stretch of a whole token are one product."""
    pairs_BNAK = torch.view_as_complex(x_BNAK.unflatten(-1, (-1, 2)))
    pairs_BNAK.mul_(torch.complex(rotary[0] * factor_BN11, rotary[1] * factor_BN11))
    return x_BNAK


def _turn_complex(pairs_BNAK2: Tensor, cos_BN1K: Tensor, sin_BN1K: Tensor) -> Tensor:
    return torch.view_as_real(torch.view_as_complex(pairs_BNAK2) * torch.complex(cos_BN1K, sin_BN1K))


def _turn_real(pairs_BNAK2: Tensor, cos_BN1K: Tensor, sin_BN1K: Tensor) -> Tensor:
    even_BNAK, odd_BNAK = pairs_BNAK2.unbind(-1)
    return torch.stack((even_BNAK * cos_BN1K - odd_BNAK * sin_BN1K, even_BNAK * sin_BN1K + odd_BNAK * cos_BN1K), dim=-1)
