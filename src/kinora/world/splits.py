"""The three splits of the world, by rule.

    train          no held-out combination, ordinary speeds, sizes and counts
    held_out       as train, but with at least one combination that training never shows
    out_of_range   no held-out combination, but movers 1.6 times as fast, or bodies 1.3 times as large,
                   or five to six of them

Every single value (each colour, each shape, ...) is common in training; only the pairs below are kept from it. The
pairs of weather, hats and animals are of world 2.0; the mixes of world 1.0 never come near them.
"""

from __future__ import annotations

from kinora.core.slots import ANIMAL_ACTIONS, COLOURS, HATS, SHAPES
from kinora.world.scene import Scene

__all__ = [
    "HELD_OUT_ACTIONS", "HELD_OUT_ANIMALS", "HELD_OUT_BODIES", "HELD_OUT_HATS", "HELD_OUT_WEATHER", "SPLITS",
    "held_out_combinations",
]  # fmt: skip

SPLITS = ("train", "held_out", "out_of_range")

HELD_OUT_BODIES = frozenset(
    (colour, shape) for c, colour in enumerate(COLOURS) for s, shape in enumerate(SHAPES) if (c + 3 * s) % 8 == 7
)
"""Pairs (colour, shape): pink sphere, cyan cube, orange and black cylinder, purple cone. Five of 48, each shape at
least once."""

HELD_OUT_ACTIONS = frozenset({("slide", "grass"), ("bounce", "sand"), ("fly", "snow"), ("fall", "wood")})
"""Pairs (action, ground)."""

HELD_OUT_WEATHER = frozenset({("rain", "sand"), ("snow", "wood"), ("fog", "snow")})
"""Pairs (weather, ground)."""

HELD_OUT_HATS = frozenset(
    (hat, colour) for h, hat in enumerate(HATS[1:]) for c, colour in enumerate(COLOURS) if (c + 4 * h) % 12 == 5
)
"""Pairs (hat, colour of the clothes): cap and blue, top hat and orange, party hat and black."""

HELD_OUT_ANIMALS = frozenset(
    (colour, action)
    for c, colour in enumerate(COLOURS)
    for a, action in enumerate(ANIMAL_ACTIONS)
    if (c + 4 * a) % 12 == 8
)
"""Pairs (colour of the animal, action): white walking, cyan sitting, red wagging its tail."""


def held_out_combinations(scene: Scene) -> tuple[tuple[str, str], ...]:
    """The held-out pairs that a scene shows, bodies first and in their order; empty for a training scene."""
    ground = scene.place.ground
    pairs = [
        *((pair, kept) for body in scene.bodies for pair, kept in (
            ((body.colour, body.shape), HELD_OUT_BODIES), ((body.action, ground), HELD_OUT_ACTIONS)
        )),
        ((scene.place.weather, ground), HELD_OUT_WEATHER),
        *(((figure.identity.hat, figure.identity.clothes), HELD_OUT_HATS) for figure in scene.figures),
        *(((animal.colour, animal.action), HELD_OUT_ANIMALS) for animal in scene.animals),
    ]  # fmt: skip
    return tuple(dict.fromkeys(pair for pair, kept in pairs if pair in kept))
