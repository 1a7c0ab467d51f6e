"""Where in the picture a token lies.

Rotary positions are relative: in pure noise nothing tells a token whether it is sky or ground. A small model on a small
budget spends much of its training on finding out from its neighbours; told outright, it starts with the horizon in the
right place.
Axes: B batch, T latent frames, H W token grid, S = H W, P features, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["PLACE_FEATURES", "PlaceEmbedding", "place_features"]

OCTAVES = 4
PLACE_FEATURES = 2 * (1 + 2 * OCTAVES) + 1
"""Each axis as a number and four octaves of sine and cosine; and one that is 1 in the first latent frame."""


def place_features(position_BT: Tensor, height: int, width: int) -> Tensor:
    """Features (B, T, S, P) of a token grid of `height` x `width`.

    Coordinates run over [-1, 1] in the central square, whatever the aspect, because the world shows the same there.
    The first latent frame (position 0) is marked: it holds a single pixel frame, standing still.
    """
    half = min(height, width) / 2
    features: list[Tensor] = []
    grid = [(torch.arange(side, device=position_BT.device) + 0.5 - side / 2) / half for side in (height, width)]
    for axis_HW in torch.meshgrid(*grid, indexing="ij"):
        features.append(axis_HW)
        for octave in range(OCTAVES):
            angle_HW = axis_HW * (math.pi / 2 * 2**octave)
            features += [angle_HW.sin(), angle_HW.cos()]
    place_SP = torch.stack(features, dim=-1).flatten(0, 1)
    place_BTSP = place_SP.expand(*position_BT.shape, -1, -1)
    first_BTS1 = (position_BT == 0).float()[:, :, None, None].expand(-1, -1, height * width, 1)
    return torch.cat([place_BTSP, first_BTS1], dim=-1)


class PlaceEmbedding(nn.Module):
    """Adds a linear map of the place features to the tokens. Starts at zero; absent from open weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(PLACE_FEATURES, width, bias=False)

    def forward(self, x_BTSD: Tensor, position_BT: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, T, S, D) of a grid of `height` x `width` tokens."""
        placed: Tensor = x_BTSD + self.projection(place_features(position_BT, height, width).to(x_BTSD.dtype))
        return placed
