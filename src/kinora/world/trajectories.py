"""The bodies of a scene over time, with all that they meet on the way.

A frame in which nothing can touch is one closed step. Otherwise it is cut into short steps, and those exactly at
each contact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from kinora.core.poses import rotation_about
from kinora.world.collisions import Contact, bounce_apart, contact, obstacle_contact, rest_height
from kinora.world.handling import handled_path
from kinora.world.motion import WALKING, heading_vector
from kinora.world.physics import Mover, advance, start
from kinora.world.scene import HANDLED, Body, Figure, Scene
from kinora.world.swell import swell_at
from kinora.world.swinging import Path, orbit_path, swing_path

__all__ = ["Trajectories", "trajectories"]

Array = npt.NDArray[np.float64]
Pair = tuple[int, int]

SCRIPTED = ("swing", "orbit", *HANDLED)
"""Actions whose motion is known beforehand: nothing pushes these bodies, and they push nothing."""
STEPS_PER_SECOND = 96
TOUCHING = 1e-5
"""Metres at which two surfaces count as touching."""
SHORTEST_STEP = 1e-6
MOST_CUTS = 24
"""Contacts resolved within one short step before the rest of it is left unwatched."""
FIGURE_RADIUS = 0.26
"""Half the width of a figure of girth 1 for bodies that run into it, metres."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """The bodies alone over time, and which of them met."""

    position_FN3: Array
    rotation_FN33: Array
    velocity_FN3: Array
    met: dict[Pair, float]
    """Pairs of body numbers, with the time of their first contact; figures count on after the bodies."""


@dataclass(slots=True, kw_only=True)
class _Play:
    """The scene as it stands while it runs."""

    scene: Scene
    movers: list[Mover]
    met: dict[Pair, float] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing will move again."""
        return not self.scene.figures and all(mover.idle for mover in self.movers)


def trajectories(scene: Scene, *, only: set[Pair] | None = None) -> Trajectories:
    """The bodies at every frame. With `only`, gives up at the first contact of any other pair; later frames are then
    zero.
    """
    if any(body.action in SCRIPTED for body in scene.bodies):
        return _with_scripted(scene, only)
    if scene.place.waves != "calm" and scene.place.ground == "water":
        return _on_waves(scene, only)
    play = _Play(scene=scene, movers=[start(body, water=scene.place.ground == "water") for body in scene.bodies])
    frames, count = scene.frames, len(play.movers)
    position_FN3, velocity_FN3 = np.zeros((frames, count, 3)), np.zeros((frames, count, 3))
    rotation_FN33 = np.zeros((frames, count, 3, 3))
    for n, body in enumerate(scene.bodies):
        rotation_FN33[:, n] = rotation_about(np.array([0.0, 0.0, 1.0]), body.yaw)
    for frame in range(frames):
        for n, mover in enumerate(play.movers):
            position_FN3[frame, n], velocity_FN3[frame, n] = mover.position, mover.velocity
            if mover.sphere and frame:
                rotation_FN33[frame, n] = _rolled(rotation_FN33[frame - 1, n], mover)
        if play.over:
            position_FN3[frame:], rotation_FN33[frame:] = position_FN3[frame], rotation_FN33[frame]
            break
        if only is not None and not only.issuperset(play.met):
            break
        if frame + 1 < frames:
            _frame(play, frame / scene.frame_rate, 1.0 / scene.frame_rate)
    return Trajectories(position_FN3=position_FN3, rotation_FN33=rotation_FN33, velocity_FN3=velocity_FN3, met=play.met)


def _on_waves(scene: Scene, only: set[Pair] | None) -> Trajectories:
    """As on calm water, and lifted by the waves as they pass: the bodies are small against them."""
    calm = trajectories(replace(scene, place=replace(scene.place, waves="calm")), only=only)
    time_F1 = np.arange(scene.frames)[:, None] / scene.frame_rate
    x_FN, y_FN, _ = np.moveaxis(calm.position_FN3, 2, 0)
    height_FN, climb_FN = swell_at(scene.place, x_FN, y_FN, time_F1)
    position_FN3, velocity_FN3 = calm.position_FN3.copy(), calm.velocity_FN3.copy()
    position_FN3[:, :, 2] += height_FN
    velocity_FN3[:, :, 2] += climb_FN
    return replace(calm, position_FN3=position_FN3, velocity_FN3=velocity_FN3)


def _with_scripted(scene: Scene, only: set[Pair] | None) -> Trajectories:
    """Scripted bodies go their way whatever happens; the others play among themselves."""
    frames, count = scene.frames, len(scene.bodies)
    time_F = np.arange(frames) / scene.frame_rate
    free = [n for n, body in enumerate(scene.bodies) if body.action not in SCRIPTED]
    rest = trajectories(replace(scene, bodies=tuple(scene.bodies[n] for n in free)), only=only)
    position_FN3, velocity_FN3 = np.zeros((frames, count, 3)), np.zeros((frames, count, 3))
    rotation_FN33 = np.zeros((frames, count, 3, 3))
    position_FN3[:, free], velocity_FN3[:, free] = rest.position_FN3, rest.velocity_FN3
    rotation_FN33[:, free] = rest.rotation_FN33
    for n, body in enumerate(scene.bodies):
        if body.action in SCRIPTED:
            path = _scripted(scene, body, time_F)
            position_FN3[:, n], velocity_FN3[:, n] = path.position_F3, path.velocity_F3
            rotation_FN33[:, n] = path.rotation_F33
    numbers = [*free, *range(count, count + len(scene.figures))]
    met = {(numbers[i], numbers[j]): time for (i, j), time in rest.met.items()}
    return Trajectories(position_FN3=position_FN3, rotation_FN33=rotation_FN33, velocity_FN3=velocity_FN3, met=met)


def _scripted(scene: Scene, body: Body, time_F: Array) -> Path:
    if body.action == "swing":
        return swing_path(body, scene.physics.gravity, time_F)
    if body.action == "orbit":
        return orbit_path(body, time_F)
    return handled_path(scene, body, time_F)


def _rolled(rotation_33: Array, mover: Mover) -> Array:
    angle = math.sqrt(sum(turned * turned for turned in mover.turned))
    if angle < 1e-12:
        return rotation_33
    axis_3 = np.array(mover.turned) / angle
    mover.turned = [0.0, 0.0, 0.0]
    return rotation_about(axis_3, angle) @ rotation_33


def _frame(play: _Play, time: float, seconds: float) -> None:
    near = _near(play, time, seconds)
    if not near:
        for mover in play.movers:
            # Off the ground for certain, so nothing but the ground is under it.
            mover.floor = 0.0
            advance(mover, seconds, play.scene.physics.gravity)
        return
    steps = max(1, math.ceil(STEPS_PER_SECOND * seconds))
    for index in range(steps):
        _step(play, near, time + index * seconds / steps, seconds / steps)


def _near(play: _Play, time: float, seconds: float) -> list[Pair]:
    """Pairs that might touch, or stand over one another, within the frame: those whose level distance could be used
    up.
    """
    pairs = []
    movers = play.movers
    for i, first in enumerate(movers):
        for j in range(i + 1, len(movers)):
            second = movers[j]
            if not (first.idle and second.idle):
                away = math.dist(first.position[:2], second.position[:2])
                if away < _widest(first) + _widest(second) + (_pace(first) + _pace(second)) * seconds + 1e-3:
                    pairs.append((i, j))
        for m, figure in enumerate(play.scene.figures):
            reach = _widest(first) + FIGURE_RADIUS * figure.identity.girth
            if (
                math.dist(first.position[:2], _stand(figure, time))
                < reach + (_pace(first) + figure.speed) * seconds + 1e-3
            ):
                pairs.append((i, len(movers) + m))
    return pairs


def _widest(mover: Mover) -> float:
    return mover.radius * (math.sqrt(2.0) if mover.body.shape == "cube" else 1.0)


def _pace(mover: Mover) -> float:
    """Level speed, with what a spinning sphere may still gain when it grips."""
    return math.hypot(mover.velocity[0], mover.velocity[1]) + mover.radius * max(abs(spin) for spin in mover.spin)


def _step(play: _Play, near: list[Pair], time: float, seconds: float) -> None:
    """One short step, cut at each contact on the way."""
    gravity = play.scene.physics.gravity
    left = seconds
    for cut in range(MOST_CUTS):
        for mover in play.movers:
            lifted = mover.position[2] - mover.radius > 1e-6
            mover.floor = rest_height(mover, play.movers) if lifted and not mover.floats else 0.0
        part = min(left, _settle(play, near, time, left)) if cut + 1 < MOST_CUTS else left
        for mover in play.movers:
            advance(mover, part, gravity)
        left -= part
        time += part
        if left <= 1e-9:
            return


def _settle(play: _Play, near: list[Pair], time: float, seconds: float) -> float:
    """Bounces apart what touches and nears; returns how long nothing else can touch, at least the shortest step."""
    soonest = seconds
    for i, j in near:
        first = play.movers[i]
        second = play.movers[j] if j < len(play.movers) else None
        touch = contact(first, second) if second is not None else _at_figure(play, first, j - len(play.movers), time)
        if touch is None or touch.closing(first, second) <= 1e-6:
            continue
        if touch.gap <= TOUCHING:
            bounce_apart(first, second, touch)
            play.met.setdefault((i, j), time)
        else:
            soonest = min(soonest, (touch.gap - 0.5 * TOUCHING) / touch.closing(first, second))
    return max(soonest, SHORTEST_STEP)


def _at_figure(play: _Play, mover: Mover, m: int, time: float) -> Contact | None:
    identity = play.scene.figures[m].identity
    stand = _stand(play.scene.figures[m], time)
    return obstacle_contact(mover, stand, FIGURE_RADIUS * identity.girth, identity.height)


def _stand(figure: Figure, time: float) -> tuple[float, float]:
    """Where a figure's feet are at a time, level coordinates."""
    x, y, _ = figure.position
    if figure.action in WALKING:
        ahead_3 = heading_vector(figure.heading)
        return x + figure.speed * time * float(ahead_3[0]), y + figure.speed * time * float(ahead_3[1])
    return x, y
