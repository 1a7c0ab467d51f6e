"""The spatio-temporal transformer: noisy latents, noise levels, positions and conditions in, velocity out.

Wan's layout and parameter names; per-token noise levels (Wan 2.2) are the only path, a single level for the whole clip
being its special case. What Kinora adds beside Wan's names (`place_embedding`, `control_embedding`, `frame_cond`)
starts at zero and is skipped when absent, so open weights stay exact.
Axes: B batch, C channels, T latent frames, H W latent grid, S tokens of one latent frame, M = S or 1, U different
rows of modulation, L text positions or image tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.errors import ShapeError
from kinora.nn.rotary import rotary_table
from kinora.transformer.blocks import Block, Head
from kinora.transformer.conditions import Conditions, Prepared, Text, check_conditions, collapse_padding
from kinora.transformer.config import TransformerConfig
from kinora.transformer.embeddings import (
    FrameCondition,
    ImageEmbedding,
    PatchEmbedding,
    linear32,
    model_time,
    per_token,
    sinusoid,
    unpatchify,
)
from kinora.transformer.guess import add_linear_guess
from kinora.transformer.place import PlaceEmbedding

__all__ = ["Conditions", "Prepared", "Transformer", "compile_blocks"]


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
            Block(width, config.heads, config.ffn_width, config.eps, image=bool(config.image_width))
            for _ in range(config.layers)
        )
        self.head = Head(width, config.channels * patch * patch, config.eps)
        self.img_emb = ImageEmbedding(config.image_width, width, config.image_positions) if config.image_width else None
        self.control_embedding = (
            PatchEmbedding(config.control_channels, width, patch, bias=False) if config.control_channels else None
        )
        self.place_embedding = PlaceEmbedding(width) if config.place else None
        self.frame_cond = (
            FrameCondition(width, config.pose_width, config.mouth_width)
            if config.pose_width or config.mouth_width
            else None
        )
        if not self.patch_embedding.weight.is_meta:
            # Drawing numbers that are not there would take most of the time that loading takes.
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights: Xavier for matrices, N(0, 0.02) around text and time, N(0, 1 / width) for modulations, zero
        for the head and Kinora's additions.
        """
        for part in (self.head, *self.blocks):
            nn.init.normal_(part.modulation, std=self.config.width**-0.5)
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

    def prepare(self, conditions: Conditions) -> Prepared:
        """Everything that does not change from step to step, done once: the text embedded, its padding collapsed, keys
        and values of every block for text and image tokens.

        `forward` gives the same with it as with the conditions themselves. Walks `blocks` in order, once. To be called
        under the same autocast as `forward`, and without it where that has none.
        """
        check_conditions(self.config, conditions)
        return self._prepare(conditions, collapse=True)

    def forward(
        self, latent_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor, conditions: Conditions | Prepared
    ) -> Tensor:
        """Velocity (B, channels, T, H, W) in float32.

        `sigma_BTHW` in [0, 1] is the noise level of each cell (a token takes the mean of its cells), 0 where a cell is
        known; `position_BT` the time of each latent frame, in latent frames, of any size and sign. A single clip may be
        given with several texts (a prompt and what guidance pushes away from) and comes back once for each, having
        gone together as far as the first of them is read.
        Raises `ShapeError` and `InputError` for what does not fit.
        """
        if isinstance(conditions, Conditions):
            check_conditions(self.config, conditions)
            # On a GPU every text keeps its full length, so that compiled blocks meet one shape.
            conditions = self._prepare(conditions, collapse=latent_BCTHW.device.type == "cpu")
        given = conditions.conditions
        self._check(latent_BCTHW, sigma_BTHW, position_BT, given)
        height, width = latent_BCTHW.shape[-2:]
        rows, columns = height // self.config.patch, width // self.config.patch
        x_BTSD = self._tokens(latent_BCTHW, position_BT, given)
        embedding_UD, row_BTM = self._embed_time(sigma_BTHW, given)
        modulation_U6D = linear32(self.time_projection[1], functional.silu(embedding_UD)).unflatten(-1, (6, -1))
        rotary = rotary_table(position_BT, rows, columns, self.config.head_width)
        for block, context in zip(self.blocks, conditions.contexts, strict=True):
            x_BTSD = block(x_BTSD, modulation_U6D, row_BTM, rotary, context)
        told_BCTHW = unpatchify(self.head(x_BTSD, embedding_UD, row_BTM), height, width, self.config.patch)
        if not self.config.spread:
            return told_BCTHW
        return add_linear_guess(told_BCTHW, latent_BCTHW, sigma_BTHW, self.config.spread)

    def _prepare(self, conditions: Conditions, *, collapse: bool) -> Prepared:
        config = self.config
        if collapse:
            dtype = self._compute_dtype(conditions.text_BLD)
            text = collapse_padding(conditions.text_BLD, config.text_length, dtype)
        else:
            missing = config.text_length - conditions.text_BLD.shape[1]
            text = Text(functional.pad(conditions.text_BLD, (0, 0, 0, missing)))
        text = text._replace(text_BLD=self.text_embedding(text.text_BLD.to(self.patch_embedding.weight.dtype)))
        image_BLD = None
        if self.img_emb is not None and conditions.image_BLD is not None:
            image_BLD = self.img_emb(conditions.image_BLD)
        contexts = []
        for block in self.blocks:
            assert isinstance(block, Block)
            contexts.append(block.cross_attn.context(text, image_BLD))
        return Prepared(conditions=conditions, contexts=tuple(contexts))

    def _compute_dtype(self, like: Tensor) -> torch.dtype:
        """What attention will be computed in."""
        if torch.is_autocast_enabled(like.device.type):
            return torch.get_autocast_dtype(like.device.type)
        return self.patch_embedding.weight.dtype

    def _tokens(self, latent_BCTHW: Tensor, position_BT: Tensor, conditions: Conditions) -> Tensor:
        """Tokens (B, T, S, D) in the type that the weights are stored in: what autocast computes in is too coarse to
        add up in.
        """
        if conditions.extra_BCTHW is not None:
            latent_BCTHW = torch.cat([latent_BCTHW, conditions.extra_BCTHW.to(latent_BCTHW.dtype)], dim=1)
        x_BTSD = self.patch_embedding(latent_BCTHW)
        if self.control_embedding is not None and conditions.control_BCTHW is not None:
            x_BTSD = x_BTSD + self.control_embedding(conditions.control_BCTHW)
        if self.place_embedding is not None:
            rows, columns = (side // self.config.patch for side in latent_BCTHW.shape[-2:])
            x_BTSD = self.place_embedding(x_BTSD, position_BT, rows, columns)
        return x_BTSD.to(self.patch_embedding.weight.dtype)

    def _embed_time(self, sigma_BTHW: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Different time embeddings (U, D), with what is known of frames added, and which of them each token has:
        (B, T, S), (B, T, 1) or (1, 1, 1).
        """
        batch, frames = sigma_BTHW.shape[:2]
        keys = [per_token(sigma_BTHW.float(), self.config.patch)]
        pose, mouth, face = conditions.pose_BT12, conditions.mouth_BTS, conditions.face_BTHW
        if pose is not None or mouth is not None:
            keys.append(torch.arange(batch * frames, device=sigma_BTHW.device).view(batch, frames, 1))
        if mouth is not None and face is not None:
            keys.append(per_token(face, self.config.patch))
        key_KBTS = torch.stack([key.to(keys[0]).expand_as(keys[0]) for key in keys])
        # Told before the blocks run, so that compiled blocks meet three shapes and no question about values.
        if bool((key_KBTS == key_KBTS[..., :1]).all()):
            key_KBTS = key_KBTS[..., :1]
            if bool((key_KBTS == key_KBTS[:, :1, :1]).all()):
                key_KBTS = key_KBTS[:, :1, :1]
        told_KU, row_N = torch.unique(key_KBTS.flatten(1), dim=1, return_inverse=True)
        features_UD = sinusoid(model_time(told_KU[0]), self.config.frequency_width)
        embedding_UD = linear32(self.time_embedding[2], functional.silu(linear32(self.time_embedding[0], features_UD)))
        if self.frame_cond is not None and len(keys) > 1:
            frame_U = told_KU[1].long()
            pose_UP, mouth_UQ = (None if told is None else told.flatten(0, 1)[frame_U] for told in (pose, mouth))
            embedding_UD = self.frame_cond(embedding_UD, pose_UP, mouth_UQ, told_KU[2] if len(keys) > 2 else None)
        return embedding_UD, row_N.view(key_KBTS.shape[1:])

    def _check(self, latent_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor, conditions: Conditions) -> None:
        config = self.config
        batch, channels, frames, height, width = latent_BCTHW.shape
        if channels != config.channels or height % config.patch or width % config.patch:
            raise ShapeError(
                f"Latents of shape {tuple(latent_BCTHW.shape)} do not fit: this transformer takes {config.channels} "
                f"channels and sides that are multiples of {config.patch}."
            )
        if sigma_BTHW.shape != (batch, frames, height, width) or position_BT.shape != (batch, frames):
            raise ShapeError(
                f"Noise levels of shape {tuple(sigma_BTHW.shape)} and positions of shape {tuple(position_BT.shape)} do "
                f"not belong to latents of shape {tuple(latent_BCTHW.shape)}: a level per cell, a position per frame."
            )
        if batch not in (1, conditions.text_BLD.shape[0]):
            raise ShapeError(
                f"{conditions.text_BLD.shape[0]} texts for {batch} clips: each has its own, or one clip has them all."
            )
        extra_BCTHW, wanted = conditions.extra_BCTHW, (batch, config.extra_channels, frames, height, width)
        if extra_BCTHW is not None and extra_BCTHW.shape != wanted:
            raise ShapeError(
                f"Channels of shape {tuple(extra_BCTHW.shape)} cannot lie beside these latents: {wanted} is wanted."
            )


def compile_blocks(transformer: Transformer) -> None:
    """Have torch compile every block when it first runs: worth its minute on a GPU, rarely on a CPU."""
    for block in transformer.blocks:
        block.compile()
