"""The scenes of world 2.0 that are staged as a whole: each act has its own cast, places and camera.

An act gives one staging, or None where things did not fit; `sampler` keeps those that the camera sees well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kinora.core.slots import ANIMAL_ACTIONS, CAMERAS, COLOURS, EXPRESSIONS, MATERIALS, PICTURES, SHAPES, SIZES, SKIES
from kinora.world.animals import ANIMAL_SPACE, head_top
from kinora.world.axes import turn_z
from kinora.world.casting import DRY_GROUNDS, one_of
from kinora.world.figures import CHIN, HEAD_HALF
from kinora.world.handling import handled_path, held_offset, push_reach, stroked_spot
from kinora.world.identity import sample_identity
from kinora.world.mix import ACTS, Mix
from kinora.world.motion import heading_vector
from kinora.world.rigs import frame_half_width
from kinora.world.scene import Animal, Body, CameraPath, Figure, Panel, Place, Rope, Scene
from kinora.world.speech import random_speech
from kinora.world.staging import CAMERA_RATES, wall

__all__ = ["stage_act"]

Rng = np.random.Generator

FREELY_MOVING = 0.8
"""Share of the mix's camera moves that an act gets, most of them slow: it has to stay in the picture."""
STEADY_MOVES = ("zoom_in", "zoom_out", "roll_clockwise", "roll_counterclockwise", "orbit_left", "orbit_right")
"""What a camera may do before a face that fills the picture."""
SIDEWAYS = {"left": -math.pi / 2, "right": math.pi / 2, "toward": 0.0, "away": math.pi}
"""Headings that go in a direction of the picture, for a camera that looks along +y."""


def stage_act(rng: Rng, act: str, mix: Mix, seed: int, split: str) -> Scene | None:
    """One staging of an act (a name of `ACTS`), not yet dressed."""
    place = Place(ground=one_of(rng, DRY_GROUNDS), sky=one_of(rng, SKIES), seed=int(rng.integers(1 << 30)))
    panels: tuple[Panel, ...] = ()
    if rng.random() < mix.backdrop:
        panels = (wall(rng, one_of(rng, PICTURES[1:]), moving=bool(rng.random() < mix.moving_picture)),)
    empty = Scene(place=place, panels=panels, seed=seed, split=split)
    scene = _STAGES[act](rng, empty)
    return None if scene is None else replace(scene, camera=_moving(rng, scene.camera, mix))


def _camera(rng: Rng, distance: float, height: float, target: float) -> CameraPath:
    """A still camera before the middle of the stage, a little to one side."""
    near = distance / 6.0
    return CameraPath(
        position=(
            float(rng.uniform(-0.3, 0.3)) * near,
            -distance + float(rng.uniform(-0.3, 0.3)) * near,
            height + float(rng.uniform(-0.15, 0.2)) * near,
        ),
        target=(float(rng.uniform(-0.1, 0.1)) * near, 0.0, target + float(rng.uniform(-0.05, 0.05)) * near),
        fov=float(rng.uniform(0.69, 0.75)),
    )


def _moving(rng: Rng, camera: CameraPath, mix: Mix) -> CameraPath:
    """The camera with a move, now and then."""
    if rng.random() >= FREELY_MOVING * mix.camera:
        return camera
    close = camera.shot == "close"
    kind = one_of(rng, STEADY_MOVES if close else CAMERAS[1:])
    speed = "slow" if close or rng.random() < 0.6 else "fast"
    rate = CAMERA_RATES[kind.split("_")[0]][("slow", "fast").index(speed)] * float(rng.uniform(0.88, 1.12))
    if kind.startswith("dolly"):
        rate *= abs(camera.position[1]) / 6.0
    return replace(camera, kind=kind, speed=speed, rate=rate)


def _identity_of(rng: Rng, scene: Scene) -> Figure:
    return Figure(identity=sample_identity(rng, held_out=scene.split == "held_out"))


def _body(rng: Rng, shape: str, size: str, action: str, *, scale: float = 1.0) -> Body:
    return Body(
        shape=shape,
        colour=one_of(rng, COLOURS),
        size=size,
        material=one_of(rng, MATERIALS),
        action=action,
        yaw=float(rng.uniform(-math.pi, math.pi)),
        scale=scale,
    )


def _animal(rng: Rng, scene: Scene) -> Scene | None:
    """A dog that walks, sits or wags its tail; now and then a body lies beside it."""
    action = one_of(rng, ANIMAL_ACTIONS, (0.52, 0.2, 0.28))
    scale = float(rng.uniform(1.25, 1.6))
    x, y, heading, speed = float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.3, 0.3)), 0.0, 0.0
    distance = 4.2
    if action == "walk":
        direction = one_of(rng, ("left", "right", "toward", "away"), (0.36, 0.36, 0.14, 0.14))
        heading = SIDEWAYS[direction] + float(rng.uniform(-0.12, 0.12))
        speed, distance = float(rng.uniform(0.42, 0.62)), 5.4
        start = float(rng.uniform(0.75, 1.1)) if direction in ("left", "right") else float(rng.uniform(0.6, 1.2))
        away_3 = heading_vector(heading)
        x, y = x - start * float(away_3[0]), y - start * float(away_3[1])
    else:
        # Sideways enough for its tail and back to show.
        heading = float(rng.choice((-1.0, 1.0)) * rng.uniform(0.25, 1.0))
    animal = Animal(
        colour=one_of(rng, COLOURS), position=(x, y, 0.0), heading=heading, action=action, speed=speed, scale=scale
    )
    scene = replace(scene, animals=(animal,), camera=_camera(rng, distance, 1.45, 0.55))
    if rng.random() < 0.3 and action != "walk":
        body = _body(rng, one_of(rng, SHAPES), one_of(rng, SIZES[:2]), "rest", scale=0.8)
        side = float(rng.choice((-1.0, 1.0)))
        beside = x + side * (ANIMAL_SPACE * scale + body.radius * 1.2 + float(rng.uniform(0.1, 0.3)))
        if abs(beside) > 1.1:
            return None
        scene = replace(
            scene, bodies=(replace(body, position=(beside, y + float(rng.uniform(0.0, 0.5)), body.radius)),)
        )
    return scene


def _rope(rng: Rng, scene: Scene) -> Scene:
    """A rope that hangs still or swings."""
    length = float(rng.uniform(1.35, 1.85))
    swings = rng.random() < 0.6
    angle = float(rng.choice((-1.0, 1.0)) * rng.uniform(0.38, 0.62)) if swings else 0.0
    anchor = (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.4)), length + float(rng.uniform(0.35, 0.7)))
    rope = Rope(
        anchor=anchor,
        length=length,
        angle=angle,
        azimuth=float(rng.uniform(-0.3, 0.3)),
        damping=float(rng.uniform(0.02, 0.04)),
    )
    return replace(scene, ropes=(rope,), camera=_camera(rng, 5.2, 1.6, 1.15))


def _pendulum(rng: Rng, scene: Scene) -> Scene | None:
    """A body on a string."""
    body = _body(rng, one_of(rng, SHAPES), one_of(rng, SIZES), "swing")
    body = replace(body, scale=0.85 if body.size == "large" else 1.0)
    length, angle = float(rng.uniform(1.2, 1.7)), float(rng.uniform(0.35, 0.75))
    azimuth = float(rng.uniform(-0.25, 0.25)) + (math.pi if rng.random() < 0.5 else 0.0)
    top = length + body.radius * 1.1 + float(rng.uniform(0.2, 0.45))
    anchor = (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.4)), top)
    level, low = length * math.sin(angle), length * math.cos(angle)
    position = (anchor[0] + level * math.cos(azimuth), anchor[1] + level * math.sin(azimuth), top - low)
    body = replace(body, anchor=anchor, position=position)
    if abs(anchor[0]) + frame_half_width(body) > 1.95:
        return None
    return replace(scene, bodies=(body,), camera=_camera(rng, 5.9, 1.7, 1.15))


def _orbit(rng: Rng, scene: Scene) -> Scene | None:
    """A small body that circles another one through the air."""
    middle = _body(rng, one_of(rng, SHAPES), one_of(rng, SIZES[1:]), "rest")
    moon = _body(rng, one_of(rng, SHAPES), "small", "orbit", scale=float(rng.uniform(0.65, 0.9)))
    if moon.colour == middle.colour:
        return None
    x, y = float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.4))
    middle = replace(middle, position=(x, y, middle.radius))
    around = 1.42 * middle.radius if middle.shape == "cube" else middle.radius
    away = around + 1.3 * moon.radius + float(rng.uniform(0.25, 0.5))
    start = float(rng.uniform(-math.pi, math.pi))
    height = middle.radius * float(rng.uniform(1.2, 1.7))
    moon = replace(
        moon,
        anchor=(x, y, middle.radius),
        position=(x + away * math.cos(start), y + away * math.sin(start), max(height, 1.2 * moon.radius)),
        rate=float(rng.choice((-1.0, 1.0)) * rng.uniform(1.3, 2.4)),
    )
    return replace(scene, bodies=(middle, moon), camera=_camera(rng, 5.0, 1.9, 0.6))


def _carry(rng: Rng, scene: Scene) -> Scene:
    """A figure that walks with a body in its hands."""
    figure = _identity_of(rng, scene)
    radius = float(rng.uniform(0.12, 0.15)) * figure.identity.height
    body = _body(rng, one_of(rng, SHAPES), "small", "carried", scale=radius / 0.34)
    direction = one_of(rng, ("left", "right", "toward"), (0.42, 0.42, 0.16))
    heading = SIDEWAYS[direction] + float(rng.uniform(-0.15, 0.15))
    start = float(rng.uniform(0.8, 1.2)) if direction != "toward" else float(rng.uniform(0.2, 0.9))
    away_3 = heading_vector(heading)
    position = (-start * float(away_3[0]), -start * float(away_3[1]) + float(rng.uniform(-0.2, 0.3)), 0.0)
    figure = replace(figure, position=position, heading=heading, action="carry", speed=float(rng.uniform(0.35, 0.52)))
    held_3 = turn_z(np.array([heading]))[0] @ np.array(held_offset(figure, body.radius))
    place = (position[0] + float(held_3[0]), position[1] + float(held_3[1]), float(held_3[2]))
    body = replace(body, position=place, yaw=heading)
    return replace(scene, figures=(figure,), bodies=(body,), camera=_camera(rng, 4.7, 1.4, 0.78))


def _push(rng: Rng, scene: Scene) -> Scene:
    """A figure that walks up to a body and pushes it along."""
    figure = _identity_of(rng, scene)
    direction = one_of(rng, ("left", "right"))
    heading = SIDEWAYS[direction] + float(rng.uniform(-0.15, 0.15))
    body = _body(rng, one_of(rng, SHAPES), one_of(rng, SIZES), "pushed")
    away_3 = heading_vector(heading)
    start = float(rng.uniform(1.35, 1.7))
    position = (-start * float(away_3[0]), -start * float(away_3[1]) + float(rng.uniform(-0.2, 0.4)), 0.0)
    figure = replace(figure, position=position, heading=heading, action="push", speed=float(rng.uniform(0.34, 0.46)))
    apart = push_reach(figure, body) + figure.speed * float(rng.uniform(0.5, 1.3))
    place = (position[0] + apart * float(away_3[0]), position[1] + apart * float(away_3[1]), body.radius)
    body = replace(body, position=place, yaw=heading)
    return replace(scene, figures=(figure,), bodies=(body,), camera=_camera(rng, 5.6, 1.6, 0.72))


def _stroke(rng: Rng, scene: Scene) -> Scene:
    """A figure beside a sitting dog, its hand on the dog's head."""
    figure = _identity_of(rng, scene)
    side = float(rng.choice((-1.0, 1.0)))
    figure = replace(
        figure,
        # At heading 0 its own left is the right of the picture.
        position=(-0.38 * side + float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.2, 0.3)), 0.0),
        heading=float(rng.uniform(-0.25, 0.25)),
        action="stroke",
        side=side,
        gaze=side * float(rng.uniform(0.1, 0.35)),
    )
    x, y, height = stroked_spot(figure)
    animal = Animal(colour=one_of(rng, COLOURS), action="sit", heading=float(rng.uniform(-0.5, 0.5)))
    scale = height / float(head_top(animal, np.zeros(3))[2])
    animal = replace(animal, scale=scale)
    top_3 = head_top(animal, np.zeros(3))
    animal = replace(animal, position=(x - float(top_3[0]), y - float(top_3[1]), 0.0))
    return replace(scene, figures=(figure,), animals=(animal,), camera=_camera(rng, 3.7, 1.35, 0.76))


def _eat(rng: Rng, scene: Scene) -> Scene:
    """A figure that brings a small thing to its mouth and eats it."""
    figure = _identity_of(rng, scene)
    figure = replace(
        figure,
        position=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.2, 0.2)), 0.0),
        heading=float(rng.uniform(-0.35, 0.35)),
        action="eat",
        side=float(rng.choice((-1.0, 1.0))),
    )
    radius = float(rng.uniform(0.054, 0.068)) * figure.identity.height
    body = _body(rng, one_of(rng, SHAPES, (0.55, 0.15, 0.15, 0.15)), "small", "eaten", scale=radius / 0.34)
    if body.material == "glowing":
        # It would shine on from inside the head.
        body = replace(body, material="shiny")
    scene = replace(scene, figures=(figure,), bodies=(body,), camera=_camera(rng, 3.0, 1.25, 0.84))
    return replace(scene, bodies=(replace(body, position=_first_place(scene)),))


def _first_place(scene: Scene) -> tuple[float, float, float]:
    """Where the handled body of a scene is at time 0."""
    x, y, z = map(float, handled_path(scene, scene.bodies[0], np.zeros(1)).position_F3[0])
    return x, y, z


def _talk(rng: Rng, scene: Scene) -> Scene | None:
    """Two or three figures in half a circle; one speaks, the others look at it."""
    count = 2 if rng.random() < 0.6 else 3
    speaker = int(rng.integers(count))
    apart = float(rng.uniform(0.95, 1.15))
    spots = []
    for m in range(count):
        aside = (m - 0.5 * (count - 1)) * apart
        spots.append((aside + float(rng.uniform(-0.06, 0.06)), float(rng.uniform(-0.15, 0.15))))
    figures: list[Figure] = []
    for m, (x, y) in enumerate(spots):
        # They turn a little inward; x grows to the right, which is the own left of one who faces the camera.
        heading = -0.32 * x + float(rng.uniform(-0.1, 0.1))
        there = spots[speaker] if m != speaker else (0.0, -3.0)
        figure = replace(_identity_of(rng, scene), position=(x, y, 0.0), heading=heading)
        figure = replace(figure, gaze=_toward(figure, there, 0.6), action="speak" if m == speaker else "stand")
        faces = (0.5, 0.35, 0.15, 0.0) if m == speaker else (0.7, 0.0, 0.3, 0.0)
        figure = replace(figure, expression=one_of(rng, EXPRESSIONS, faces))
        if m == speaker:
            figure = replace(figure, speech=random_speech(rng, scene.frames, scene.frame_rate))
        figures.append(figure)
    if len({figure.identity.clothes for figure in figures}) < count:
        return None
    return replace(scene, figures=tuple(figures), camera=_camera(rng, 3.3 if count == 2 else 4.3, 1.35, 0.82))


def _toward(figure: Figure, spot: tuple[float, float], most: float) -> float:
    """The turn of the head that looks at a spot, as far as a neck goes."""
    x, y = spot[0] - figure.position[0], spot[1] - figure.position[1]
    turn = math.remainder(math.atan2(x, -y) - figure.heading, 2.0 * math.pi)
    return max(-most, min(most, turn))


def _close(rng: Rng, scene: Scene) -> Scene:
    """A face that fills half of the picture."""
    figure = _identity_of(rng, scene)
    action = one_of(rng, ("stand", "speak", "nod"), (0.5, 0.35, 0.15))
    figure = replace(
        figure,
        position=(float(rng.uniform(-0.08, 0.08)), float(rng.uniform(-0.05, 0.05)), 0.0),
        heading=float(rng.uniform(-0.3, 0.3)),
        action=action,
        speech=random_speech(rng, scene.frames, scene.frame_rate) if action == "speak" else None,
    )
    identity = figure.identity
    half = HEAD_HALF[2] * identity.head * identity.height
    middle = CHIN * identity.height + 0.94 * half
    share = float(rng.uniform(0.37, 0.48))
    fov = float(rng.uniform(0.69, 0.75))
    distance = half / (share * math.tan(0.5 * fov))
    camera = CameraPath(
        position=(
            figure.position[0] + float(rng.uniform(-0.15, 0.15)),
            figure.position[1] - distance,
            middle + float(rng.uniform(-0.08, 0.12)),
        ),
        # Room over the head, for hats and hair.
        target=(figure.position[0] + float(rng.uniform(-0.04, 0.04)), figure.position[1], middle + 0.30 * half),
        fov=fov,
        shot="close",
    )
    return replace(scene, figures=(figure,), camera=camera)


_STAGES: dict[str, Callable[[Rng, Scene], Scene | None]] = dict(
    zip(ACTS, (_animal, _rope, _pendulum, _orbit, _carry, _push, _stroke, _eat, _talk, _close), strict=True)
)
