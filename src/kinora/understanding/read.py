"""From the reader's numbers to slots: which objects there are, and the likeliest value of each of their slots.

Axes: G fine cells along a side, V values of a slot, R readings of one clip, P objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.slots import BODY_SLOTS, FIGURE_SLOTS, SCENE_SLOTS, BodySlots, FigureSlots, SceneSlots

__all__ = ["BODY", "FIGURE", "Evidence", "find_objects", "slots_of"]

BODY, FIGURE = 0, 1
"""Kinds of objects, as indices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Log probabilities (V,) by slot: of the scene, and of every object found."""

    scene: dict[str, Tensor]
    bodies: list[dict[str, Tensor]]
    figures: list[dict[str, Tensor]]

    @classmethod
    def mean(
        cls, scene: dict[str, Tensor], kinds: list[int], body: dict[str, Tensor], figure: dict[str, Tensor]
    ) -> Self:
        """Average over readings: logits (R, V) of the scene, (R, P, V) of objects of `kinds`."""

        def one(answers: dict[str, Tensor], index: int) -> dict[str, Tensor]:
            return {name: logits[:, index].log_softmax(-1).mean(0).cpu() for name, logits in answers.items()}

        return cls(
            scene={name: logits.log_softmax(-1).mean(0).cpu() for name, logits in scene.items()},
            bodies=[one(body, index) for index, kind in enumerate(kinds) if kind == BODY],
            figures=[one(figure, index) for index, kind in enumerate(kinds) if kind == FIGURE],
        )


def find_objects(centre_2GG: Tensor, bodies_V: Tensor, figures_V: Tensor) -> list[tuple[int, int]]:
    """(kind, cell) of the objects: as many peaks of the centre logits as they and the counts' log probabilities
    together favour.
    """
    return [
        (kind, cell)
        for kind, count_V in ((BODY, bodies_V), (FIGURE, figures_V))
        for cell in _peaks(centre_2GG[kind], count_V)
    ]


def _peaks(centre_GG: Tensor, count_V: Tensor) -> list[int]:
    """Cells of the n highest peaks, n maximising log P(count = n) + log P(exactly these peaks are centres)."""
    highest_GG = functional.max_pool2d(centre_GG[None, None], 3, stride=1, padding=1)[0, 0]
    peak = centre_GG.masked_fill(centre_GG < highest_GG, -torch.inf).flatten()
    logit_N, cell_N = peak.topk(len(count_V) - 1)
    gain_N = (functional.logsigmoid(logit_N) - functional.logsigmoid(-logit_N)).clamp(min=-30.0)
    total_V = count_V + functional.pad(gain_N.cumsum(0), (1, 0))
    return [int(cell) for cell in cell_N[: int(total_V.argmax())]]


def slots_of(evidence: Evidence) -> SceneSlots:
    """The likeliest value of every slot."""
    return SceneSlots(
        bodies=tuple(BodySlots(**_likeliest(body, BODY_SLOTS)) for body in evidence.bodies),
        figures=tuple(FigureSlots(**_likeliest(figure, FIGURE_SLOTS)) for figure in evidence.figures),
        **_likeliest(evidence.scene, SCENE_SLOTS),
    )


def _likeliest(evidence: dict[str, Tensor], slots: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: slots[name][int(evidence[name].argmax())] for name in slots}
