"""A closer look at an object: what lies in its box, and the upper part of it, at the picture's full size.

What an object is (its shape, colour, material, hair, ...) is seen the same way wherever it stands and however large. A
small network over pieces that are cut to an object's own box learns it from far fewer clips than one that must learn it
again for every place and size (Girshick 2015, "Fast R-CNN").

Axes: N objects of the whole batch, B batch, C channels, S side of the picture, P side of a piece, D and E widths.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.nn.convolution import ConvBlock
from kinora.understanding.moments import COLOURS

__all__ = ["LEAST", "PIECE", "Glimpse", "cut"]

PIECE = 32
"""Side of a piece, pixels, whatever part of the picture it shows."""
WIDTHS = (32, 64, 128)
"""Channels at the piece's own size, a half and a quarter of it; the last stay at an eighth."""
PIECES = ((0.0, 1.2), (-0.6, 0.5))
"""All of an object with what it stands on, and its upper part, where a figure has its face: how far below the box's
middle a piece is centred, and its half side, both in longer half sides of the box.
"""
LEAST = 0.04
"""The smallest half side of a box, in half picture sides: a thing far away, or one that is not there after all."""


class Glimpse(nn.Module):
    """Features (N, D) of the objects in boxes (N, 4) of the pictures numbered (N,) among (B, 3, S, S).

    A box is its middle (right, down) and its half extents, in half picture sides from the picture's middle.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.network = nn.Sequential(
            nn.Conv2d(COLOURS, fine, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fine, middle, 3, stride=2, padding=1),
            ConvBlock(middle),
            nn.ReLU(),
            nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            ConvBlock(coarse),
            nn.ReLU(),
            nn.Conv2d(coarse, coarse, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        seen = coarse * (PIECE // 8) ** 2
        self.tell = nn.Sequential(nn.Linear(len(PIECES) * seen, width), nn.GELU(approximate="tanh"))
        self.out = nn.Linear(width, width)

    def forward(self, picture_B3SS: Tensor, of_N: Tensor, box_N4: Tensor) -> Tensor:
        pieces = torch.cat([cut(picture_B3SS, of_N, *part) for part in _parts(box_N4)])
        seen = self.network(pieces.contiguous(memory_format=torch.channels_last))
        seen_NE = seen.unflatten(0, (len(PIECES), len(of_N))).transpose(0, 1).flatten(1)
        return self.out(self.tell(seen_NE))


def _parts(box_N4: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Middle (N, 2) and half side (N,) of every piece."""
    longer_N = box_N4[:, 2:].amax(1).clamp(LEAST, 1.0)
    down_2 = box_N4.new_tensor([0.0, 1.0])
    return [(box_N4[:, :2] + below * longer_N[:, None] * down_2, half * longer_N) for below, half in PIECES]


def cut(picture_B3SS: Tensor, of_N: Tensor, middle_N2: Tensor, half_N: Tensor) -> Tensor:
    """Squares (N, 3, P, P) out of pictures, around `middle_N2` and `half_N` to each side, both in half picture sides;
    beyond the picture is nothing.
    """
    side = picture_B3SS.shape[-1]
    step_P = (torch.arange(PIECE, device=half_N.device) + 0.5) * (2 / PIECE) - 1
    reach_NP = half_N[:, None] * step_P
    across_NPP = (middle_N2[:, :1] + reach_NP)[:, None, :].expand(-1, PIECE, -1)
    down_NPP = (middle_N2[:, 1:] + reach_NP)[:, :, None].expand(-1, -1, PIECE)
    at_NPP2 = torch.stack([across_NPP, down_NPP], dim=-1)
    # Sampling alone would skip pixels of a piece that shows much: such ones are cut from a smaller picture.
    coarser_N = (half_N * side / PIECE).log2().floor().clamp(0, max(0, int(math.log2(side / PIECE))))
    cut_N3PP = picture_B3SS.new_zeros(len(of_N), COLOURS, PIECE, PIECE)
    for halvings in coarser_N.unique().int().tolist():
        (here_M,) = (coarser_N == halvings).nonzero(as_tuple=True)
        smaller_B3SS = functional.avg_pool2d(picture_B3SS, 1 << halvings)
        shown_M3PP = functional.grid_sample(
            smaller_B3SS[of_N[here_M]], at_NPP2[here_M], mode="bilinear", padding_mode="zeros", align_corners=False
        )
        cut_N3PP = cut_N3PP.index_copy(0, here_M, shown_M3PP.to(cut_N3PP.dtype))
    return cut_N3PP
