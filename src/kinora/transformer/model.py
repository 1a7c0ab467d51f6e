"""The spatio-temporal transformer: noisy latents, noise levels, positions and conditions in, velocity out.

Wan 2.1's layout and parameter names; per-token noise levels (Wan 2.2) are the only path, a single level for the whole
clip being its special case. What Kinora adds beside Wan's names (`place_embedding`, `control_embedding`,
`frame_cond`) starts at zero and is skipped when absent, so open weights stay exact.
Axes: B batch, C channels, T latent frames, H W latent grid, S tokens of one latent frame, M = S or 1, L text
positions, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.errors import InputError, ShapeError
from kinora.nn.rotary import rotary_table
from kinora.transformer.blocks import Block, FrameCondition, Head, PatchEmbedding, unpatchify
from kinora.transformer.config import TransformerConfig
from kinora.transformer.place import PlaceEmbedding

__all__ = ["Conditions", "Transformer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What a velocity depends on beyond the noisy latents."""

    text_BLD: Tensor
    """Encoded prompt, zero past its end; at most `text_length` positions."""
    control_BCTHW: Tensor | None = None
    """Control maps on the latent grid; all zero says nothing."""
    pose_BT12: Tensor | None = None
    """Camera poses, 3 x 4 row by row, relative to the first; an all-zero row says that the pose is not given."""
    mouth_BTS: Tensor | None = None
    """Mouth shapes around each latent frame."""
    face_BTHW: Tensor | None = None
    """Where the mouth's owner has its face, in [0, 1] on the latent grid; needed with `mouth_BTS`."""


class Transformer(nn.Module):
    """Predicts `v = noise - x_0` for every latent cell."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch
        self.patch_embedding = PatchEmbedding(config.channels + config.extra_channels, width, patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_width, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(config.frequency_width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.ffn_width, config.eps) for _ in range(config.layers)
        )
        self.head = Head(width, config.channels * patch * patch, config.eps)
        self.control_embedding = (
            PatchEmbedding(config.control_channels, width, patch, bias=False) if config.control_channels else None
        )
        self.place_embedding = PlaceEmbedding(width) if config.place else None
        self.frame_cond = (
            FrameCondition(width, config.pose_width, config.mouth_width)
            if config.pose_width or config.mouth_width
            else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights: Xavier for matrices, N(0, 0.02) around text and time, zero for the head and Kinora's
        additions.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        for embedding in (self.text_embedding, self.time_embedding):
            for module in embedding.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.02)
        for added in (self.head.head, self.control_embedding, self.place_embedding, self.frame_cond):
            for parameter in () if added is None else added.parameters():
                nn.init.zeros_(parameter)

    def forward(self, latent_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor, conditions: Conditions) -> Tensor:
        """Velocity (B, channels, T, H, W).

        `sigma_BTHW` in [0, 1] is the noise level of each cell (a token takes the mean of its cells), 0 where a cell is
        known; `position_BT` the time of each latent frame, in latent frames, of any size and sign.
        """
        self._check(latent_BCTHW, sigma_BTHW, position_BT, conditions)
        config = self.config
        height, width = latent_BCTHW.shape[-2:]
        x_BTSD = self.patch_embedding(latent_BCTHW)
        if self.control_embedding is not None and conditions.control_BCTHW is not None:
            x_BTSD = x_BTSD + self.control_embedding(conditions.control_BCTHW)
        if self.place_embedding is not None:
            x_BTSD = self.place_embedding(x_BTSD, position_BT, height // config.patch, width // config.patch)
        embedding_BTMD = self._embed_time(sigma_BTHW, conditions)
        modulation_BTM6D = _linear32(self.time_projection[1], functional.silu(embedding_BTMD)).unflatten(-1, (6, -1))
        missing = config.text_length - conditions.text_BLD.shape[1]
        text_BLD = self.text_embedding(functional.pad(conditions.text_BLD, (0, 0, 0, missing)))
        rotary = rotary_table(position_BT, height // config.patch, width // config.patch, config.head_width)
        for block in self.blocks:
            x_BTSD = block(x_BTSD, modulation_BTM6D, text_BLD, rotary)
        return unpatchify(self.head(x_BTSD, embedding_BTMD), height, width, config.patch)

    def _embed_time(self, sigma_BTHW: Tensor, conditions: Conditions) -> Tensor:
        """Time embedding plus what is known of each frame; (B, T, 1, D) where all tokens of every frame agree, else
        (B, T, S, D).
        """
        sigma_BTS = _per_token(sigma_BTHW, self.config.patch)
        # Told before the blocks run, so that compiled blocks meet two shapes and no question about values.
        if bool((sigma_BTS == sigma_BTS[:, :, :1]).all()):
            sigma_BTS = sigma_BTS[:, :, :1]
        level_U, row_BTM = torch.unique(sigma_BTS, return_inverse=True)
        features_UD = _sinusoid(1000.0 * level_U, self.config.frequency_width)
        hidden_UD = functional.silu(_linear32(self.time_embedding[0], features_UD))
        embedding_BTMD = functional.embedding(row_BTM, _linear32(self.time_embedding[2], hidden_UD))
        if self.frame_cond is None:
            return embedding_BTMD
        face_BTS = None
        if conditions.face_BTHW is not None and bool(conditions.face_BTHW.any()):
            face_BTS = _per_token(conditions.face_BTHW, self.config.patch)
        embedded: Tensor = self.frame_cond(embedding_BTMD, conditions.pose_BT12, conditions.mouth_BTS, face_BTS)
        return embedded

    def _check(self, latent_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor, conditions: Conditions) -> None:
        config = self.config
        batch, channels, frames, height, width = latent_BCTHW.shape
        if channels != config.channels + config.extra_channels or height % config.patch or width % config.patch:
            raise ShapeError(
                f"Latents of shape {tuple(latent_BCTHW.shape)} do not fit: this transformer takes "
                f"{config.channels + config.extra_channels} channels and sides that are multiples of {config.patch}."
            )
        if sigma_BTHW.shape != (batch, frames, height, width) or position_BT.shape != (batch, frames):
            raise ShapeError(
                f"Noise levels of shape {tuple(sigma_BTHW.shape)} and positions of shape {tuple(position_BT.shape)} do "
                f"not belong to latents of shape {tuple(latent_BCTHW.shape)}: a level per cell, a position per frame."
            )
        if conditions.text_BLD.shape[1] > config.text_length:
            raise ShapeError(f"A text of {conditions.text_BLD.shape[1]} positions: {config.text_length} are attended.")
        self._check_conditions(conditions)

    def _check_conditions(self, conditions: Conditions) -> None:
        """What a model was not built for is refused by name, never passed over."""
        config = self.config
        for name, given, width in (
            ("control maps", conditions.control_BCTHW, config.control_channels),
            ("camera poses", conditions.pose_BT12, config.pose_width),
            ("mouth shapes", conditions.mouth_BTS, config.mouth_width),
        ):
            if given is not None and not width:
                raise InputError(f"This model takes no {name}: it was built without them. Leave them out.")
        if conditions.mouth_BTS is not None and conditions.face_BTHW is None:
            raise InputError("Mouth shapes need the place of the face they belong to: give face_BTHW too.")


def _per_token(cells_BTHW: Tensor, patch: int) -> Tensor:
    """The mean over each token's cells, (B, T, S)."""
    if patch == 1:
        return cells_BTHW.flatten(2)
    return functional.avg_pool2d(cells_BTHW.flatten(0, 1)[:, None], patch).reshape(*cells_BTHW.shape[:2], -1)


def _sinusoid(time_U: Tensor, width: int) -> Tensor:
    """cat[cos, sin] of `time * 10000 ** (-i / half)`, computed in float64, returned in float32."""
    half = width // 2
    rate_H = torch.exp(-math.log(10000.0) / half * torch.arange(half, dtype=torch.float64, device=time_U.device))
    angle_UH = time_U.to(torch.float64)[:, None] * rate_H
    return torch.cat([angle_UH.cos(), angle_UH.sin()], dim=1).float()


def _linear32(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer in float32 whatever its weights are stored in and whatever autocast says (Wan does its
    modulation so).
    """
    assert isinstance(layer, nn.Linear)
    with torch.autocast(x.device.type, enabled=False):
        return functional.linear(x.float(), layer.weight.float(), None if layer.bias is None else layer.bias.float())
