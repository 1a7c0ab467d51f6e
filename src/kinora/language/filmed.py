"""What words say of the camera: whether it moves, how, and how fast.

Axes: B batch, L text positions, D width, A queries, V values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.blocking import FILMED, NOTHING
from kinora.nn.attention import attend

__all__ = ["CameraHead"]


class CameraHead(nn.Module):
    """For each thing that can be said of the camera a query that looks for it among the words."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ask = nn.Parameter(torch.randn(len(FILMED), width) * width**-0.5)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.name = nn.ModuleList(nn.Linear(width, len(values)) for values in FILMED)

    def forward(self, text_BLD: Tensor, mask_BL: Tensor) -> Sequence[Tensor]:
        """Logits (B, V), one for each entry of `FILMED`."""
        key_BL1D, value_BL1D = self.key(text_BLD)[:, :, None], self.value(text_BLD)[:, :, None]
        ask_BA1D = self.ask[None, :, None].expand(len(text_BLD), -1, -1, -1)
        heard_BAD = attend(ask_BA1D, key_BL1D, value_BL1D, mask_BL)
        return [head(functional.gelu(heard_BAD[:, at])) for at, head in enumerate(self.name)]

    def loss(self, text_BLD: Tensor, mask_BL: Tensor, filmed_B2: Tensor) -> Tensor:
        """Mean cross-entropy; how fast a camera is that stands still is not asked."""
        losses = [
            functional.cross_entropy(logits_BV, filmed_B2[:, at], ignore_index=NOTHING, reduction="sum") / len(text_BLD)
            for at, logits_BV in enumerate(self(text_BLD, mask_BL))
        ]
        return torch.stack(losses).sum()
