"""Who and what is in a sampled scene, before anything has its place: the answers to the slots, drawn from a mix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kinora.core.slots import (
    BODY_ACTIONS,
    CAMERAS,
    COLOURS,
    FIGURE_ACTIONS,
    GROUNDS,
    MATERIALS,
    PICTURES,
    SHAPES,
    SIZES,
    SKIES,
    SPEEDS,
)
from kinora.world.mix import Mix
from kinora.world.splits import HELD_OUT_ACTIONS, HELD_OUT_BODIES

__all__ = ["DRY_GROUNDS", "BodyCast", "Cast", "FigureCast", "draw_cast", "one_of"]

Rng = np.random.Generator

DIRECTIONS_MOVING = ("left", "right", "toward", "away")
DIRECTION_WEIGHTS = (0.34, 0.34, 0.16, 0.16)
DRY_GROUNDS = tuple(ground for ground in GROUNDS if ground != "water")
DRY_ACTIONS = tuple(action for action in BODY_ACTIONS if action != "float")
PACED = ("roll", "slide", "float")


@dataclass(frozen=True, kw_only=True)
class BodyCast:
    """A body's answers, and how its numbers deviate when the scene is out of range."""

    colour: str
    shape: str
    size: str
    material: str
    action: str
    direction: str
    speed: str
    haste: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FigureCast:
    action: str
    direction: str


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A scene's answers. With `collide` the first body is to run into the second."""

    bodies: tuple[BodyCast, ...]
    figures: tuple[FigureCast, ...]
    ground: str
    sky: str
    camera: str
    camera_speed: str
    backdrop: str
    moving_picture: bool
    card: bool
    collide: bool


def one_of(rng: Rng, values: tuple[str, ...], weights: tuple[float, ...] | None = None) -> str:
    """One value, drawn evenly or by weights (which need not sum to one)."""
    if weights is None:
        return values[int(rng.integers(len(values)))]
    share = np.cumsum(weights) / np.sum(weights)
    return values[int(np.searchsorted(share, rng.random(), side="right").clip(0, len(values) - 1))]


def draw_cast(rng: Rng, mix: Mix, split: str) -> Cast:
    """A cast for one of the splits, by its rule."""
    excess = one_of(rng, ("faster", "larger", "more")) if split == "out_of_range" else ""
    figures, count = _counts(rng, mix, split, excess)
    wet = rng.random() < mix.water and excess != "more"
    ground = "water" if wet and count and not figures else one_of(rng, DRY_GROUNDS)
    bodies = tuple(_body(rng, mix, ground) for _ in range(count))
    bodies = _distinct_colours(rng, bodies)
    collide = ground != "water" and count > 1 and bool(rng.random() < mix.collision)
    moving = rng.random() < mix.camera
    cast = Cast(
        bodies=_for_collision(rng, bodies) if collide else bodies,
        figures=figures,
        ground=ground,
        sky=one_of(rng, SKIES),
        camera=one_of(rng, CAMERAS[1:]) if moving else "still",
        camera_speed=one_of(rng, SPEEDS),
        backdrop=one_of(rng, PICTURES[1:]) if rng.random() < mix.backdrop else "none",
        moving_picture=bool(rng.random() < mix.moving_picture),
        card=bool(rng.random() < mix.cards),
        collide=collide,
    )
    if split == "held_out":
        cast = _with_held_out(rng, cast)
    else:
        cast = replace(cast, bodies=tuple(_without_held_out(rng, body, ground) for body in cast.bodies))
    cast = _beyond(rng, cast, excess)
    # A striker that had to be kept from a held-out pair lies still and strikes nobody.
    return replace(cast, collide=cast.collide and cast.bodies[0].action in ("roll", "slide"))


def _counts(rng: Rng, mix: Mix, split: str, excess: str) -> tuple[tuple[FigureCast, ...], int]:
    """The figures and the number of bodies."""
    numbers = tuple(str(n + 1) for n in range(len(mix.bodies)))
    count = int(one_of(rng, numbers, mix.bodies))
    if excess == "more":
        return (), int(rng.integers(5, 7))
    if rng.random() >= mix.figures:
        return (), count
    figures = tuple(_figure(rng) for _ in range(2 if rng.random() < mix.second_figure else 1))
    least = 0 if split == "train" else 1
    beside = min(count, mix.most_beside)
    if len(figures) == 2:
        return figures, max(least, beside - 1)
    return figures, beside if least or rng.random() < mix.body_beside_figure else 0


def _figure(rng: Rng) -> FigureCast:
    action = one_of(rng, FIGURE_ACTIONS)
    return FigureCast(action=action, direction=one_of(rng, DIRECTIONS_MOVING, DIRECTION_WEIGHTS))


def _body(rng: Rng, mix: Mix, ground: str) -> BodyCast:
    action = "float" if ground == "water" else one_of(rng, DRY_ACTIONS, mix.actions)
    bobs = action == "float" and rng.random() < mix.still_floats
    moves = action in (*PACED, "fly") and not bobs
    return BodyCast(
        colour=one_of(rng, COLOURS),
        shape=_shape_for(rng, action),
        size=one_of(rng, SIZES),
        material=one_of(rng, MATERIALS),
        action=action,
        direction=one_of(rng, DIRECTIONS_MOVING, DIRECTION_WEIGHTS) if moves else "none",
        speed=one_of(rng, SPEEDS),
    )


def _shape_for(rng: Rng, action: str) -> str:
    """Only spheres roll, and only the others slide."""
    if action == "roll":
        return "sphere"
    return one_of(rng, SHAPES[1:] if action == "slide" else SHAPES)


def _distinct_colours(rng: Rng, bodies: tuple[BodyCast, ...]) -> tuple[BodyCast, ...]:
    """Bodies of one scene mostly differ in colour, so that words can tell them apart; now and then two are twins."""
    if len(bodies) < 2 or rng.random() < 0.06:
        return bodies
    if rng.random() < 0.05:
        return (bodies[0], bodies[0], *bodies[2:])
    order = rng.permutation(len(COLOURS))[: len(bodies)]
    return tuple(replace(body, colour=COLOURS[c]) for body, c in zip(bodies, order, strict=True))


def _for_collision(rng: Rng, bodies: tuple[BodyCast, ...]) -> tuple[BodyCast, ...]:
    action = one_of(rng, ("roll", "slide"), (0.65, 0.35))
    striker = replace(
        bodies[0],
        action=action,
        shape="sphere" if action == "roll" else one_of(rng, SHAPES[1:]),
        direction=one_of(rng, DIRECTIONS_MOVING, (0.42, 0.42, 0.08, 0.08)),
    )
    struck = replace(bodies[1], action="rest", direction="none")
    return (striker, struck, *bodies[2:])


def _without_held_out(rng: Rng, body: BodyCast, ground: str) -> BodyCast:
    while (body.colour, body.shape) in HELD_OUT_BODIES:
        body = replace(body, colour=one_of(rng, COLOURS))
    if (body.action, ground) in HELD_OUT_ACTIONS:
        # A slide keeps its solid and so turns into rest; a throw or a fall may be anything that lies still.
        body = replace(body, action="rest", direction="none")
    return body


def _with_held_out(rng: Rng, cast: Cast) -> Cast:
    """The cast with its first body changed into a held-out combination (never a collision, so that roles stay free)."""
    if cast.ground == "water" or rng.random() < 0.6:
        first = cast.bodies[0]
        pairs = sorted(pair for pair in HELD_OUT_BODIES if _allowed(first.action, pair[1]))
        colour, shape = pairs[int(rng.integers(len(pairs)))]
        return replace(cast, bodies=(replace(first, colour=colour, shape=shape), *cast.bodies[1:]))
    pairs = sorted(HELD_OUT_ACTIONS)
    action, ground = pairs[int(rng.integers(len(pairs)))]
    direction = one_of(rng, DIRECTIONS_MOVING, DIRECTION_WEIGHTS) if action in ("slide", "fly") else "none"
    first = replace(cast.bodies[0], action=action, direction=direction, shape=_shape_for(rng, action))
    return replace(cast, ground=ground, bodies=(first, *cast.bodies[1:]), collide=False)


def _allowed(action: str, shape: str) -> bool:
    return {"roll": shape == "sphere", "slide": shape != "sphere"}.get(action, True)


def _beyond(rng: Rng, cast: Cast, excess: str) -> Cast:
    """The cast with what puts it out of range."""
    if excess == "larger":
        return replace(cast, bodies=tuple(replace(body, scale=1.3) for body in cast.bodies))
    if excess == "faster":
        first = cast.bodies[0]
        if first.action not in ("roll", "slide") and cast.ground != "water":
            action = "roll" if first.shape == "sphere" else "slide"
            if (action, cast.ground) in HELD_OUT_ACTIONS:
                cast = replace(cast, ground="checker")
            first = replace(first, action=action)
        if first.direction == "none":
            first = replace(first, direction=one_of(rng, DIRECTIONS_MOVING[:2]))
        first = replace(first, speed="fast", haste=1.6)
        return replace(cast, bodies=(first, *cast.bodies[1:]))
    if excess == "more":
        # So many find room only when they are not large and most of them keep to their places.
        small = [replace(body, size=one_of(rng, SIZES[:2])) for body in cast.bodies]
        still = [
            body if body.action in ("bounce", "fall") else replace(body, action="rest", direction="none")
            for body in small[2:]
        ]
        return replace(cast, bodies=(*small[:2], *still))
    return cast
