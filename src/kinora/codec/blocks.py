"""Layers of the decoder's learned correction.

Both halves work on pictures folded over time, (N, C, H, W) in channels-last order: on a CPU a 3 x 3 x 3 convolution
written as a 3 x 3 one over three stacked frames runs at 60 to 90 GFLOP/s a core, the built-in three-dimensional one at
15 to 75 (AVX-512, float32, 128 to 192 channels on a 16 x 16 grid).

Axes: N = batch x time, B batch, T latent frames, C channels, H W a grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MEMORY", "CausalConv", "PictureBlock", "TrunkBlock", "start"]

MEMORY = 2
"""Latent frames a causal convolution remembers."""


class CausalConv(nn.Module):
    """A 3 x 3 x 3 convolution that sees a latent frame and the two before it; before the first there are zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d((MEMORY + 1) * width, width, 3, padding=1)

    def forward(self, x_NCHW: Tensor, past_BTCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Filter the frames; returns the result and the last `MEMORY` frames of the input, for the next call."""
        frames_BTCHW = torch.cat([past_BTCHW, x_NCHW.unflatten(0, (past_BTCHW.shape[0], -1))], dim=1)
        count = frames_BTCHW.shape[1] - MEMORY
        window = torch.cat([frames_BTCHW[:, i : i + count] for i in range(MEMORY + 1)], dim=2).flatten(0, 1)
        # A copy, so that the memory does not keep the whole chunk alive.
        return self.conv(window.contiguous(memory_format=torch.channels_last)), frames_BTCHW[:, count:].clone()


class TrunkBlock(nn.Module):
    """Residual block on the latent grid: one causal convolution, one within the frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.causal = CausalConv(width)
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        start(self.causal.conv)
        start(self.spatial, loudness=0.3)

    def forward(self, x_NCHW: Tensor, past_BTCHW: Tensor) -> tuple[Tensor, Tensor]:
        hidden_NCHW, past_BTCHW = self.causal(F.silu(x_NCHW), past_BTCHW)
        return x_NCHW + self.spatial(F.silu(hidden_NCHW)), past_BTCHW


class PictureBlock(nn.Module):
    """Residual block within one frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        start(self.first)
        start(self.second, loudness=0.3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        hidden_NCHW: Tensor = self.second(F.silu(self.first(F.silu(x_NCHW))))
        return x_NCHW + hidden_NCHW


def start(conv: nn.Conv2d, *, loudness: float = 1.0) -> None:
    """Initial weights that keep the signal's strength through rectifiers (He et al. 2015), times `loudness`.

    The last convolution of a residual branch starts quiet: without norms, loud branches in a row would add up. (torch's
    own start is weaker by 2.4 a layer; whether that costs anything has not been measured with all else equal.)
    """
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    with torch.no_grad():
        conv.weight.mul_(loudness)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
