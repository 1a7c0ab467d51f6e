"""Gives every member of a cast its place, pace and material constants.

Draws are blind; `sampler` keeps those that the camera can see and that play out as cast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from kinora.core.slots import PICTURES
from kinora.world.casting import BodyCast, Cast, FigureCast, one_of
from kinora.world.framing import Room
from kinora.world.identity import sample_identity
from kinora.world.physics import floating_height
from kinora.world.scene import Body, CameraPath, Figure, Panel, Picture, Place, Scene, Vec3
from kinora.world.speech import random_speech

__all__ = ["CAMERA_RATES", "GROUND_SPEEDS", "stage", "wall"]

Rng = np.random.Generator
Thing = TypeVar("Thing", Body, Figure)

PLACES = 30
"""Draws of a place for one member of the cast."""

GROUND_SPEEDS = {"slow": (0.3, 0.42), "fast": (0.95, 1.25)}
"""Metres a second at the start of a roll, slide or drift."""
CAMERA_RATES = {
    "pan": (0.045, 0.12),
    "tilt": (0.035, 0.085),
    "roll": (0.06, 0.16),
    "zoom": (0.06, 0.16),
    "dolly": (0.18, 0.48),
    "orbit": (0.07, 0.19),
}
"""Slow and fast of each camera move, in the units of `CameraPath.rate`; drawn within 12% of these."""
FACE_ACTIONS = ("nod", "smile", "speak")
STRIKE_GAP = (0.35, 1.0)
"""Metres between the surfaces of two bodies that are to collide."""


def stage(rng: Rng, cast: Cast, seed: int, split: str) -> Scene | None:
    """One staging of the cast, or None when the stage had no room; whether it plays out well is for the caller to
    judge.
    """
    camera = _camera(rng, cast)
    room = Room(camera)
    scene = Scene(
        place=Place(ground=cast.ground, sky=cast.sky, seed=int(rng.integers(1 << 30))),
        panels=_panels(rng, cast),
        camera=camera,
        seed=seed,
        split=split,
    )
    for figure in cast.figures:
        placed = _first(partial(_figure, rng, figure, cast, scene), room.figure_fits)
        if placed is None or placed.identity.clothes in [other.identity.clothes for other in scene.figures]:
            return None
        scene = replace(scene, figures=(*scene.figures, placed))
    for index, body in enumerate(cast.bodies):
        draw = partial(_body, rng, body, cast, camera)
        if cast.collide and index == 1:
            draw = partial(_struck, rng, draw(), scene.bodies[0])
        drawn = _first(draw, room.body_fits)
        if drawn is None:
            return None
        scene = replace(scene, bodies=(*scene.bodies, drawn))
    return scene


def _first(draw: Callable[[], Thing], fits: Callable[[Thing], bool]) -> Thing | None:
    """The first draw that fits, of a few."""
    for _ in range(PLACES):
        thing = draw()
        if fits(thing):
            return thing
    return None


def _camera(rng: Rng, cast: Cast) -> CameraPath:
    """The wide view, or nearer where a face is to be seen."""
    distance, height, target = 6.0, 1.7, 0.8
    alone = len(cast.figures) + len(cast.bodies) == 1
    if cast.figures and alone and cast.figures[0].action != "walk":
        distance, height, target = 4.3, 1.4, 0.85
    if any(figure.action in FACE_ACTIONS for figure in cast.figures):
        distance, height, target = (3.1, 1.2, 0.82) if alone else (4.1, 1.4, 0.78)
    near = distance / 6.0
    rate = 0.0
    if cast.camera != "still":
        rate = CAMERA_RATES[cast.camera.split("_")[0]][("slow", "fast").index(cast.camera_speed)]
        rate *= float(rng.uniform(0.88, 1.12)) * (near if cast.camera.startswith("dolly") else 1.0)
    return CameraPath(
        kind=cast.camera,
        speed=cast.camera_speed if cast.camera != "still" else "slow",
        rate=rate,
        position=(
            float(rng.uniform(-0.35, 0.35)) * near,
            -distance + float(rng.uniform(-0.4, 0.4)) * near,
            height + float(rng.uniform(-0.2, 0.25)) * near,
        ),
        target=(float(rng.uniform(-0.15, 0.15)) * near, 0.0, target + float(rng.uniform(-0.08, 0.1)) * near),
        fov=float(rng.uniform(0.69, 0.75)),
    )


def _heading(rng: Rng, direction: str, camera: CameraPath, spread: float = 0.1) -> tuple[float, float]:
    """A level unit vector in a direction of the picture, within `spread` radians."""
    ahead = math.atan2(camera.target[1] - camera.position[1], camera.target[0] - camera.position[0])
    turn = {"away": 0.0, "left": math.pi / 2, "toward": math.pi, "right": -math.pi / 2}[direction]
    angle = ahead + turn + float(rng.uniform(-spread, spread))
    return math.cos(angle), math.sin(angle)


def _spot(rng: Rng, direction: str, *, crowd: bool) -> tuple[float, float]:
    """Where something starts: movers on the side they leave from, so that their way lies before the camera."""
    wide = 1.9 if crowd else 1.5
    x, y = float(rng.uniform(-wide, wide)), float(rng.uniform(-1.4, 2.0))
    if direction == "left":
        x = float(rng.uniform(0.3, 1.8))
    elif direction == "right":
        x = -float(rng.uniform(0.3, 1.8))
    elif direction == "toward":
        x, y = 0.75 * x, float(rng.uniform(0.8, 2.8))
    elif direction == "away":
        x, y = 0.75 * x, float(rng.uniform(-1.6, 0.2))
    return x, y


def _body(rng: Rng, cast: BodyCast, whole: Cast, camera: CameraPath) -> Body:
    body = Body(
        shape=cast.shape,
        colour=cast.colour,
        size=cast.size,
        material=cast.material,
        action=cast.action,
        yaw=float(rng.uniform(-math.pi, math.pi)),
        restitution=float(rng.uniform(*((0.4, 0.85) if whole.collide else (0.1, 0.5)))),
        friction=float(rng.uniform(0.03, 0.06)) if cast.shape != "sphere" else float(rng.uniform(0.01, 0.02)),
        scale=cast.scale,
    )
    x, y = _spot(rng, cast.direction, crowd=len(whole.bodies) > 2)
    if whole.figures:
        side = {"right": -1.0, "left": 1.0}.get(cast.direction) or float(rng.choice((-1.0, 1.0)))
        x = side * float(rng.uniform(0.5, 1.6))
    if cast.action in ("fall", "bounce"):
        return _dropped(rng, body, x, y)
    if cast.action == "fly":
        return _thrown(rng, body, x, y, _heading(rng, cast.direction, camera))
    if cast.action == "float":
        return _afloat(rng, body, cast, (x, y), camera)
    if cast.action == "rest":
        return replace(body, position=(x, y, body.radius))
    across, along = _heading(rng, cast.direction, camera)
    speed = float(rng.uniform(*GROUND_SPEEDS[cast.speed])) * cast.haste
    # The time to stop is drawn, not the coefficient: slow ones go on through most of the clip, fast ones brake a
    # little sooner.
    stop = float(rng.uniform(5.0, 12.0)) if cast.speed == "slow" else float(rng.uniform(3.5, 7.0))
    return replace(
        body,
        position=(x, y, body.radius),
        velocity=(speed * across, speed * along, 0.0),
        friction=speed / (9.81 * stop),
    )


def _dropped(rng: Rng, body: Body, x: float, y: float) -> Body:
    if body.action == "fall":
        height, restitution = float(rng.uniform(0.8, 1.7)), 0.0
    else:
        height, restitution = float(rng.uniform(0.6, 1.5)), float(rng.uniform(0.62, 0.86))
    return replace(body, position=(x, y, body.radius + height), restitution=restitution)


def _thrown(rng: Rng, body: Body, x: float, y: float, heading: tuple[float, float]) -> Body:
    """Thrown from near the ground; afterwards it loses its way soon."""
    speed, rise = float(rng.uniform(1.3, 2.2)), float(rng.uniform(2.6, 4.2))
    return replace(
        body,
        position=(x, y, body.radius + float(rng.uniform(0.05, 0.5))),
        velocity=(speed * heading[0], speed * heading[1], rise),
        restitution=float(rng.uniform(0.0, 0.3)),
        friction=float(rng.uniform(0.06, 0.1)) if body.shape == "sphere" else float(rng.uniform(0.25, 0.45)),
    )


def _afloat(rng: Rng, body: Body, cast: BodyCast, spot: tuple[float, float], camera: CameraPath) -> Body:
    """On the water, first a little above or below its line, so that it bobs."""
    lift = float(rng.choice((-1.0, 1.0)) * rng.uniform(0.12, 0.3)) * body.radius
    velocity: Vec3 = (0.0, 0.0, 0.0)
    if cast.direction != "none":
        across, along = _heading(rng, cast.direction, camera)
        speed = float(rng.uniform(*GROUND_SPEEDS[cast.speed])) * cast.haste
        velocity = (speed * across, speed * along, 0.0)
    return replace(body, position=(*spot, floating_height(body.radius) + lift), velocity=velocity)


def _struck(rng: Rng, body: Body, striker: Body) -> Body:
    """The body put in the way of the one that is to strike it."""
    speed = math.hypot(striker.velocity[0], striker.velocity[1])
    across, along = striker.velocity[0] / speed, striker.velocity[1] / speed
    apart = striker.radius + body.radius + float(rng.uniform(*STRIKE_GAP))
    aside = float(rng.uniform(-0.25, 0.25)) * body.radius
    x = striker.position[0] + apart * across - aside * along
    y = striker.position[1] + apart * along + aside * across
    return replace(body, position=(x, y, body.radius))


def _figure(rng: Rng, cast: FigureCast, whole: Cast, scene: Scene) -> Figure:
    """A figure; face to the camera unless it walks."""
    alone = len(whole.figures) + len(whole.bodies) == 1
    x, y = float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-0.6, 1.2))
    if cast.action in FACE_ACTIONS and alone:
        x, y = float(rng.uniform(-0.35, 0.35)), float(rng.uniform(-0.2, 0.3))
    heading, speed = float(rng.uniform(-0.3, 0.3)), 0.0
    if cast.action == "walk":
        x, y = _spot(rng, cast.direction, crowd=False)
        across, along = _heading(rng, cast.direction, scene.camera)
        heading, speed = math.atan2(across, -along), float(rng.uniform(0.35, 0.6))
    elif cast.action == "turn":
        speed = float(rng.choice((-1.0, 1.0)) * rng.uniform(0.9, 1.6))
    return Figure(
        identity=sample_identity(rng, held_out=scene.split == "held_out"),
        position=(x, y, 0.0),
        heading=heading,
        action=cast.action,
        speed=speed,
        speech=random_speech(rng, scene.frames, scene.frame_rate) if cast.action == "speak" else None,
    )


def _panels(rng: Rng, cast: Cast) -> tuple[Panel, ...]:
    """The wall behind everything; low enough that the sky still shows above it."""
    if cast.backdrop == "none":
        return ()
    behind = wall(rng, cast.backdrop, moving=cast.moving_picture)
    return (behind, _card(rng)) if cast.card else (behind,)


def wall(rng: Rng, picture: str, *, moving: bool) -> Panel:
    """A wall across the back of the stage with a picture of a kind, which may drift."""
    drift = (0.0, 0.0)
    if moving:
        drift = (float(rng.uniform(-0.04, 0.04)), float(rng.uniform(-0.02, 0.02)))
    height = float(rng.uniform(2.4, 3.2))
    return Panel(
        picture=Picture(kind=picture, seed=int(rng.integers(1 << 30)), drift=drift),
        centre=(0.0, float(rng.uniform(4.5, 6.0)), 0.5 * height),
        width=14.0,
        height=height,
    )


def _card(rng: Rng) -> Panel:
    """A small picture standing between the wall and the stage."""
    size = float(rng.uniform(0.8, 1.4))
    return Panel(
        picture=Picture(kind=one_of(rng, PICTURES[1:]), seed=int(rng.integers(1 << 30))),
        centre=(float(rng.uniform(-1.5, 1.5)), float(rng.uniform(2.6, 3.4)), 0.5 * size),
        width=size,
        height=size,
        yaw=float(rng.uniform(-0.5, 0.5)),
    )
