"""Building blocks of the reader. Axes: B batch, C channels, H W grid, N tokens, M memory tokens, Q queries, D width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Attention", "ConvBlock", "Decoder", "DecoderLayer", "Encoder", "EncoderLayer", "Stem", "TimeEmbedding"]


class ConvBlock(nn.Module):
    """Residual pair of 3 x 3 convolutions that starts as the identity: (B, C, H, W), channels last in memory."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        normed = self.norm(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x_BCHW + self.second(functional.relu(self.first(normed)))


class Stem(nn.Module):
    """Pictures (B, C, S, S) to features (B, 2 width, S/8, S/8) and tokens (B, N, token_width), N = (S/16)^2."""

    def __init__(self, channels: int, width: int, depth: int, token_width: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(channels, width, 8, stride=4, padding=2)
        self.halve = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.refine = nn.Sequential(*(ConvBlock(2 * width) for _ in range(depth)))
        self.token = nn.Conv2d(2 * width, token_width, 2, stride=2)

    def forward(self, x_BCSS: Tensor) -> tuple[Tensor, Tensor]:
        x = self.patch(x_BCSS.contiguous(memory_format=torch.channels_last))
        fine_BCHW = self.refine(self.halve(functional.relu(x)))
        tokens_BND = self.token(functional.relu(fine_BCHW)).flatten(2).transpose(1, 2)
        return fine_BCHW, tokens_BND


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
