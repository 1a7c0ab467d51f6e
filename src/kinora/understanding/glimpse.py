"""A closer look at an object: pieces of the picture around its centre, near and wide.

What an object is (its shape, colour, material, hair, ...) is seen the same way wherever it stands. A small network over
pieces that are centred on objects learns it from far fewer clips than one that must learn it again for every place; the
idea is that of Fast R-CNN (Girshick 2015), with pieces of fixed sizes in place of boxes.

Axes: B batch, N objects of the whole batch, C channels, S side of the picture, G fine cells along it, P side of a
piece, D and E widths.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.understanding.blocks import ConvBlock

__all__ = ["Glimpse"]

PIECE = 32
"""Side of a piece, pixels, whatever part of the picture it shows."""
COLOURS = 3
WIDTHS = (32, 64, 128)
"""Channels at the piece's own size, a half and a quarter of it; the last stay at an eighth."""


class Glimpse(nn.Module):
    """Features (N, D) of the objects in fine cells (N,) of the pictures numbered (N,) among (B, C, S, S), of which the
    first three channels are looked at. Zero before training: it can join a reader that is trained already.
    """

    def __init__(self, sides: tuple[float, ...], grid: int, width: int) -> None:
        super().__init__()
        self.sides, self.grid = sides, grid
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
        self.tell = nn.Sequential(nn.Linear(len(sides) * seen, width), nn.GELU(approximate="tanh"))
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, picture_BCSS: Tensor, of_N: Tensor, cell_N: Tensor) -> Tensor:
        pieces = [self._piece(picture_BCSS[:, :COLOURS], of_N, cell_N, side) for side in self.sides]
        seen = self.network(torch.cat(pieces).contiguous(memory_format=torch.channels_last))
        seen_NE = seen.unflatten(0, (len(pieces), len(cell_N))).transpose(0, 1).flatten(1)
        return self.out(self.tell(seen_NE))

    def _piece(self, picture_B3SS: Tensor, of_N: Tensor, cell_N: Tensor, side: float) -> Tensor:
        """The square around each cell, `side` of the picture wide, as (N, 3, P, P); beyond the picture is nothing."""
        coarser = side * picture_B3SS.shape[-1] / PIECE
        if coarser >= 2:  # sampling alone would skip pixels
            picture_B3SS = functional.avg_pool2d(picture_B3SS, 1 << int(math.log2(coarser)))
        middle_N2 = torch.stack([cell_N % self.grid, cell_N // self.grid], dim=-1).add(0.5).mul(2 / self.grid).sub(1)
        step_P = (torch.arange(PIECE, device=cell_N.device) + 0.5).mul(2 / PIECE).sub(1).mul(side)
        across_NPP = (middle_N2[:, 0, None, None] + step_P).expand(-1, PIECE, -1)
        down_NPP = (middle_N2[:, 1, None, None] + step_P[:, None]).expand(-1, -1, PIECE)
        at_NPP2 = torch.stack([across_NPP, down_NPP], dim=-1)
        return functional.grid_sample(
            picture_B3SS[of_N], at_NPP2, mode="bilinear", padding_mode="zeros", align_corners=False
        )
