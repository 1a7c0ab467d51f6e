"""Portraits: what teaches the transformer to follow a reference.

A clip with figures gets a picture of one of them, standing near and frontal on another ground under another sky, and
captions that leave out how this figure looks: its hair and clothes can only be learnt from the picture. The picture is
never a frame of the clip, or the model would learn to copy instead of to recognise.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from kinora.core.slots import GROUNDS, SKIES, SceneSlots
from kinora.core.words import WORDS
from kinora.training.library import CAPTIONS
from kinora.world.captions import describe_slots
from kinora.world.scene import CameraPath, Figure, Identity, Panel, Picture, Place, Scene

__all__ = ["chosen_figure", "faceless_captions", "portrait_scene"]

Rng = np.random.Generator

TURN = 0.3
"""Radians that a figure may look past the camera."""
SHOWN = {"whole": (0.53, 1.22), "upper": (0.70, 0.80)}
"""What of a figure fills the picture: the height of its middle and its extent, in heights of the figure."""
UPPER_SHARE = 0.5
WALL_SHARE = 0.25


def chosen_figure(scene: Scene) -> int | None:
    """Number of the figure whose portrait goes with the scene; None when nobody is in it."""
    if not scene.figures:
        return None
    return int(np.random.default_rng([scene.seed, 0xF16]).integers(len(scene.figures)))


def portrait_scene(scene: Scene, m: int, seed: int) -> Scene:
    """A scene of which frame 0 is a portrait of figure `m`: the same identity, everything else drawn anew."""
    rng = np.random.default_rng([seed, m, 0x90127])
    identity = scene.figures[m].identity
    x, y = float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.6, 0.6))
    camera = _camera(rng, identity, x, y)
    facing = math.atan2(camera.position[0] - x, y - camera.position[1])
    return Scene(
        place=Place(
            ground=_other(rng, GROUNDS, (scene.place.ground, "water")),
            sky=_other(rng, SKIES, (scene.place.sky,)),
            seed=int(rng.integers(1 << 30)),
        ),
        figures=(Figure(identity=identity, position=(x, y, 0.0), heading=facing + float(rng.uniform(-TURN, TURN))),),
        panels=_wall(rng),
        camera=camera,
        seconds=0.25,
        seed=seed,
        split=scene.split,
    )


def faceless_captions(slots: SceneSlots, m: int, seed: int) -> list[str]:
    """One caption for every entry of `CAPTIONS` that says nothing of figure `m`'s hair and clothes, nor of hat and
    glasses.
    """
    figure = slots.figures[m]
    assert figure.clothes is not None
    bare = replace(figure, hair=None, hat=None, glasses=None)
    figures = (*slots.figures[:m], bare, *slots.figures[m + 1 :])
    without_hair = replace(slots, figures=figures)
    return [
        _undressed(
            describe_slots(without_hair, language=language, seed=len(CAPTIONS) * seed + n, length=length).text,
            language,
            figure.clothes,
        )
        for n, (language, length) in enumerate(CAPTIONS)
    ]


def _undressed(text: str, language: str, clothes: str) -> str:
    """The caption without the words for what somebody in clothes of this colour wears.

    The world's grammar tells every figure by its clothes and no two of a scene wear the same colour, so the phrase is
    there exactly once.
    """
    colours = "|".join(re.escape(word) for word in sorted(WORDS[language]["figure.clothes"][clothes], key=len)[::-1])
    if language == "en":
        worn = rf" (?:in|wearing|dressed in) (?:an? )?(?:{colours}) (?:clothes|shirt|top|sweater)"
    else:
        worn = rf"(?:穿着|身穿|穿)(?:{colours})的?(?:衣服|上衣)的"
    told, count = re.subn(worn, "", text)
    assert count == 1, f"{count} figures in {clothes} in {text!r}"
    return told


def _camera(rng: Rng, identity: Identity, x: float, y: float) -> CameraPath:
    """Near enough for the whole figure, or its upper half, to fill most of the picture."""
    middle, extent = SHOWN["upper" if rng.random() < UPPER_SHARE else "whole"]
    tall, fov = identity.height, float(rng.uniform(0.69, 0.75))
    distance = 0.5 * extent * tall * float(rng.uniform(1.0, 1.35)) / math.tan(0.5 * fov) + 0.25
    around = float(rng.uniform(-0.4, 0.4))
    aside, up = rng.uniform(-0.06, 0.06, size=2) * tall
    return CameraPath(
        position=(
            x + distance * math.sin(around),
            y - distance * math.cos(around),
            tall * middle + distance * float(rng.uniform(-0.05, 0.2)),
        ),
        target=(x + float(aside), y, tall * middle + float(up)),
        fov=fov,
    )


def _wall(rng: Rng) -> tuple[Panel, ...]:
    if rng.random() >= WALL_SHARE:
        return ()
    kind = ("gradient", "stripes", "leaves")[int(rng.integers(3))]
    picture = Picture(kind=kind, seed=int(rng.integers(1 << 30)))
    return (Panel(picture=picture, centre=(0.0, float(rng.uniform(3.0, 5.0)), 1.4), width=14.0, height=2.8),)


def _other(rng: Rng, values: tuple[str, ...], but: tuple[str, ...]) -> str:
    """One of the values, none of those in `but`."""
    left = [value for value in values if value not in but]
    return left[int(rng.integers(len(left)))]
