"""Text alone: the vocabulary, and the text encoder's lesson before it meets the transformer.

Axes: B batch, L text positions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinora.core.slots import AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.language.encoder import TextEncoder, token_ids
from kinora.language.slots_head import SlotHead
from kinora.language.tokenizer import Tokenizer
from kinora.training.batches import step_rng
from kinora.training.files import write_json
from kinora.training.library import CAPTIONS
from kinora.training.plan import Stage
from kinora.training.scenes import mix_named
from kinora.world.captions import describe_slots
from kinora.world.sampler import sample_scene
from kinora.world.slots_of import scene_slots

__all__ = ["CaptionPool", "TextJob", "TextLesson", "reading_accuracy", "sample_captions"]


@dataclass(frozen=True, kw_only=True)
class CaptionPool:
    """Captions of many scenes, with what each of them states."""

    texts: tuple[str, ...]
    stated: tuple[SceneSlots, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def write(self, path: Path) -> None:
        """Keep it: sampling the scenes takes longer than training on them for a while."""
        write_json(path, [[text, asdict(slots)] for text, slots in zip(self.texts, self.stated, strict=True)])

    @classmethod
    def read(cls, path: Path) -> CaptionPool:
        """The inverse of `write`."""
        entries = json.loads(path.read_text(encoding="utf-8"))
        return cls(texts=tuple(text for text, _ in entries), stated=tuple(_slots(values) for _, values in entries))


def sample_captions(seeds: Iterable[int], *, split: str = "train", mix: str = "training") -> CaptionPool:
    """Captions of the scenes of some seeds, one for every entry of `CAPTIONS`; `mix` by its name."""
    texts, stated = [], []
    for seed in seeds:
        slots = scene_slots(sample_scene(seed, split=split, mix=mix_named(mix)))
        for n, (language, length) in enumerate(CAPTIONS):
            caption = describe_slots(slots, language=language, seed=len(CAPTIONS) * seed + n, length=length)
            texts.append(caption.text)
            stated.append(caption.stated)
    return CaptionPool(texts=tuple(texts), stated=tuple(stated))


class TextLesson(nn.Module):
    """A text encoder with the head that asks it questions."""

    def __init__(self, text: TextEncoder) -> None:
        super().__init__()
        self.text = text
        self.head = SlotHead(text.config.width)


class TextJob:
    """Feeds the text encoder's lesson; see `kinora.training.run.Job`."""

    name = "text"

    def __init__(self, model: TextLesson, pool: CaptionPool, tokenizer: Tokenizer, *, size: int, device: str) -> None:
        self.model = model.to(device)
        self.stages = (Stage(name="slots", share=1.0, size=size),)
        self._pool = pool
        self._ids_NL = token_ids(tokenizer, pool.texts, model.text.config.length)
        self._size = size
        self._device = device

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """Cross-entropy of every slot over one batch of captions."""
        chosen_B = step_rng(seed, step, 0).integers(0, len(self._pool), size=self._size)
        ids_BL = self._ids_NL[torch.from_numpy(chosen_B)]
        longest = int((ids_BL != 0).sum(dim=1).max())
        text_BLD = self.model.text(ids_BL[:, :longest].to(self._device))
        loss: Tensor = self.model.head.loss(text_BLD, [self._pool.stated[i] for i in chosen_B])
        return loss

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""


@torch.no_grad()
def reading_accuracy(model: TextLesson, pool: CaptionPool, tokenizer: Tokenizer, device: str) -> float:
    """Share of captions whose slots are all read back right."""
    right = 0
    for start in range(0, len(pool), 64):
        ids_BL = token_ids(tokenizer, pool.texts[start : start + 64], model.text.config.length, device)
        read = model.head.read(model.text(ids_BL))
        right += sum(a == b for a, b in zip(read, pool.stated[start : start + 64], strict=True))
    return right / len(pool)


def _slots(values: dict[str, Any]) -> SceneSlots:
    bodies = tuple(BodySlots(**body) for body in values.pop("bodies"))
    figures = tuple(FigureSlots(**figure) for figure in values.pop("figures"))
    animals = tuple(AnimalSlots(**animal) for animal in values.pop("animals", ()))
    return SceneSlots(bodies=bodies, figures=figures, animals=animals, **values)
