"""Building blocks of the reader.

Axes: A pictures, B batch, C channels, S side, G H W grids, N tokens, M memory tokens, Q queries, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.nn.convolution import ConvBlock

__all__ = ["Attention", "Decoder", "DecoderLayer", "Encoder", "EncoderLayer", "Eyes", "TimeEmbedding"]


class Eyes(nn.Module):
    """Pictures (A, C, S, S) to features at an eighth of their size (A, widths[1], S/8, S/8) and tokens at a sixteenth
    (A, N, widths[2]), N = (S/16)^2.

    Plain convolutions that halve the picture four times, with `depths` residual blocks at a quarter, an eighth and a
    sixteenth of it.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int], depths: tuple[int, int, int]) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        first = max(8, quarter // 3)
        self.open = _convolution(channels, first, 5)
        self.quarter = _halving(first, quarter, depths[0])
        self.eighth = _halving(quarter, eighth, depths[1])
        self.sixteenth = _halving(eighth, sixteenth, depths[2])

    def forward(self, x_ACSS: Tensor) -> tuple[Tensor, Tensor]:
        x_ACHW = functional.relu(self.open(x_ACSS.contiguous(memory_format=torch.channels_last)))
        fine_ACGG = functional.relu(self.eighth(functional.relu(self.quarter(x_ACHW))))
        return fine_ACGG, self.sixteenth(fine_ACGG).flatten(2).transpose(1, 2)


def _halving(before: int, width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(_convolution(before, width, 3), *(ConvBlock(width) for _ in range(depth)))


def _convolution(before: int, width: int, side: int) -> nn.Conv2d:
    """Halves a picture and keeps the size of what passes (He et al. 2015): PyTorch's own beginning loses most of it on
    the way through four of these.
    """
    halve = nn.Conv2d(before, width, side, stride=2, padding=side // 2)
    nn.init.kaiming_normal_(halve.weight, nonlinearity="relu")
    return halve


class TimeEmbedding(nn.Module):
    """Seconds (any shape) to vectors of `width`: sines with periods from 1/4 s to a minute, then a small network."""

    def __init__(self, width: int, waves: int = 16) -> None:
        super().__init__()
        self.waves = waves
        self.network = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, seconds: Tensor) -> Tensor:
        exponent = torch.linspace(math.log(0.25), math.log(60.0), self.waves, device=seconds.device)
        angle = seconds[..., None] * (2 * math.pi / exponent.exp())
        return self.network(torch.cat([angle.sin(), angle.cos()], dim=-1))


class Attention(nn.Module):
    """Scaled dot-product attention of queries (B, Q, D) over a memory (B, M, D) (themselves by default)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BQD: Tensor, memory_BMD: Tensor | None = None) -> Tensor:
        memory = x_BQD if memory_BMD is None else memory_BMD
        query = self.query(x_BQD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(memory).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Self-attention and a network, each behind a norm and added to what comes in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.network = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.GELU(approximate="tanh"), nn.Linear(3 * width, width)
        )

    def forward(self, x_BND: Tensor) -> Tensor:
        x = x_BND + self.attention(self.attention_norm(x_BND))
        return x + self.network(x)


class DecoderLayer(nn.Module):
    """For every object: its queries look at the memory, then at one another.

    Queries (B, P, Q, D) of P objects; memory (B, M, D).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_norm = nn.LayerNorm(width)
        self.cross = Attention(width, heads)
        self.among = EncoderLayer(width, heads)

    def forward(self, x_BPQD: Tensor, memory_BMD: Tensor) -> Tensor:
        batch, objects, queries, _ = x_BPQD.shape
        looked = self.cross(self.cross_norm(x_BPQD).flatten(1, 2), memory_BMD)
        x = x_BPQD + looked.unflatten(1, (objects, queries))
        return self.among(x.flatten(0, 1)).unflatten(0, (batch, objects))


class Decoder(nn.Module):
    """Decoder layers and a last norm. Named so that an optimiser for matrices inside blocks finds them."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DecoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BPQD: Tensor, memory_BMD: Tensor) -> Tensor:
        for block in self.blocks:
            x_BPQD = block(x_BPQD, memory_BMD)
        return self.norm(x_BPQD)


class Encoder(nn.Module):
    """Encoder layers and a last norm: (B, N, D) to (B, N, D)."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BND: Tensor) -> Tensor:
        for block in self.blocks:
            x_BND = block(x_BND)
        return self.norm(x_BND)
