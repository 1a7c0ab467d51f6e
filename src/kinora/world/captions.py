"""Sentences about a scene, always true: first what to say is chosen slot by slot, then a grammar per language says it.

Every body is mentioned with its colour and shape, every figure with its clothes and every animal with its colour; the
rest is said or left open, but for values that go without saying (`kinora.core.slots.UNSPOKEN`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kinora.core.errors import InputError
from kinora.core.slots import CONTACTS, UNSPOKEN, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.core.words import LANGUAGES
from kinora.world.captions_en import english
from kinora.world.captions_zh import chinese
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots

__all__ = ["LENGTHS", "Caption", "describe", "describe_slots"]

Rng = np.random.Generator

LENGTHS = ("any", "short", "long")
SHARES = {"short": (0.75, 0.12), "middle": (0.9, 0.45), "long": (1.0, 0.92)}
"""By length: the chance that an action is said, and the chance of each other slot."""
WIDE = 0x51DE
"""Slots of world 2.0 have random numbers of their own, so that scenes of world 1.0 read as they always did."""


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
    draw = [seed, LANGUAGES.index(language), LENGTHS.index(length)]
    rng, wide = np.random.default_rng(draw), np.random.default_rng([*draw, WIDE])
    if length == "any":
        length = str(rng.choice(("short", "middle", "long")))
    stated = _widened(wide, _chosen(rng, slots, length), slots, length)
    say = english if language == "en" else chinese
    return Caption(text=say(rng, stated, slots), language=language, stated=stated)


def _told(rng: Rng, value: str | None, chance: float) -> str | None:
    drawn = rng.random() < chance
    return value if drawn and value not in UNSPOKEN else None


def _chosen(rng: Rng, slots: SceneSlots, length: str) -> SceneSlots:
    """What this caption will state of the slots of world 1.0."""
    acts, other = SHARES[length]
    bodies: list[BodySlots] = []
    for index, body in enumerate(slots.bodies):
        # Twins are told alike, so that they can be told at once.
        twin = body in slots.bodies[:index]
        bodies.append(bodies[slots.bodies.index(body)] if twin else _body(rng, body, acts, other))
    figures: list[FigureSlots] = []
    for figure in slots.figures:
        action = _told(rng, figure.action, acts)
        direction = _told(rng, figure.direction, min(1.0, 0.3 + other)) if action else None
        hair = _told(rng, figure.hair, other)
        figures.append(FigureSlots(clothes=figure.clothes, hair=hair, action=action, direction=direction))
    camera = _told(rng, slots.camera, 0.5 * other if slots.camera == "still" else min(1.0, 0.4 + other))
    return SceneSlots(
        bodies=tuple(bodies),
        figures=tuple(figures),
        ground=_told(rng, slots.ground, min(1.0, 0.25 + other)),
        sky=_told(rng, slots.sky, other),
        camera=camera,
        camera_speed=_told(rng, slots.camera_speed, other) if camera else None,
        backdrop=_told(rng, slots.backdrop, min(1.0, 0.25 + other)),
        event=_told(rng, slots.event, min(1.0, 0.4 + other)),
    )


def _body(rng: Rng, body: BodySlots, acts: float, other: float) -> BodySlots:
    action = _told(rng, body.action, 0.7 * acts if body.action == "rest" else acts)
    return replace(
        body,
        size=_told(rng, body.size, other * (0.6 if body.size == "medium" else 1.0)),
        material=_told(rng, body.material, other),
        action=action,
        direction=_told(rng, body.direction, min(1.0, 0.3 + other)) if action else None,
        speed=_told(rng, body.speed, other) if action else None,
    )


def _widened(rng: Rng, stated: SceneSlots, slots: SceneSlots, length: str) -> SceneSlots:
    """The same with what is stated of the slots of world 2.0."""
    acts, other = SHARES[length]
    figures = tuple(
        replace(
            told,
            hat=_told(rng, figure.hat, min(1.0, 0.1 + other)),
            glasses=_told(rng, figure.glasses, min(1.0, 0.1 + other)),
            expression=_told(rng, figure.expression, min(1.0, 0.4 + other)),
        )
        for told, figure in zip(stated.figures, slots.figures, strict=True)
    )
    touched = any(figure.action in CONTACTS for figure in figures)
    animals = tuple(_animal(rng, animal, 0.0 if touched else acts, other) for animal in slots.animals)
    alone = not (stated.bodies or figures or animals)
    return replace(
        stated,
        figures=figures,
        animals=animals,
        weather=_told(rng, slots.weather, min(1.0, 0.4 + other)),
        waves=_told(rng, slots.waves, min(1.0, 0.3 + other)) if stated.ground else None,
        rope=_told(rng, slots.rope, 1.0 if alone else min(1.0, 0.4 + other)),
        shot=_told(rng, slots.shot, min(1.0, 0.3 + other)),
    )


def _animal(rng: Rng, animal: AnimalSlots, acts: float, other: float) -> AnimalSlots:
    action = _told(rng, animal.action, acts)
    direction = _told(rng, animal.direction, min(1.0, 0.3 + other)) if action else None
    return replace(animal, action=action, direction=direction)
