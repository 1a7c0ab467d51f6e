"""Reading slots back from encoded text: a lesson for the text encoder before it meets the transformer.

Learned queries (the scene, each body and each figure in order of mention) attend to the encoded words and name every
slot's value. A Chinese and an English caption of one scene have the same answers, which pulls both languages to one
meaning. Axes: B batch, L text positions, Q queries, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.slots import (
    ANIMAL_SLOTS,
    BODY_SLOTS,
    FIGURE_SLOTS,
    SCENE_SLOTS,
    AnimalSlots,
    BodySlots,
    FigureSlots,
    SceneSlots,
)
from kinora.nn.attention import attend
from kinora.nn.norms import RMSNorm

__all__ = ["MOST_ANIMALS", "MOST_BODIES", "MOST_FIGURES", "SlotHead", "slot_targets"]

MOST_BODIES = 6
MOST_FIGURES = 3
MOST_ANIMALS = 1
NOT_STATED = 0
"""Class of a slot the text leaves open; value i of a slot is class i + 1."""
NOT_ASKED = -100
"""Target of the slots of a body that is not there (what cross_entropy passes over)."""


class SlotHead(nn.Module):
    """Classifies every slot of a `SceneSlots`, and how many bodies, figures and animals there are."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(1 + MOST_BODIES + MOST_FIGURES + MOST_ANIMALS, width) / width**0.5)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.o = nn.Linear(width, width)
        self.norm = RMSNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.scene = _classifiers(SCENE_SLOTS, width)
        self.body = _classifiers(BODY_SLOTS, width)
        self.figure = _classifiers(FIGURE_SLOTS, width)
        self.animal = _classifiers(ANIMAL_SLOTS, width)
        self.bodies = nn.Linear(width, MOST_BODIES + 1)
        self.figures = nn.Linear(width, MOST_FIGURES + 1)
        self.animals = nn.Linear(width, MOST_ANIMALS + 1)

    def forward(self, text_BLD: Tensor) -> dict[str, Tensor]:
        """Logits: (B, classes) for scene slots and counts, (B, bodies, figures or animals, classes) for theirs, by slot
        name.
        """
        mask_BL = text_BLD.abs().amax(dim=-1) > 0
        query_BQAK = self.q(self.queries).expand(len(text_BLD), -1, -1).unflatten(-1, (self.heads, -1))
        key_BLAK, value_BLAK = (part.unflatten(-1, (self.heads, -1)) for part in self.kv(text_BLD).chunk(2, dim=-1))
        x_BQD = self.queries + self.o(attend(query_BQAK, key_BLAK, value_BLAK, mask_BL))
        x_BQD = x_BQD + self.mix(self.norm(x_BQD))
        scene_B1D, body_BQD, figure_BQD, animal_BQD = x_BQD.split([1, MOST_BODIES, MOST_FIGURES, MOST_ANIMALS], dim=1)
        scene_BD = scene_B1D[:, 0]
        return {
            "bodies": self.bodies(scene_BD),
            "figures": self.figures(scene_BD),
            "animals": self.animals(scene_BD),
            **{name: layer(scene_BD) for name, layer in self.scene.items()},
            **{f"body.{name}": layer(body_BQD) for name, layer in self.body.items()},
            **{f"figure.{name}": layer(figure_BQD) for name, layer in self.figure.items()},
            **{f"animal.{name}": layer(animal_BQD) for name, layer in self.animal.items()},
        }

    def loss(self, text_BLD: Tensor, stated: Sequence[SceneSlots]) -> Tensor:
        """Mean cross-entropy over all slots, a scalar."""
        logits, targets = self(text_BLD), slot_targets(stated)
        losses = []
        for name, target in targets.items():
            target = target.to(text_BLD.device).flatten()
            asked = (target != NOT_ASKED).sum().clamp(min=1)
            summed = functional.cross_entropy(
                logits[name].flatten(0, -2), target, ignore_index=NOT_ASKED, reduction="sum"
            )
            losses.append(summed / asked)
        return torch.stack(losses).mean()

    @torch.no_grad()
    def read(self, text_BLD: Tensor) -> list[SceneSlots]:
        """The most likely slots of each text."""
        classes = {name: logits.argmax(dim=-1).tolist() for name, logits in self(text_BLD).items()}
        return [_scene(classes, i) for i in range(len(text_BLD))]


def slot_targets(stated: Sequence[SceneSlots]) -> dict[str, Tensor]:
    """Classes as `SlotHead.forward` names them: (B,) for the scene, (B, bodies), (B, figures) and (B, animals) for
    theirs.
    """
    targets: dict[str, Tensor] = {
        "bodies": torch.tensor([min(len(scene.bodies), MOST_BODIES) for scene in stated]),
        "figures": torch.tensor([min(len(scene.figures), MOST_FIGURES) for scene in stated]),
        "animals": torch.tensor([min(len(scene.animals), MOST_ANIMALS) for scene in stated]),
    }
    for name, values in SCENE_SLOTS.items():
        targets[name] = torch.tensor([_class(scene, name, values) for scene in stated])
    for name, values in BODY_SLOTS.items():
        targets[f"body.{name}"] = torch.tensor([_row(scene.bodies, name, values, MOST_BODIES) for scene in stated])
    for name, values in FIGURE_SLOTS.items():
        targets[f"figure.{name}"] = torch.tensor([_row(scene.figures, name, values, MOST_FIGURES) for scene in stated])
    for name, values in ANIMAL_SLOTS.items():
        targets[f"animal.{name}"] = torch.tensor([_row(scene.animals, name, values, MOST_ANIMALS) for scene in stated])
    return targets


def _classifiers(slots: Mapping[str, tuple[str, ...]], width: int) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(width, 1 + len(values)) for name, values in slots.items()})


def _class(owner: SceneSlots | BodySlots | FigureSlots | AnimalSlots, name: str, values: tuple[str, ...]) -> int:
    value = getattr(owner, name)
    return NOT_STATED if value is None else 1 + values.index(value)


def _row(
    owners: Sequence[BodySlots] | Sequence[FigureSlots] | Sequence[AnimalSlots],
    name: str,
    values: tuple[str, ...],
    most: int,
) -> list[int]:
    row = [_class(owner, name, values) for owner in owners[:most]]
    return row + [NOT_ASKED] * (most - len(row))


def _scene(classes: Mapping[str, Any], i: int) -> SceneSlots:
    """Text i's slots from the classes of the whole batch."""

    def owned(prefix: str, slots: Mapping[str, tuple[str, ...]], k: int) -> dict[str, Any]:
        return {name: _value(values, classes[f"{prefix}.{name}"][i][k]) for name, values in slots.items()}

    scene: dict[str, Any] = {name: _value(values, classes[name][i]) for name, values in SCENE_SLOTS.items()}
    return SceneSlots(
        bodies=tuple(BodySlots(**owned("body", BODY_SLOTS, k)) for k in range(classes["bodies"][i])),
        figures=tuple(FigureSlots(**owned("figure", FIGURE_SLOTS, k)) for k in range(classes["figures"][i])),
        animals=tuple(AnimalSlots(**owned("animal", ANIMAL_SLOTS, k)) for k in range(classes["animals"][i])),
        **scene,
    )


def _value(values: tuple[str, ...], index: int) -> str | None:
    return None if index == NOT_STATED else values[index - 1]
