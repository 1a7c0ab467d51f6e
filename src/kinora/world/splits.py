"""The three splits of the world, by rule.

    train          no held-out combination, ordinary speeds, sizes and counts
    held_out       as train, but with at least one combination that training never shows
    out_of_range   no held-out combination, but movers 1.6 times as fast, or bodies 1.3 times as large,
                   or five to six of them

Every single value (each colour, each shape, ...) is common in training; only the pairs below are kept from it.
"""

from __future__ import annotations

from kinora.core.slots import COLOURS, SHAPES
from kinora.world.scene import Scene

__all__ = ["HELD_OUT_ACTIONS", "HELD_OUT_BODIES", "SPLITS", "held_out_combinations"]

SPLITS = ("train", "held_out", "out_of_range")

HELD_OUT_BODIES = frozenset(
    (colour, shape) for c, colour in enumerate(COLOURS) for s, shape in enumerate(SHAPES) if (c + 3 * s) % 8 == 7
)
"""Pairs (colour, shape): pink sphere, cyan cube, orange and black cylinder, purple cone. Five of 48, each shape at
least once."""

HELD_OUT_ACTIONS = frozenset({("slide", "grass"), ("bounce", "sand"), ("fly", "snow"), ("fall", "wood")})
"""Pairs (action, ground)."""


def held_out_combinations(scene: Scene) -> tuple[tuple[str, str], ...]:
    """The held-out pairs that a scene shows, in the order of its bodies; empty for a training scene."""
    found: dict[tuple[str, str], None] = {}
    for body in scene.bodies:
        for pair, kept in (
            ((body.colour, body.shape), HELD_OUT_BODIES),
            ((body.action, scene.place.ground), HELD_OUT_ACTIONS),
        ):
            if pair in kept:
                found[pair] = None
    return tuple(found)
