"""What one training step sees, decided by (seed, step) alone.

Axes: B batch, T latent frames in this batch, K latent frames kept in the library, C channels, h w latent grid, L text,
S mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.control.frames import face_mask
from kinora.control.references import REFERENCE_POSITIONS
from kinora.core.errors import InputError
from kinora.language.tokenizer import PAD, Tokenizer
from kinora.training.blockings import BlockingSet
from kinora.training.latents import LatentSet
from kinora.training.library import CAPTIONS, Library, drawn_by_size
from kinora.training.maps import MapSet, MapTargets
from kinora.training.portrait_library import Portraits

__all__ = ["Batch", "Batches", "ClipBatches", "ManyBatches", "step_rng", "token_table"]

FIRST_PLACE = 0.7
"""Share of portraits that stand at the first place for references: most films have one."""


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
    reference_BCRHW: Tensor | None = None
    """Portraits that stand beside each clip, known, R of them; None in most steps."""
    reference_position_BR: Tensor | None = None
    control_BCTHW: Tensor | None = None
    """What stands where (`kinora.control.blocking`), where the model is told."""
    maps: MapTargets | None = None
    """Exact maps for auxiliary heads, where the library has any."""


def step_rng(seed: int, step: int, purpose: int) -> np.random.Generator:
    """The random numbers of one step for one purpose: the same whoever asks, and however often the run was cut off."""
    return np.random.default_rng([seed, step, purpose])


def token_table(captions: Sequence[Sequence[str]], tokenizer: Tokenizer, length: int) -> npt.NDArray[np.int16]:
    """Token numbers (clips, captions, length) of all captions, cut or zero-filled to `length`."""
    table = np.zeros((len(captions), len(CAPTIONS), length), dtype=np.int16)
    for row, texts in zip(table, captions, strict=True):
        row[:] = tokenizer.batch(texts, length)
    return table


class Batches(Protocol):
    """Where a stage's steps come from."""

    @property
    def kept(self) -> int:
        """Latent frames there are of every clip."""
        ...

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(K, C, h, w) of one clip."""
        ...

    @property
    def has_maps(self) -> bool:
        """Whether batches have truth maps, some of them at least."""
        ...

    @property
    def has_portraits(self) -> bool:
        """Whether a step may ask for references."""
        ...

    def spread(self) -> tuple[float, ...]:
        """Standard deviation of each latent channel."""
        ...

    def batch(self, seed: int, step: int, *, size: int, latent_frames: int, references: bool = False) -> Batch:
        """The batch of one step."""
        ...


class ClipBatches:
    """Batches from one library under one encoder and one vocabulary."""

    def __init__(
        self,
        library: Library,
        latents: LatentSet,
        tokenizer: Tokenizer,
        *,
        text_length: int,
        device: str,
        portraits: Portraits | None = None,
        maps: MapSet | None = None,
        blockings: BlockingSet | None = None,
    ) -> None:
        if len(library) == 0:
            raise InputError(f"{library.folder} holds no whole shard yet; render it first.")
        self._latents = latents
        self._library = library
        self._tokens = token_table(library.captions(), tokenizer, text_length)
        self._device = device
        self._portraits = portraits
        self._maps = maps
        self._blockings = blockings
        if portraits is not None:
            self._portrait_tokens = token_table(portraits.captions, tokenizer, text_length)
            self._portrait_PChw = torch.from_numpy(portraits.latent_PChw).to(device)
        if device != "cpu":
            latents.load(device)

    def __len__(self) -> int:
        return len(self._library)

    @property
    def kept(self) -> int:
        """Latent frames there are of every clip."""
        return int(self._latents.shape[0])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(K, C, h, w) of one clip."""
        return self._latents.shape

    @property
    def has_maps(self) -> bool:
        """Whether batches have truth maps."""
        return self._maps is not None

    @property
    def has_portraits(self) -> bool:
        """Whether a step may ask for references."""
        return self._portraits is not None

    def spread(self) -> tuple[float, ...]:
        """Standard deviation of each latent channel over some clips spread over the library."""
        return self._latents.spread()

    def batch(self, seed: int, step: int, *, size: int, latent_frames: int, references: bool = False) -> Batch:
        """The batch of one step: `size` random clips, `latent_frames` of each one's kept latent frames (0 always).

        With `references`, only clips that have a portrait, each with it and with a caption that leaves out what it
        shows.
        """
        rng = step_rng(seed, step, 0)
        pool = len(self._library) if not references or self._portraits is None else len(self._portraits)
        drawn_B = rng.integers(0, pool, size=size)
        frames_BT = np.stack([self._choose(rng, latent_frames) for _ in range(size)])
        captions_B = rng.integers(0, len(CAPTIONS), size=size)
        if not references:
            return self._batch(drawn_B, frames_BT, self._tokens[drawn_B, captions_B], rng)
        if self._portraits is None:
            raise InputError(f"{self._library.folder} has no portraits; make them with `kinora train library`.")
        batch = self._batch(
            self._portraits.clips_P[drawn_B], frames_BT, self._portrait_tokens[drawn_B, captions_B], rng, faceless=True
        )
        portrait_BChw = self._portrait_PChw[torch.from_numpy(drawn_B).to(self._portrait_PChw.device)]
        return replace(
            batch,
            reference_BCRHW=portrait_BChw[:, :, None].float(),
            reference_position_BR=self._tensor(_reference_places(rng, size)),
        )

    def _batch(
        self,
        clips_B: npt.NDArray[np.int64],
        frames_BT: npt.NDArray[np.int64],
        tokens_BL: npt.NDArray[np.int16],
        rng: np.random.Generator,
        *,
        faceless: bool = False,
    ) -> Batch:
        rows = clips_B[:, None]
        face_BT3 = self._tensor(self._library.face_NT3[rows, frames_BT])
        height, width = self._latents.shape[-2:]
        return Batch(
            clean_BCTHW=self._latents.take(clips_B, frames_BT, self._device),
            position_BT=self._tensor(self._library.positions_NT[rows, frames_BT].astype(np.float32)),
            ids_BL=self._tensor(self._shortened(tokens_BL).astype(np.int64)),
            pose_BT12=self._tensor(self._library.pose_NT12[rows, frames_BT]),
            mouth_BTS=self._tensor(self._library.mouth_NTS[rows, frames_BT]),
            face_BTHW=face_mask(face_BT3, height, width),
            control_BCTHW=None
            if self._blockings is None
            else self._blockings.take(clips_B, frames_BT, (height, width), rng, self._device, faceless=faceless),
            maps=None if self._maps is None else self._maps.take(clips_B, frames_BT),
        )

    def _shortened(self, tokens_BL: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Without the columns that no caption reaches, on CPU; the compiled kernels of a GPU want one shape."""
        if self._device != "cpu":
            return tokens_BL
        return tokens_BL[:, : max(1, int((tokens_BL != PAD).sum(axis=1).max()))]

    def _choose(self, rng: np.random.Generator, latent_frames: int) -> npt.NDArray[np.int64]:
        if latent_frames >= self.kept:
            return np.arange(self.kept)
        rest = rng.choice(np.arange(1, self.kept), size=latent_frames - 1, replace=False)
        return np.sort(np.append(rest, 0)).astype(np.int64)

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device, non_blocking=True)


class ManyBatches:
    """Batches from several libraries of one shape: each step shows one of them, the larger ones more often."""

    def __init__(self, parts: Sequence[ClipBatches]) -> None:
        if len({part.latent_shape for part in parts}) != 1:
            shapes = ", ".join(str(part.latent_shape) for part in parts)
            raise InputError(f"Libraries that are shown together keep clips of one shape; these keep {shapes}.")
        self._parts = tuple(parts)

    @property
    def kept(self) -> int:
        return self._parts[0].kept

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self._parts[0].latent_shape

    @property
    def has_maps(self) -> bool:
        return any(part.has_maps for part in self._parts)

    @property
    def has_portraits(self) -> bool:
        return any(part.has_portraits for part in self._parts)

    def spread(self) -> tuple[float, ...]:
        """That of the largest library."""
        return max(self._parts, key=len).spread()

    def batch(self, seed: int, step: int, *, size: int, latent_frames: int, references: bool = False) -> Batch:
        """The batch of one step, from one library; with `references` from one that has portraits."""
        parts = [part for part in self._parts if part.has_portraits or not references]
        part = drawn_by_size(parts, step_rng(seed, step, 3))
        return part.batch(seed, step, size=size, latent_frames=latent_frames, references=references)


def _reference_places(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    """Where in time each clip's portrait stands (B, 1): mostly the first place, now and then one of the others."""
    places = np.array(REFERENCE_POSITIONS, dtype=np.float32)
    other_B = rng.integers(1, len(places), size=size)
    return places[np.where(rng.random(size) < FIRST_PLACE, 0, other_B)][:, None]
