"""Detail: what a token's neighbours and its own noisy cells say about each of its cells.

A token of the bundled model stands for 32 x 32 pixels and tells its 192 numbers from 256, without a look at the tokens
beside it: edges come out as steps from token to token. So, after the blocks, a few convolutions over single latent
cells see what the tokens found and the noisy latent itself, frame by frame, and correct what the head said. Starts at
zero; open weights have none. A decoder of its own for what is fine, as in DDT (Wang et al. 2025, arXiv:2504.05741), but
local.

Axes: B texts, C channels, T latent frames, H W latent grid, N = B x T, S tokens of a latent frame, D width, E width of
the detail.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kinora.transformer.embeddings import unpatchify

__all__ = ["Detail"]


class DetailBlock(nn.Module):
    """Two 3 x 3 convolutions behind a norm over channels, added to what comes in: (N, E, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_NEHW: Tensor) -> Tensor:
        normed = self.norm(x_NEHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x_NEHW + self.second(functional.gelu(self.first(normed), approximate="tanh"))


class Detail(nn.Module):
    """What is added to the head's answer for every cell, (B, C, T, H, W) in float32."""

    def __init__(self, token_width: int, channels: int, width: int, blocks: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.from_token = nn.Linear(token_width, width * patch * patch)
        self.from_cell = nn.Linear(channels, width)
        self.convolutions = nn.ModuleList(DetailBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)

    def forward(self, seen_BTSD: Tensor, latent_BCTHW: Tensor) -> Tensor:
        """From tokens as the head sees them and the noisy latent (B, or 1 for all texts) in units of its own spread."""
        frames, height, width = latent_BCTHW.shape[2:]
        dtype = self.from_token.weight.dtype
        told_BETHW = unpatchify(self.from_token(seen_BTSD.to(dtype)), height, width, self.patch)
        cell_BTHWE = self.from_cell(latent_BCTHW.permute(0, 2, 3, 4, 1).to(dtype))
        x_BTHWE = told_BETHW.permute(0, 2, 3, 4, 1) + cell_BTHWE
        x_NEHW = x_BTHWE.flatten(0, 1).contiguous().permute(0, 3, 1, 2)  # channels last, as convolutions like it
        for block in self.convolutions:
            x_NEHW = block(x_NEHW)
        out_NHWC = self.out(self.norm(x_NEHW.permute(0, 2, 3, 1)))
        return out_NHWC.unflatten(0, (-1, frames)).permute(0, 4, 1, 2, 3).float()
