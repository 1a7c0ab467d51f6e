"""A scene seen in a mirror: left and right swapped, everything else the same."""

from __future__ import annotations

import math
from dataclasses import replace

from kinora.world.scene import Animal, Body, CameraPath, Figure, Panel, Rope, Scene, Vec3

__all__ = ["MIRRORED", "mirror"]

MIRRORED = {
    "left": "right",
    "right": "left",
    "pan_left": "pan_right",
    "pan_right": "pan_left",
    "roll_clockwise": "roll_counterclockwise",
    "roll_counterclockwise": "roll_clockwise",
    "orbit_left": "orbit_right",
    "orbit_right": "orbit_left",
}
"""Slot values that a mirror changes."""


def mirror(scene: Scene) -> Scene:
    """The scene with x and -x swapped. Its picture is the mirrored picture but for textures, which are not turned
    over.
    """
    return replace(
        scene,
        bodies=tuple(_body(body) for body in scene.bodies),
        figures=tuple(_figure(figure) for figure in scene.figures),
        place=replace(scene.place, wind=-scene.place.wind),
        panels=tuple(_panel(panel) for panel in scene.panels),
        animals=tuple(_animal(animal) for animal in scene.animals),
        ropes=tuple(_rope(rope) for rope in scene.ropes),
        camera=_camera(scene.camera),
    )


def _swapped(vector: Vec3) -> Vec3:
    return (-vector[0], vector[1], vector[2])


def _body(body: Body) -> Body:
    return replace(
        body,
        position=_swapped(body.position),
        velocity=_swapped(body.velocity),
        yaw=-body.yaw,
        anchor=_swapped(body.anchor),
        rate=-body.rate,
    )


def _figure(figure: Figure) -> Figure:
    # The rate of a turn changes sign with its sense; a walker's pace does not.
    speed = -figure.speed if figure.action == "turn" else figure.speed
    return replace(
        figure,
        position=_swapped(figure.position),
        heading=-figure.heading,
        speed=speed,
        gaze=-figure.gaze,
        side=-figure.side,
    )


def _animal(animal: Animal) -> Animal:
    return replace(animal, position=_swapped(animal.position), heading=-animal.heading)


def _rope(rope: Rope) -> Rope:
    return replace(rope, anchor=_swapped(rope.anchor), azimuth=math.pi - rope.azimuth)


def _panel(panel: Panel) -> Panel:
    drift = (-panel.picture.drift[0], panel.picture.drift[1])
    return replace(panel, centre=_swapped(panel.centre), yaw=-panel.yaw, picture=replace(panel.picture, drift=drift))


def _camera(camera: CameraPath) -> CameraPath:
    return replace(
        camera,
        kind=MIRRORED.get(camera.kind, camera.kind),
        position=_swapped(camera.position),
        target=_swapped(camera.target),
    )
