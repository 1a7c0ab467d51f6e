"""From the reader's numbers to slots: which objects there are, and the likeliest value of each of their slots.

Axes: O kinds of objects, G fine cells along a side, V values of a slot, R readings of one clip, P objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.slots import AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.understanding.config import ReaderConfig

__all__ = ["ANIMAL", "BODY", "FIGURE", "Evidence", "find_objects", "slots_of"]

BODY, FIGURE, ANIMAL = 0, 1, 2
"""Kinds of objects, as indices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Log probabilities (V,) by slot: of the scene, and of every object found."""

    scene: dict[str, Tensor]
    bodies: list[dict[str, Tensor]]
    figures: list[dict[str, Tensor]]
    animals: list[dict[str, Tensor]]

    @classmethod
    def mean(cls, scene: dict[str, Tensor], kinds: list[int], answers: Mapping[str, dict[str, Tensor]]) -> Self:
        """Average over readings: logits (R, V) of the scene, (R, P, V) by kind of objects that are of `kinds`."""

        def of(kind: int, name: str) -> list[dict[str, Tensor]]:
            return [
                {slot: logits[:, index].log_softmax(-1).mean(0).cpu() for slot, logits in answers[name].items()}
                for index, found in enumerate(kinds)
                if found == kind
            ]

        return cls(
            scene={name: logits.log_softmax(-1).mean(0).cpu() for name, logits in scene.items()},
            bodies=of(BODY, "body"),
            figures=of(FIGURE, "figure"),
            animals=of(ANIMAL, "animal"),
        )


def find_objects(centre_OGG: Tensor, *counts_V: Tensor) -> list[tuple[int, int]]:
    """(kind, cell) of the objects: of each kind as many peaks of the centre logits as they and the count's log
    probabilities together favour.
    """
    return [(kind, cell) for kind, count_V in enumerate(counts_V) for cell in _peaks(centre_OGG[kind], count_V)]


def _peaks(centre_GG: Tensor, count_V: Tensor) -> list[int]:
    """Cells of the n highest peaks, n maximising log P(count = n) + log P(exactly these peaks are centres)."""
    highest_GG = functional.max_pool2d(centre_GG[None, None], 3, stride=1, padding=1)[0, 0]
    peak = centre_GG.masked_fill(centre_GG < highest_GG, -torch.inf).flatten()
    logit_N, cell_N = peak.topk(len(count_V) - 1)
    gain_N = (functional.logsigmoid(logit_N) - functional.logsigmoid(-logit_N)).clamp(min=-30.0)
    total_V = count_V + functional.pad(gain_N.cumsum(0), (1, 0))
    return [int(cell) for cell in cell_N[: int(total_V.argmax())]]


def slots_of(evidence: Evidence, config: ReaderConfig) -> SceneSlots:
    """The likeliest value of every slot that a reader of this configuration is asked for; None for the others."""
    asked = {kind.name: kind.slots for kind in config.kinds}
    return SceneSlots(
        bodies=tuple(BodySlots(**_likeliest(body, asked["body"])) for body in evidence.bodies),
        figures=tuple(FigureSlots(**_likeliest(figure, asked["figure"])) for figure in evidence.figures),
        animals=tuple(AnimalSlots(**_likeliest(animal, asked["animal"])) for animal in evidence.animals),
        **_likeliest(evidence.scene, config.scene_slots),
    )


def _likeliest(evidence: dict[str, Tensor], slots: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: values[int(evidence[name].argmax())] for name, values in slots.items()}
