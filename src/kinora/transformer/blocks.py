"""The blocks of the spatio-temporal transformer, in Wan's layout and under Wan's parameter names.

Axes: B batch, T latent frames, S tokens of one latent frame, N = T S tokens, U different rows of modulation, L text
positions or image tokens, D width, A heads, K head width.
A modulation is a few rows (U, 6, D) and the number of each token's row: (B, T, S), (B, T, 1) where the tokens of a
frame share one, (1, 1, 1) where all do. One kind of row is looked up at a time, where it is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.nn.activations import TanhGelu
from kinora.nn.attention import attend
from kinora.nn.norms import RMSNorm, layer_norm, modulated_norm
from kinora.nn.reuse import may_reuse
from kinora.nn.rotary import Rotary, rotate, rotate_in_place
from kinora.transformer.conditions import Context, Text
from kinora.transformer.embeddings import linear32

__all__ = ["Block", "Head"]

PIECE = 256
"""Tokens that go through the feed-forward network together on each core, where they do not go all at once."""


class SelfAttention(nn.Module):
    """Queries, keys and values with RMS norms over the full width."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.norm_q = RMSNorm(width, eps)
        self.norm_k = RMSNorm(width, eps)

    def forward(self, x_BND: Tensor, rotary: Rotary) -> Tensor:
        query_BNAK = self._turned(self.q(x_BND), self.norm_q, rotary)
        key_BNAK = self._turned(self.k(x_BND), self.norm_k, rotary)
        value_BNAK = self.v(x_BND).unflatten(-1, (self.heads, -1))
        mixed_BND: Tensor = self.o(attend(query_BNAK, key_BNAK, value_BNAK))
        return mixed_BND

    def _turned(self, x_BND: Tensor, norm: RMSNorm, rotary: Rotary) -> Tensor:
        """Normed and turned by position, (B, N, A, K)."""
        if not may_reuse(x_BND):
            return rotate(norm(x_BND).unflatten(-1, (self.heads, -1)), rotary)
        factor_BN11 = norm.factor(x_BND)[..., None]
        return rotate_in_place(x_BND.mul_(norm.weight).unflatten(-1, (self.heads, -1)), factor_BN11, rotary)


class CrossAttention(nn.Module):
    """Attention to the text, and beside it to image tokens where the model takes any; both results are added."""

    def __init__(self, width: int, heads: int, eps: float, *, image: bool) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.norm_q = RMSNorm(width, eps)
        self.norm_k = RMSNorm(width, eps)
        self.k_img = nn.Linear(width, width) if image else None
        self.v_img = nn.Linear(width, width) if image else None
        self.norm_k_img = RMSNorm(width, eps) if image else None

    def context(self, text: Text, image_BLD: Tensor | None) -> Context:
        """Keys and values of the text, embedded to the transformer's width, and of the image tokens."""
        text_BLD, bias_BL, spoken_B = text
        silence_B1D = spoken_R = None
        if image_BLD is None and not all(spoken_B):
            silence_B1D = self.o(self.v(text_BLD[:, -1:]))
            if not any(spoken_B):
                return Context(None, None, silence_B1D=silence_B1D)
            spoken_R = torch.tensor(spoken_B, device=text_BLD.device).nonzero().flatten()
            text_BLD, bias_BL = text_BLD[spoken_R], None if bias_BL is None else bias_BL[spoken_R]
        context = Context(
            key_RLAK=self.norm_k(self.k(text_BLD)).unflatten(-1, (self.heads, -1)),
            value_RLAK=self.v(text_BLD).unflatten(-1, (self.heads, -1)),
            bias_RL=bias_BL,
            silence_B1D=silence_B1D,
            spoken_R=spoken_R,
        )
        if image_BLD is None or self.k_img is None or self.v_img is None or self.norm_k_img is None:
            return context
        return context._replace(
            image_key_BLAK=self.norm_k_img(self.k_img(image_BLD)).unflatten(-1, (self.heads, -1)),
            image_value_BLAK=self.v_img(image_BLD).unflatten(-1, (self.heads, -1)),
        )

    def forward(self, x_BND: Tensor, context: Context) -> Tensor:
        """What the tokens take from the text; a single clip may meet several texts."""
        if context.silence_B1D is None or context.spoken_R is None:
            return self._attended(x_BND, context)
        taken_BND = context.silence_B1D.repeat(1, x_BND.shape[1], 1)
        spoken_RND = x_BND if len(x_BND) == 1 else x_BND[context.spoken_R]
        taken_BND[context.spoken_R] = self._attended(spoken_RND, context).to(taken_BND.dtype)
        return taken_BND

    def _attended(self, x_BND: Tensor, context: Context) -> Tensor:
        assert context.key_RLAK is not None
        assert context.value_RLAK is not None
        query_BNAK = self.norm_q(self.q(x_BND)).unflatten(-1, (self.heads, -1))
        mixed_BND = attend(query_BNAK, context.key_RLAK, context.value_RLAK, bias_BM=context.bias_RL)
        if context.image_key_BLAK is not None and context.image_value_BLAK is not None:
            mixed_BND = mixed_BND + attend(query_BNAK, context.image_key_BLAK, context.image_value_BLAK)
        attended_BND: Tensor = self.o(mixed_BND)
        return attended_BND


class AffineNorm(nn.Module):
    """Layer norm with weight and bias, computed in float32, returned in the type of `x`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x_BND: Tensor) -> Tensor:
        if self.weight.dtype == x_BND.dtype:  # torch's own computes in float32 inside, without a copy of its own
            return functional.layer_norm(x_BND, self.weight.shape, self.weight, self.bias, self.eps).to(x_BND.dtype)
        return layer_norm(x_BND, self.weight, self.bias, self.eps).to(x_BND.dtype)


class FeedForward(nn.Sequential):
    """Two linear layers and what stands between them; on CPU, learning nothing, of some tokens at a time, so that the
    wide middle stays in the cache.
    """

    def forward(self, x_BTSD: Tensor) -> Tensor:
        if not may_reuse(x_BTSD):
            whole_BTSD: Tensor = super().forward(x_BTSD)
            return whole_BTSD
        x_ND = x_BTSD.view(-1, x_BTSD.shape[-1])
        pieces = x_ND.split(PIECE * torch.get_num_threads())
        y_ND = torch.cat([super(FeedForward, self).forward(piece_ND) for piece_ND in pieces])
        return y_ND.view(x_BTSD.shape)


class Block(nn.Module):
    """Self-attention, attention to the text, feed-forward; the first and last are modulated by the noise level.

    x += gate_1 * attention(norm(x) * (1 + scale_1) + shift_1);  x += text_attention(norm3(x));
    x += gate_2 * ffn(norm(x) * (1 + scale_2) + shift_2)         (Wan2.1 `WanAttentionBlock`)
    """

    def __init__(self, width: int, heads: int, ffn_width: int, eps: float, *, image: bool = False) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = nn.Parameter(torch.empty(1, 6, width))
        self.self_attn = SelfAttention(width, heads, eps)
        self.norm3 = AffineNorm(width, eps)
        self.cross_attn = CrossAttention(width, heads, eps, image=image)
        self.ffn = FeedForward(nn.Linear(width, ffn_width), TanhGelu(), nn.Linear(ffn_width, width))

    def forward(
        self, x_BTSD: Tensor, modulation_U6D: Tensor, row_BTM: Tensor, rotary: Rotary, context: Context
    ) -> Tensor:
        frames = x_BTSD.shape[1:3]
        rows = (modulation_U6D + self.modulation.float()).unbind(-2)
        y_BTSD = modulated_norm(x_BTSD, _at(row_BTM, rows[1]), _at(row_BTM, rows[0]), self.eps)
        y_BTSD = self.self_attn(y_BTSD.flatten(1, 2), rotary).unflatten(1, frames)
        x_BTSD = torch.addcmul(x_BTSD, y_BTSD, _at(row_BTM, rows[2]).to(x_BTSD.dtype))
        if context.silence_B1D is not None and context.key_RLAK is None:
            x_BTSD = x_BTSD + context.silence_B1D[:, None]
        else:
            x_BTSD = x_BTSD + self.cross_attn(self.norm3(x_BTSD).flatten(1, 2), context).unflatten(1, frames)
        y_BTSD = self.ffn(modulated_norm(x_BTSD, _at(row_BTM, rows[4]), _at(row_BTM, rows[3]), self.eps))
        return torch.addcmul(x_BTSD, y_BTSD, _at(row_BTM, rows[5]).to(x_BTSD.dtype))


class Head(nn.Module):
    """From tokens to patches of velocity. Starts at zero."""

    def __init__(self, width: int, patch_width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.head = nn.Linear(width, patch_width)
        self.modulation = nn.Parameter(torch.empty(1, 2, width))

    def forward(self, x_BTSD: Tensor, embedding_UD: Tensor, row_BTM: Tensor) -> Tensor:
        """Patches (B, T, S, patch_width) in float32; modulated by the time embedding itself, not its projection."""
        shift_UD, scale_UD = (embedding_UD[:, None] + self.modulation.float()).unbind(-2)
        y_BTSD = modulated_norm(x_BTSD.float(), _at(row_BTM, scale_UD), _at(row_BTM, shift_UD), self.eps)
        return linear32(self.head, y_BTSD)


def _at(row_BTM: Tensor, table_UD: Tensor) -> Tensor:
    """The rows of the table that the tokens ask for, (B, T, M, D)."""
    return functional.embedding(row_BTM, table_UD)
