"""A small bidirectional text encoder, trained jointly with the transformer it feeds.

Axes: B batch, L text positions, D width, A heads, K head width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.errors import InputError, ShapeError
from kinora.language.tokenizer import PAD, Tokenizer
from kinora.nn.attention import attend
from kinora.nn.norms import RMSNorm
from kinora.nn.rotary import Rotary, rotary_table, rotate

__all__ = ["EncoderLayer", "TextEncoder", "TextEncoderConfig", "gated", "token_ids"]


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Sizes of a `TextEncoder`; about 3 M parameters as they stand."""

    vocabulary: int
    """Tokens of the tokenizer."""
    width: int = 256
    layers: int = 4
    heads: int = 4
    ffn_width: int = 512
    length: int = 96
    """Most tokens of a prompt, its end included."""

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise InputError(f"A width of {self.width} cannot be shared by {self.heads} heads of even width.")


def token_ids(tokenizer: Tokenizer, texts: Iterable[str], length: int, device: torch.device | str = "cpu") -> Tensor:
    """Padded ids (B, L) of texts."""
    return torch.tensor(tokenizer.batch(texts, length), dtype=torch.long, device=device)


def gated(gate: nn.Linear, up: nn.Linear, down: nn.Linear, x_BLD: Tensor) -> Tensor:
    """A gated feed-forward network (Shazeer 2020, arXiv:2002.05202)."""
    narrowed: Tensor = down(functional.gelu(gate(x_BLD), approximate="tanh") * up(x_BLD))
    return narrowed


class EncoderLayer(nn.Module):
    """Attention among all words, then a gated feed-forward network (Shazeer 2020), each after an RMS norm."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1 = RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.o = nn.Linear(width, width, bias=False)
        self.norm2 = RMSNorm(width)
        self.gate = nn.Linear(width, config.ffn_width, bias=False)
        self.up = nn.Linear(width, config.ffn_width, bias=False)
        self.down = nn.Linear(config.ffn_width, width, bias=False)

    def forward(self, x_BLD: Tensor, rotary: Rotary, mask_BL: Tensor) -> Tensor:
        query_BLAK, key_BLAK, value_BLAK = (
            part.unflatten(-1, (self.heads, -1)) for part in self.qkv(self.norm1(x_BLD)).chunk(3, dim=-1)
        )
        x_BLD = x_BLD + self.o(attend(rotate(query_BLAK, rotary), rotate(key_BLAK, rotary), value_BLAK, mask_BL))
        y_BLD = self.norm2(x_BLD)
        return x_BLD + gated(self.gate, self.up, self.down, y_BLD)


class TextEncoder(nn.Module):
    """Token ids to one vector per token, at about unit size; padded positions come out zero."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Encoded text (B, L, D)."""
        if ids_BL.shape[1] > self.config.length:
            raise ShapeError(
                f"A text of {ids_BL.shape[1]} tokens is longer than the {self.config.length} this encoder reads."
            )
        real_BL = ids_BL != PAD
        position_BL = torch.arange(ids_BL.shape[1], device=ids_BL.device).expand_as(ids_BL)
        rotary = rotary_table(position_BL, 1, 1, self.config.width // self.config.heads)
        x_BLD = self.embedding(ids_BL)
        for layer in self.layers:
            x_BLD = layer(x_BLD, rotary, real_BL)
        return self.norm(x_BLD) * real_BL[..., None]
