"""What is laid over a sampled scene of world 2.0: weather, waves, hats, glasses, faces, and held-out pairs.

Nothing here moves anything but bodies on waves, so that a scene that plays out still does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kinora.core.slots import COLOURS, EXPRESSIONS, HATS, SKIES, WEATHERS
from kinora.world.casting import one_of
from kinora.world.mix import Mix
from kinora.world.scene import Figure, Place, Scene
from kinora.world.splits import (
    HELD_OUT_ANIMALS,
    HELD_OUT_BODIES,
    HELD_OUT_WEATHER,
    held_out_combinations,
)

__all__ = ["EXPRESSIVE", "dressed", "in_split", "with_held_out"]

Rng = np.random.Generator

SKY_WEIGHTS = (0.22, 0.15, 0.23, 0.40)
"""Day, sunset, night, overcast where there is weather: cloud comes with it."""
EXPRESSIVE = ("stand", "nod", "speak")
"""What a figure may do with another face than a neutral one."""
NEAR_FACE = 4.5
"""Metres from the camera within which a face can be read."""
FACES = (0.0, 0.34, 0.26, 0.40)


def dressed(rng: Rng, scene: Scene, mix: Mix) -> Scene:
    """The scene with weather, waves, and what its figures wear on their heads and show on their faces."""
    return replace(
        scene,
        place=_place(rng, scene.place, mix),
        figures=tuple(_figure(rng, figure, scene, mix) for figure in scene.figures),
    )


def in_split(scene: Scene) -> bool:
    """Whether a scene shows a held-out pair exactly if it should."""
    return bool(held_out_combinations(scene)) == (scene.split == "held_out")


def with_held_out(rng: Rng, scene: Scene) -> Scene:
    """The scene with a colour, or its weather, changed so that it shows a pair that training never does."""
    if scene.bodies:
        first = scene.bodies[0]
        colours = sorted(colour for colour, shape in HELD_OUT_BODIES if shape == first.shape)
        first = replace(first, colour=one_of(rng, tuple(colours)))
        others = tuple(body for body in scene.bodies[1:] if body.colour != first.colour)
        return replace(scene, bodies=(first, *others)) if len(others) + 1 == len(scene.bodies) else scene
    if scene.animals:
        first_animal = scene.animals[0]
        tints = sorted(colour for colour, action in HELD_OUT_ANIMALS if action == first_animal.action)
        return replace(scene, animals=(replace(first_animal, colour=one_of(rng, tuple(tints))), *scene.animals[1:]))
    pairs = sorted(HELD_OUT_WEATHER)
    weather, ground = pairs[int(rng.integers(len(pairs)))]
    return replace(scene, place=replace(scene.place, weather=weather, ground=ground, wind=float(rng.uniform(-1, 1))))


def _place(rng: Rng, place: Place, mix: Mix) -> Place:
    if rng.random() < mix.weather:
        weather = one_of(rng, WEATHERS[1:])
        place = replace(place, weather=weather, sky=one_of(rng, SKIES, SKY_WEIGHTS))
    if place.ground == "water" and rng.random() < mix.waves:
        place = replace(place, waves="waves")
    if place.weather != "clear" or place.waves != "calm":
        place = replace(place, wind=float(rng.uniform(-1.0, 1.0)))
    return place


def _figure(rng: Rng, figure: Figure, scene: Scene, mix: Mix) -> Figure:
    hat = one_of(rng, HATS[1:]) if rng.random() < mix.hats else "none"
    colours = tuple(colour for colour in COLOURS if colour not in ("black", figure.identity.hair))
    identity = replace(
        figure.identity, hat=hat, hat_colour=one_of(rng, colours), glasses=bool(rng.random() < mix.glasses)
    )
    expression = figure.expression
    near = abs(scene.camera.position[1] - figure.position[1]) < NEAR_FACE
    alone = len(scene.figures) == 1
    if figure.action in EXPRESSIVE and near and alone and rng.random() < mix.expressions:
        expression = one_of(rng, EXPRESSIONS, FACES)
    return replace(figure, identity=identity, expression=expression)
