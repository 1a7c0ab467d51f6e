"""Sentences about a scene, always true: first what to say is chosen slot by slot, then a grammar per language says it.

Every body is mentioned with its colour and shape and every figure with its clothes; the rest is said or left open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kinora.core.errors import InputError
from kinora.core.slots import BodySlots, FigureSlots, SceneSlots
from kinora.core.words import LANGUAGES
from kinora.world.captions_en import english
from kinora.world.captions_zh import chinese
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots

__all__ = ["LENGTHS", "Caption", "describe", "describe_slots"]

LENGTHS = ("any", "short", "long")
SHARES = {"short": (0.75, 0.12), "middle": (0.9, 0.45), "long": (1.0, 0.92)}
"""By length: the chance that an action is said, and the chance of each other slot."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A sentence or a few, and what they say: slots that are not None are stated, and true."""

    text: str
    language: str
    stated: SceneSlots


def describe(scene: Scene, *, language: str, seed: int, length: str = "any") -> Caption:
    """A caption of the scene; the same for the same arguments. Raises `InputError` for an unknown language or
    length.
    """
    return describe_slots(scene_slots(scene), language=language, seed=seed, length=length)


def describe_slots(slots: SceneSlots, *, language: str, seed: int, length: str = "any") -> Caption:
    """As `describe`, from slots: for many captions of one scene without simulating it again."""
    if language not in LANGUAGES:
        raise InputError(f"There are no captions in {language!r}; choose one of {', '.join(LANGUAGES)}.")
    if length not in LENGTHS:
        raise InputError(f"There is no caption length {length!r}; choose one of {', '.join(LENGTHS)}.")
    rng = np.random.default_rng([seed, LANGUAGES.index(language), LENGTHS.index(length)])
    if length == "any":
        length = str(rng.choice(("short", "middle", "long")))
    stated = _chosen(rng, slots, length)
    say = english if language == "en" else chinese
    return Caption(text=say(rng, stated, slots), language=language, stated=stated)


def _chosen(rng: np.random.Generator, slots: SceneSlots, length: str) -> SceneSlots:
    """The slots that this caption will state."""
    acts, other = SHARES[length]

    def told(value: str | None, chance: float) -> str | None:
        drawn = rng.random() < chance
        return value if drawn and value != "none" else None

    bodies: list[BodySlots] = []
    for index, body in enumerate(slots.bodies):
        if body in slots.bodies[:index]:
            # Twins are told alike, so that they can be told at once.
            bodies.append(bodies[slots.bodies.index(body)])
            continue
        action = told(body.action, 0.7 * acts if body.action == "rest" else acts)
        bodies.append(
            replace(
                body,
                size=told(body.size, other * (0.6 if body.size == "medium" else 1.0)),
                material=told(body.material, other),
                action=action,
                direction=told(body.direction, min(1.0, 0.3 + other)) if action else None,
                speed=told(body.speed, other) if action else None,
            )
        )
    figures: list[FigureSlots] = []
    for figure in slots.figures:
        action = told(figure.action, acts)
        direction = told(figure.direction, min(1.0, 0.3 + other)) if action else None
        figures.append(replace(figure, hair=told(figure.hair, other), action=action, direction=direction))
    camera = told(slots.camera, 0.5 * other if slots.camera == "still" else min(1.0, 0.4 + other))
    return SceneSlots(
        bodies=tuple(bodies),
        figures=tuple(figures),
        ground=told(slots.ground, min(1.0, 0.25 + other)),
        sky=told(slots.sky, other),
        camera=camera,
        camera_speed=told(slots.camera_speed, other) if camera else None,
        backdrop=told(slots.backdrop, min(1.0, 0.25 + other)),
        event=told(slots.event, min(1.0, 0.4 + other)),
    )
