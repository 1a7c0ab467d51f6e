"""What one training step sees, decided by (seed, step) alone.

Axes: B batch, T latent frames in this batch, K latent frames kept in the library, C channels, h w latent grid, L text,
S mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.language.tokenizer import Tokenizer
from kinora.training.latents import LatentSet
from kinora.training.library import CAPTIONS, Library

__all__ = ["Batch", "ClipBatches", "face_mask", "step_rng", "token_table"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Clean latents of some clips and everything true of them, on the training device."""

    clean_BCTHW: Tensor
    position_BT: Tensor
    """Time of each latent frame, in latent frames."""
    ids_BL: Tensor
    """Token numbers of one caption per clip, 0 past its end."""
    pose_BT12: Tensor
    mouth_BTS: Tensor
    face_BTHW: Tensor


def step_rng(seed: int, step: int, purpose: int) -> np.random.Generator:
    """The random numbers of one step for one purpose: the same whoever asks, and however often the run was cut off."""
    return np.random.default_rng([seed, step, purpose])


def token_table(captions: Sequence[Sequence[str]], tokenizer: Tokenizer, length: int) -> npt.NDArray[np.int16]:
    """Token numbers (clips, captions, length) of all captions, cut or zero-filled to `length`."""
    table = np.zeros((len(captions), len(CAPTIONS), length), dtype=np.int16)
    for row, texts in zip(table, captions, strict=True):
        row[:] = tokenizer.batch(texts, length)
    return table


def face_mask(face_BT3: Tensor, height: int, width: int) -> Tensor:
    """Soft discs (B, T, height, width) in [0, 1]: how much of each cell a face covers. Radius 0 gives nothing.

    `face_BT3` is (x, y, radius) in shares of width, height and the shorter side.
    """
    shorter = float(min(height, width))
    y_H = torch.arange(height, device=face_BT3.device) + 0.5
    x_W = torch.arange(width, device=face_BT3.device) + 0.5
    centre_x, centre_y, radius = (face_BT3[..., n, None, None] for n in range(3))
    distance_BTHW = torch.hypot(x_W - centre_x * width, y_H[:, None] - centre_y * height)
    mask_BTHW: Tensor = (radius * shorter - distance_BTHW + 0.5).clamp(0.0, 1.0) * (radius > 0)
    return mask_BTHW


class ClipBatches:
    """Batches from one library under one encoder and one vocabulary."""

    def __init__(
        self, library: Library, latents: LatentSet, tokenizer: Tokenizer, *, text_length: int, device: str
    ) -> None:
        if len(library) == 0:
            raise InputError(f"{library.folder} holds no whole shard yet; render it first.")
        self._latents = latents
        self._library = library
        self._tokens = token_table(library.captions(), tokenizer, text_length)
        self._device = device
        if device != "cpu":
            latents.load(device)

    @property
    def kept(self) -> int:
        """Latent frames there are of every clip."""
        return int(self._latents.shape[0])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(K, C, h, w) of one clip."""
        return self._latents.shape

    def batch(self, seed: int, step: int, *, size: int, latent_frames: int) -> Batch:
        """The batch of one step: `size` random clips, `latent_frames` of each one's kept latent frames (0 always)."""
        rng = step_rng(seed, step, 0)
        clips_B = rng.integers(0, len(self._library), size=size)
        frames_BT = np.stack([self._choose(rng, latent_frames) for _ in range(size)])
        captions_B = rng.integers(0, len(CAPTIONS), size=size)
        rows = clips_B[:, None]
        face_BT3 = self._tensor(self._library.face_NT3[rows, frames_BT])
        height, width = self._latents.shape[-2:]
        return Batch(
            clean_BCTHW=self._latents.take(clips_B, frames_BT, self._device),
            position_BT=self._tensor(self._library.positions_NT[rows, frames_BT].astype(np.float32)),
            ids_BL=self._tensor(self._tokens[clips_B, captions_B].astype(np.int64)),
            pose_BT12=self._tensor(self._library.pose_NT12[rows, frames_BT]),
            mouth_BTS=self._tensor(self._library.mouth_NTS[rows, frames_BT]),
            face_BTHW=face_mask(face_BT3, height, width),
        )

    def _choose(self, rng: np.random.Generator, latent_frames: int) -> npt.NDArray[np.int64]:
        if latent_frames >= self.kept:
            return np.arange(self.kept)
        rest = rng.choice(np.arange(1, self.kept), size=latent_frames - 1, replace=False)
        return np.sort(np.append(rest, 0)).astype(np.int64)

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device, non_blocking=True)
