"""Ways into the transformer: patches of latents, noise levels, what is known of a frame, image tokens.

Axes: B batch, C channels, T latent frames, H W latent grid, S tokens of one latent frame, U different rows, L image
tokens, P numbers of a patch or pose, Q numbers of a mouth, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "FrameCondition", "ImageEmbedding", "PatchEmbedding", "linear32", "model_time", "patchify", "per_token", "sinusoid",
    "unpatchify",
]  # fmt: skip


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


def per_token(cells_BTHW: Tensor, patch: int) -> Tensor:
    """The mean over each token's cells, (B, T, S); of cells that agree exactly what they say."""
    if patch == 1:
        return cells_BTHW.flatten(2)
    mean_NHW = functional.avg_pool2d(cells_BTHW.double().flatten(0, 1)[:, None], patch)
    return mean_NHW.reshape(*cells_BTHW.shape[:2], -1).to(cells_BTHW.dtype)


def model_time(sigma_U: Tensor) -> Tensor:
    """1000 sigma in float32; exactly a whole number where the nearest neighbour of its thousandth is given, for those
    are what Wan's samplers ask for, and 10 of the 1000 do not survive the trip.
    """
    time_U = 1000.0 * sigma_U.float()
    whole_U = time_U.round()
    return torch.where((time_U - whole_U).abs() < 1e-4, whole_U, time_U)


def sinusoid(time_U: Tensor, width: int) -> Tensor:
    """cat[cos, sin] of `time * 10000 ** (-i / half)`, computed in float64, returned in float32."""
    half = width // 2
    rate_H = torch.exp(-math.log(10000.0) / half * torch.arange(half, dtype=torch.float64, device=time_U.device))
    angle_UH = time_U.to(torch.float64)[:, None] * rate_H
    return torch.cat([angle_UH.cos(), angle_UH.sin()], dim=1).float()


def linear32(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer in float32 whatever its weights are stored in and whatever autocast says: Wan does so what has to
    do with noise levels, and its head.
    """
    assert isinstance(layer, nn.Linear)
    with torch.autocast(x.device.type, enabled=False):
        return functional.linear(x.float(), layer.weight.float(), None if layer.bias is None else layer.bias.float())


class PatchEmbedding(nn.Conv3d):
    """A convolution whose kernel is its stride, computed as one matrix product."""

    def __init__(self, channels: int, width: int, patch: int, *, bias: bool = True) -> None:
        size = (1, patch, patch)
        super().__init__(channels, width, kernel_size=size, stride=size, bias=bias)
        self.patch = patch

    def forward(self, grid_BCTHW: Tensor) -> Tensor:
        """Tokens (B, T, S, D)."""
        patches_BTSP = patchify(grid_BCTHW, self.patch).to(self.weight.dtype)
        return functional.linear(patches_BTSP, self.weight.flatten(1), self.bias)


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
        self, embedding_UD: Tensor, pose_UP: Tensor | None, mouth_UQ: Tensor | None, face_U: Tensor | None
    ) -> Tensor:
        """Embeddings (U, D), each with the pose and mouth of its frame, and how much of its token is face."""
        if self.pose is not None and pose_UP is not None:
            embedding_UD = embedding_UD + linear32(self.pose, pose_UP)
        if self.mouth is not None and mouth_UQ is not None and face_U is not None:
            embedding_UD = embedding_UD + linear32(self.mouth, mouth_UQ) * face_U[:, None]
        return embedding_UD


class ImageEmbedding(nn.Module):
    """Image tokens of CLIP brought to the width of the transformer (Wan2.1 `MLPProj`).

    `positions` tokens are told their places: those of the first picture and of the last.
    """

    def __init__(self, image_width: int, width: int, positions: int = 0) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(image_width),
            nn.Linear(image_width, image_width),
            nn.GELU(),
            nn.Linear(image_width, width),
            nn.LayerNorm(width),
        )
        self.emb_pos = nn.Parameter(torch.zeros(1, positions, image_width)) if positions else None

    def forward(self, image_BLD: Tensor) -> Tensor:
        """Tokens (B, L, D) of the transformer's width."""
        image_BLD = image_BLD.to(next(self.proj.parameters()).dtype)
        embedded: Tensor = self.proj(image_BLD if self.emb_pos is None else image_BLD + self.emb_pos)
        return embedded
