"""The pieces of the spatio-temporal transformer, in Wan's layout and under Wan's parameter names.

Axes: B batch, T latent frames, S tokens of one latent frame, N = T S tokens, M = S or 1, L text positions, D width, A
heads, K head width. A modulation has M = 1 when all tokens of a frame share it; nothing else knows the difference.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinora.nn.attention import attend
from kinora.nn.norms import RMSNorm, layer_norm
from kinora.nn.rotary import Rotary, rotate

__all__ = ["Block", "FrameCondition", "Head", "PatchEmbedding", "patchify", "unpatchify"]


def patchify(grid_BCTHW: Tensor, patch: int) -> Tensor:
    """Cut each frame into patches: (B, T, S, C * patch * patch), channels first inside a patch as in a convolution's
    weight.
    """
    batch, channels, frames, height, width = grid_BCTHW.shape
    cut_BCThpwq = grid_BCTHW.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return cut_BCThpwq.permute(0, 2, 3, 5, 1, 4, 6).reshape(batch, frames, -1, channels * patch * patch)


def unpatchify(patches_BTSP: Tensor, height: int, width: int, patch: int) -> Tensor:
    """Lay patches side by side again: (B, C, T, height, width). Channels come last inside a patch (Wan's head)."""
    batch, frames = patches_BTSP.shape[:2]
    cut_BThwpqC = patches_BTSP.reshape(batch, frames, height // patch, width // patch, patch, patch, -1)
    return cut_BThwpqC.permute(0, 6, 1, 2, 4, 3, 5).reshape(batch, -1, frames, height, width)


class PatchEmbedding(nn.Conv3d):
    """A convolution whose kernel is its stride, computed as one matrix product."""

    def __init__(self, channels: int, width: int, patch: int, *, bias: bool = True) -> None:
        size = (1, patch, patch)
        super().__init__(channels, width, kernel_size=size, stride=size, bias=bias)
        self.patch = patch

    def forward(self, grid_BCTHW: Tensor) -> Tensor:
        """Tokens (B, T, S, D)."""
        return nn.functional.linear(patchify(grid_BCTHW, self.patch), self.weight.flatten(1), self.bias)


class FrameCondition(nn.Module):
    """What is known of a latent frame beyond its noise level, added to the time embedding. Starts at zero.

    The pose has no bias: an all-zero row (no camera has one) means that the pose is not given. The mouth has one,
    because a closed mouth is all zero too; where no face is, the face mask takes it away.
    """

    def __init__(self, width: int, pose_width: int, mouth_width: int) -> None:
        super().__init__()
        self.pose = nn.Linear(pose_width, width, bias=False) if pose_width else None
        self.mouth = nn.Linear(mouth_width, width) if mouth_width else None

    def forward(
        self, embedding_BTMD: Tensor, pose_BTP: Tensor | None, mouth_BTQ: Tensor | None, face_BTS: Tensor | None
    ) -> Tensor:
        """Embeddings (B, T, M, D); a mouth without a face anywhere leaves them one for each frame."""
        if self.pose is not None and pose_BTP is not None:
            embedding_BTMD = embedding_BTMD + self.pose(pose_BTP)[:, :, None]
        if self.mouth is not None and mouth_BTQ is not None and face_BTS is not None:
            embedding_BTMD = embedding_BTMD + self.mouth(mouth_BTQ)[:, :, None] * face_BTS[..., None]
        return embedding_BTMD


class Attention(nn.Module):
    """Queries, keys and values with RMS norms over the full width; `context` defaults to the tokens themselves."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.norm_q = RMSNorm(width, eps)
        self.norm_k = RMSNorm(width, eps)

    def forward(self, x_BND: Tensor, *, context_BLD: Tensor | None = None, rotary: Rotary | None = None) -> Tensor:
        source_BMD = x_BND if context_BLD is None else context_BLD
        query_BNAK = self.norm_q(self.q(x_BND)).unflatten(-1, (self.heads, -1))
        key_BMAK = self.norm_k(self.k(source_BMD)).unflatten(-1, (self.heads, -1))
        value_BMAK = self.v(source_BMD).unflatten(-1, (self.heads, -1))
        if rotary is not None:
            query_BNAK, key_BMAK = rotate(query_BNAK, rotary), rotate(key_BMAK, rotary)
        return self.o(attend(query_BNAK, key_BMAK, value_BMAK))


class AffineNorm(nn.Module):
    """Layer norm with weight and bias, in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x_BND: Tensor) -> Tensor:
        return layer_norm(x_BND, self.weight, self.bias, self.eps)


class Block(nn.Module):
    """Self-attention, attention to the text, feed-forward; the first and last are modulated by the noise level.

    x += gate_1 * attention(norm(x) * (1 + scale_1) + shift_1);  x += text_attention(norm3(x));
    x += gate_2 * ffn(norm(x) * (1 + scale_2) + shift_2)         (Wan2.1 `WanAttentionBlock`)
    """

    def __init__(self, width: int, heads: int, ffn_width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / width**0.5)
        self.self_attn = Attention(width, heads, eps)
        self.norm3 = AffineNorm(width, eps)
        self.cross_attn = Attention(width, heads, eps)
        self.ffn = nn.Sequential(nn.Linear(width, ffn_width), nn.GELU(approximate="tanh"), nn.Linear(ffn_width, width))

    def forward(self, x_BTSD: Tensor, modulation_BTM6D: Tensor, text_BLD: Tensor, rotary: Rotary) -> Tensor:
        frames = x_BTSD.shape[1:3]
        rows = (modulation_BTM6D + self.modulation.float()).unbind(-2)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = rows
        y_BND = _modulate(x_BTSD, scale_1, shift_1, self.eps).flatten(1, 2)
        x_BTSD = torch.addcmul(x_BTSD, self.self_attn(y_BND, rotary=rotary).unflatten(1, frames), gate_1)
        x_BND = x_BTSD.flatten(1, 2)
        x_BND = x_BND + self.cross_attn(self.norm3(x_BND), context_BLD=text_BLD)
        x_BTSD = x_BND.unflatten(1, frames)
        return torch.addcmul(x_BTSD, self.ffn(_modulate(x_BTSD, scale_2, shift_2, self.eps)), gate_2)


class Head(nn.Module):
    """From tokens to patches of velocity. Starts at zero."""

    def __init__(self, width: int, patch_width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.head = nn.Linear(width, patch_width)
        self.modulation = nn.Parameter(torch.randn(1, 2, width) / width**0.5)

    def forward(self, x_BTSD: Tensor, embedding_BTMD: Tensor) -> Tensor:
        """Patches (B, T, S, patch_width); modulated by the time embedding itself, not its projection."""
        shift_BTMD, scale_BTMD = (embedding_BTMD[..., None, :] + self.modulation.float()).unbind(-2)
        patches_BTSP: Tensor = self.head(_modulate(x_BTSD, scale_BTMD, shift_BTMD, self.eps))
        return patches_BTSP


def _modulate(x_BTSD: Tensor, scale_BTMD: Tensor, shift_BTMD: Tensor, eps: float) -> Tensor:
    return torch.addcmul(shift_BTMD, layer_norm(x_BTSD, eps=eps), 1.0 + scale_BTMD)
