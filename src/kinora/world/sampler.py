"""Draws scenes: a cast by the mix, then stagings until one plays out as cast, before the camera's eyes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.world.acts import stage_act
from kinora.world.casting import Cast, draw_cast, one_of
from kinora.world.dressing import dressed, in_split, with_held_out
from kinora.world.framing import FIGURE_SPACE, all_in_frame, stays_visible
from kinora.world.mix import ACTS, TRAINING_MIX, Mix
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.splits import SPLITS
from kinora.world.staging import stage
from kinora.world.trajectories import trajectories

__all__ = ["sample_scene"]

STAGINGS = 40
"""Tries to stage a cast before another is drawn."""
CASTS = 400
TOUCHING = ("carry", "push", "stroke", "eat", "close")
"""Acts in which one thing may stand before another, or too near for a whole figure to be seen."""
LATEST_STRIKE = 0.6
"""Share of the clip within which a collision must have happened."""


def sample_scene(seed: int, *, split: str = "train", mix: Mix = TRAINING_MIX) -> Scene:
    """The scene of a seed, the same for the same (seed, split, mix); raises `InputError` for an unknown split."""
    if split not in SPLITS:
        raise InputError(f"There is no split {split!r} of the world; choose one of {', '.join(SPLITS)}.")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    for _ in range(CASTS):
        scene = _plain(rng, mix, seed, split) if mix.world == "1.0" else _wide(rng, mix, seed, split)
        if scene is not None:
            return scene
    raise AssertionError(f"No cast of seed {seed} (split {split}) could be staged in {CASTS} draws.")


def _plain(rng: np.random.Generator, mix: Mix, seed: int, split: str) -> Scene | None:
    """A cast on one of its stagings, or None where none would do: the scenes of world 1.0."""
    cast = draw_cast(rng, mix, split)
    for _ in range(STAGINGS):
        scene = stage(rng, cast, seed, split)
        if scene is not None and _plays_out(scene, cast):
            return scene
    return None


def _wide(rng: np.random.Generator, mix: Mix, seed: int, split: str) -> Scene | None:
    """An act or a plain scene, dressed; what is out of range is so by its plain cast alone."""
    act = one_of(rng, (*ACTS, "plain"), (*mix.acts, 1.0 - sum(mix.acts))) if mix.acts else "plain"
    if act != "plain" and split != "out_of_range":
        return _act(rng, act, mix, seed, split)
    scene = _plain(rng, mix, seed, split)
    if scene is None or _talks_over(scene):
        return None
    for _ in range(STAGINGS):
        done = dressed(rng, scene, mix)
        if in_split(done):
            return done
    return None


def _act(rng: np.random.Generator, act: str, mix: Mix, seed: int, split: str) -> Scene | None:
    """An act in its split and before the camera's eyes, or None where no staging was."""
    for _ in range(STAGINGS):
        scene = stage_act(rng, act, mix, seed, split)
        if scene is None:
            continue
        scene = dressed(rng, scene, mix)
        if split == "held_out":
            scene = with_held_out(rng, scene)
        if not in_split(scene):
            continue
        states = simulate(scene)
        if all_in_frame(scene, states) and (act in TOUCHING or stays_visible(scene, states)):
            return scene
    return None


def _talks_over(scene: Scene) -> bool:
    """Whether somebody speaks while others do anything but listen."""
    actions = [figure.action for figure in scene.figures]
    if "speak" not in actions:
        return False
    actions.remove("speak")
    return any(action != "stand" for action in actions)


def _plays_out(scene: Scene, cast: Cast) -> bool:
    """Whether the bodies meet exactly when cast to, nothing lands on anything else, and all stay in sight."""
    wanted = {(0, 1)} if cast.collide else set()
    bodies = trajectories(scene, only=wanted)
    if set(bodies.met) != wanted or any(time > LATEST_STRIKE * scene.seconds for time in bodies.met.values()):
        return False
    if cast.ground != "water" and _stacked(scene, bodies.position_FN3):
        return False
    states = simulate(scene, bodies=bodies)
    return _clear_of_figures(scene, states) and stays_visible(scene, states)


def _stacked(scene: Scene, position_FN3: npt.NDArray[np.float64]) -> bool:
    """Whether anything is ever over something else, where it might land on it."""
    for i, first in enumerate(scene.bodies):
        for j, second in enumerate(scene.bodies[:i]):
            away_F2 = position_FN3[:, i, :2] - position_FN3[:, j, :2]
            if np.linalg.norm(away_F2, axis=1).min() < 0.97 * max(first.radius, second.radius):
                return True
    return False


def _clear_of_figures(scene: Scene, states: States) -> bool:
    """Whether figures keep their distance from bodies and from each other for the whole clip."""
    root_FM2 = states.figure_root_FM3[:, :, :2]
    for m, figure_F2 in enumerate(np.moveaxis(root_FM2, 1, 0)):
        for n, body in enumerate(scene.bodies):
            away_F = np.linalg.norm(states.body_position_FN3[:, n, :2] - figure_F2, axis=1)
            if away_F.min() < body.radius * (1.42 if body.shape == "cube" else 1.0) + FIGURE_SPACE:
                return False
        for other in range(m):
            if np.linalg.norm(root_FM2[:, other] - figure_F2, axis=1).min() < 2.0 * FIGURE_SPACE:
                return False
    return True
