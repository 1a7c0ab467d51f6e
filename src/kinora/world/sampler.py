"""Draws scenes: a cast by the mix, then stagings until one plays out as cast, before the camera's eyes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.world.casting import Cast, draw_cast
from kinora.world.framing import FIGURE_SPACE, stays_visible
from kinora.world.mix import TRAINING_MIX, Mix
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.splits import SPLITS
from kinora.world.staging import stage
from kinora.world.trajectories import trajectories

__all__ = ["sample_scene"]

STAGINGS = 40
"""Tries to stage a cast before another is drawn."""
CASTS = 400
LATEST_STRIKE = 0.6
"""Share of the clip within which a collision must have happened."""


def sample_scene(seed: int, *, split: str = "train", mix: Mix = TRAINING_MIX) -> Scene:
    """The scene of a seed, the same for the same (seed, split, mix); raises `InputError` for an unknown split."""
    if split not in SPLITS:
        raise InputError(f"There is no split {split!r} of the world; choose one of {', '.join(SPLITS)}.")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    for _ in range(CASTS):
        cast = draw_cast(rng, mix, split)
        for _ in range(STAGINGS):
            scene = stage(rng, cast, seed, split)
            if scene is not None and _plays_out(scene, cast):
                return scene
    raise AssertionError(f"No cast of seed {seed} (split {split}) could be staged in {CASTS} draws.")


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
