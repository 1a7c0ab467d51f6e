"""Heads that exist in training only: from an early block's features to exact maps of what the clip shows.

They pull what a block a third of the way up knows towards things, distances and motion, in place of the features of a
pretrained encoder (REPA: Yu et al. 2024, arXiv:2410.06940). They are no part of what ships, and cost inference nothing.

Axes: B batch, T latent frames, S tokens of one latent frame, D width, M kinds of things, H W latent grid.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.training.maps import KINDS, MapTargets
from kinora.transformer.model import Transformer

__all__ = ["MapHeads", "Tap", "map_block"]

NEAR_SCALE, MOTION_SCALE = 4.0, 10.0
"""Bring nearness (one over metres) and motion (picture sides a latent frame) to about one."""


def map_block(layers: int) -> int:
    """The block whose output the heads read, a third of the way up."""
    return max(0, round(layers / 3) - 1)


class Tap:
    """Keeps what one block puts out, until it is taken."""

    def __init__(self, transformer: Transformer, block: int) -> None:
        self._held: Tensor | None = None
        transformer.blocks[block].register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._held = output

    def take(self) -> Tensor:
        """The features of the last forward pass, once."""
        held, self._held = self._held, None
        assert held is not None, "nothing has passed the block"
        return held


class MapHeads(nn.Module):
    """Features of one block to the maps of `kinora.training.maps`."""

    def __init__(self, width: int, patch: int, motion_scale: float = MOTION_SCALE) -> None:
        super().__init__()
        self.patch, self.motion_scale = patch, motion_scale
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, patch * patch * (len(KINDS) + 3))

    def forward(self, x_BTSD: Tensor, height: int, width: int) -> Tensor:
        """(B, T, kinds + nearness + motion right, down, H, W)."""
        hidden = functional.gelu(self.hidden(self.norm(x_BTSD)), approximate="tanh")
        rows, columns = height // self.patch, width // self.patch
        cells = self.out(hidden).unflatten(-1, (self.patch, self.patch, -1)).unflatten(2, (rows, columns))
        # B T rows columns down across numbers -> B T numbers (rows down) (columns across)
        return cells.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def loss(self, x_BTSD: Tensor, targets: MapTargets) -> Tensor:
        """Cross-entropy of the kinds in each cell, and how far nearness and motion are off; a scalar.

        `x_BTSD` may have more latent frames than the targets (references stand after the clip).
        """
        frames, height, width = targets.near_BTHW.shape[1:]
        told = self(x_BTSD[:, :frames], height, width).float()
        kinds_BTMHW, near_BTHW, motion_BT2HW = told[:, :, :-3], told[:, :, -3], told[:, :, -2:]
        kinds = -(targets.share_BMTHW.transpose(1, 2) * kinds_BTMHW.log_softmax(dim=2)).sum(dim=2).mean()
        near = functional.smooth_l1_loss(near_BTHW, NEAR_SCALE * targets.near_BTHW, beta=0.1)
        motion = functional.smooth_l1_loss(
            motion_BT2HW, self.motion_scale * targets.motion_B2THW.transpose(1, 2), beta=0.1
        )
        return torch.stack([kinds, near, motion]).sum()
