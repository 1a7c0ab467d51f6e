"""What sampled scenes promise: what is cast happens, before the camera's eyes, and the splits keep their rules."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from kinora.core.errors import InputError
from kinora.core.slots import BODY_ACTIONS, BODY_SLOTS, FIGURE_ACTIONS, FIGURE_SLOTS, SLOTS
from kinora.world.casting import draw_cast
from kinora.world.framing import body_box, figure_box
from kinora.world.identity import is_held_out
from kinora.world.mix import RICHEST_MIX, SIMPLE_MIX, TRAINING_MIX
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots
from kinora.world.splits import HELD_OUT_ACTIONS, HELD_OUT_BODIES, held_out_combinations
from kinora.world.staging import CAMERA_RATES, GROUND_SPEEDS
from kinora.world.trajectories import trajectories

SEEDS = 260


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene(seed) for seed in range(SEEDS)]


def test_a_seed_is_a_scene() -> None:
    assert sample_scene(5) == sample_scene(5)
    assert sample_scene(5) != sample_scene(6)
    assert sample_scene(5, split="held_out") != sample_scene(5)
    assert sample_scene(5).seed == 5
    assert sample_scene(5, split="held_out").split == "held_out"


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InputError, match="validation"):
        sample_scene(0, split="validation")


def test_slots_are_from_the_vocabulary(scenes: list[Scene]) -> None:
    for scene in scenes:
        slots = scene_slots(scene)
        for name in ("ground", "sky", "camera", "camera_speed", "backdrop", "event"):
            value = getattr(slots, name)
            assert value in SLOTS[name] or (name == "camera_speed" and value is None and slots.camera == "still")
        for body in slots.bodies:
            for name, values in BODY_SLOTS.items():
                assert getattr(body, name) in values or (name == "speed" and body.speed is None)
        for figure in slots.figures:
            for name, values in FIGURE_SLOTS.items():
                assert getattr(figure, name) in values


def test_everything_starts_inside_the_central_square(scenes: list[Scene]) -> None:
    for scene in scenes:
        pose_34 = simulate(scene).camera_pose_F34[0]
        for box_83 in [*map(body_box, scene.bodies), *map(figure_box, scene.figures)]:
            seen_83 = (box_83 - pose_34[:, 3]) @ pose_34[:, :3]
            assert (np.abs(seen_83[:, :2]) < math.tan(scene.camera.fov / 2) * seen_83[:, 2:]).all()


def test_everything_stays_in_sight_for_half_of_the_clip(scenes: list[Scene]) -> None:
    for scene in scenes:
        states = simulate(scene)
        for n in range(len(scene.bodies)):
            away_F3 = states.body_position_FN3[:, n] - states.camera_pose_F34[:, :, 3]
            seen_F3 = np.einsum("fi,fij->fj", away_F3, states.camera_pose_F34[:, :, :3])
            edge_F = np.tan(states.camera_fov_F / 2) * seen_F3[:, 2]
            assert (np.abs(seen_F3[:, :2]).max(axis=1) < edge_F).mean() >= 0.5


def test_actions_are_what_the_physics_does(scenes: list[Scene]) -> None:
    done = Counter()
    for scene in scenes:
        run = trajectories(scene)
        for n, body in enumerate(scene.bodies):
            done[body.action] += 1
            height_F = run.position_FN3[:, n, 2] - body.radius
            level_F = np.linalg.norm(run.velocity_FN3[:, n, :2], axis=1)
            if any(n in pair for pair in run.met):
                continue
            if body.action == "rest":
                assert np.ptp(run.position_FN3[:, n], axis=0).max() == 0.0
            elif body.action in ("roll", "slide"):
                assert (body.shape == "sphere") == (body.action == "roll")
                assert np.abs(height_F).max() < 1e-9
                assert np.linalg.norm(run.position_FN3[-1, n] - run.position_FN3[0, n]) > 0.5
                assert (np.diff(level_F) <= 1e-9).all()
            elif body.action == "float":
                assert scene.place.ground == "water"
            elif body.action == "fly":
                assert level_F[0] > 1.0
                assert height_F.max() > height_F[0] + 0.3
                assert height_F[-1] == pytest.approx(0.0, abs=1e-9)
            else:
                assert level_F.max() == 0.0
                assert height_F[0] > 0.5
                assert height_F.min() < 0.1
                rises = run.velocity_FN3[:, n, 2].max() > 1.0
                assert rises == (body.action == "bounce")
    assert set(done) == set(BODY_ACTIONS)


def test_on_water_everything_floats_and_nowhere_else(scenes: list[Scene]) -> None:
    for scene in scenes:
        for body in scene.bodies:
            assert (scene.place.ground == "water") == (body.action == "float")


def test_a_collision_is_told_exactly_when_bodies_meet(scenes: list[Scene]) -> None:
    met = 0
    for scene in scenes:
        states = simulate(scene)
        touched = False
        for n, body in enumerate(scene.bodies):
            for m, other in enumerate(scene.bodies[:n]):
                if "fly" in (body.action, other.action):
                    continue  # landing changes their speed too
                apart_F = np.linalg.norm(states.body_position_FN3[:, n] - states.body_position_FN3[:, m], axis=1)
                reach = (body.radius + other.radius) * 1.45
                change_F = np.abs(np.diff(states.body_velocity_FN3[:, [m, n], :2], axis=0)).max(axis=(1, 2))
                touched |= bool(((apart_F[1:] < reach) & (change_F > 0.05)).any())
        assert (scene_slots(scene).event == "collision") == touched
        met += touched
    assert met > 3


def test_slow_and_fast_are_far_apart(scenes: list[Scene]) -> None:
    speeds = {"slow": [], "fast": []}
    for scene in scenes:
        for body, slots in zip(scene.bodies, scene_slots(scene).bodies, strict=True):
            if slots.speed:
                speeds[slots.speed].append(math.hypot(*body.velocity[:2]))
    for name, (low, high) in GROUND_SPEEDS.items():
        assert min(speeds[name]) >= low
        assert max(speeds[name]) <= high
    assert min(speeds["fast"]) > 2 * max(speeds["slow"])
    assert all(fast > 2 * slow for slow, fast in CAMERA_RATES.values())


def test_directions_are_those_of_the_picture(scenes: list[Scene]) -> None:
    """Where the body goes on the screen of a camera that stays where it starts."""
    told = Counter()
    for scene in scenes:
        still = replace(scene, camera=replace(scene.camera, kind="still"), bodies=scene.bodies)
        states = simulate(still)
        pose_34 = states.camera_pose_F34[0]
        for n, slots in enumerate(scene_slots(scene).bodies):
            if slots.direction == "none" or slots.action == "fly":
                continue
            seen_F3 = (states.body_position_FN3[:12, n] - pose_34[:, 3]) @ pose_34[:, :3]
            across, away = seen_F3[-1, 0] - seen_F3[0, 0], seen_F3[-1, 2] - seen_F3[0, 2]
            told[slots.direction] += 1
            assert {"left": across < 0, "right": across > 0, "toward": away < 0, "away": away > 0}[slots.direction]
            assert (abs(across) > abs(away)) == (slots.direction in ("left", "right"))
    assert set(told) == {"left", "right", "toward", "away"}


def test_two_figures_wear_different_clothes_and_keep_apart() -> None:
    mix = replace(TRAINING_MIX, figures=1.0, second_figure=1.0)
    for seed in range(12):
        scene = sample_scene(seed, mix=mix)
        first, second = scene.figures
        assert first.identity.clothes != second.identity.clothes
        root_FM3 = simulate(scene).figure_root_FM3
        assert np.linalg.norm(root_FM3[:, 0] - root_FM3[:, 1], axis=1).min() > 0.6


def test_speakers_and_nobody_else_have_speech() -> None:
    mix = replace(TRAINING_MIX, figures=1.0)
    figures = [figure for seed in range(40) for figure in sample_scene(seed, mix=mix).figures]
    assert {figure.action for figure in figures} == set(FIGURE_ACTIONS)
    for figure in figures:
        assert (figure.speech is not None) == (figure.action == "speak")


def test_the_mix_is_what_it_says(scenes: list[Scene]) -> None:
    """Also after staging, which turns some casts away."""
    share = len(scenes)
    assert sum(bool(scene.figures) for scene in scenes) / share == pytest.approx(TRAINING_MIX.figures, abs=0.06)
    assert sum(bool(scene.panels) for scene in scenes) / share == pytest.approx(TRAINING_MIX.backdrop, abs=0.05)
    assert sum(scene.camera.kind != "still" for scene in scenes) / share == pytest.approx(TRAINING_MIX.camera, abs=0.08)
    counts = Counter(len(scene.bodies) for scene in scenes if not scene.figures)
    total = sum(counts.values())
    for n, weight in enumerate(TRAINING_MIX.bodies):
        assert counts[n + 1] / total == pytest.approx(weight, abs=0.08)


def test_the_simple_mix_is_simple_and_the_richest_rich() -> None:
    for seed in range(60):
        scene = sample_scene(seed, mix=SIMPLE_MIX)
        assert not scene.panels
        assert len(scene.bodies) + len(scene.figures) <= 2
    assert sum(len(s.bodies) + len(s.figures) for s in (sample_scene(k, mix=RICHEST_MIX) for k in range(5))) >= 14


def test_training_never_shows_a_held_out_combination(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert held_out_combinations(scene) == ()
        assert not any(is_held_out(figure.identity) for figure in scene.figures)
    # Thousands of casts, from which staging only chooses.
    pairs = Counter()
    for seed in range(6000):
        cast = draw_cast(np.random.default_rng([seed, 0]), TRAINING_MIX, "train")
        for body in cast.bodies:
            pairs.update(((body.colour, body.shape), (body.action, cast.ground)))
    assert not set(pairs) & (HELD_OUT_BODIES | HELD_OUT_ACTIONS)
    # Every other pair is there, so every single value too.
    others = set(product(SLOTS["body.colour"], SLOTS["body.shape"])) - HELD_OUT_BODIES
    dry = set(SLOTS["ground"]) - {"water"}
    others |= set(product(set(BODY_ACTIONS) - {"float"}, dry)) - HELD_OUT_ACTIONS
    assert min(pairs[pair] for pair in others) > 20


def test_held_out_scenes_always_show_one() -> None:
    found = Counter()
    for seed in range(70):
        scene = sample_scene(seed, split="held_out")
        assert held_out_combinations(scene)
        found.update(held_out_combinations(scene))
        assert all(is_held_out(figure.identity) for figure in scene.figures)
    assert set(found) == HELD_OUT_BODIES | HELD_OUT_ACTIONS


def test_out_of_range_scenes_are_faster_larger_or_fuller() -> None:
    kinds = Counter()
    for seed in range(24):
        scene = sample_scene(seed, split="out_of_range")
        assert held_out_combinations(scene) == ()
        faster = max([math.hypot(*b.velocity[:2]) for b in scene.bodies if b.action != "fly"], default=0.0) >= 1.5
        larger = all(body.scale == 1.3 for body in scene.bodies)
        more = len(scene.bodies) >= 5
        assert faster or larger or more
        kinds.update(name for name, is_so in (("faster", faster), ("larger", larger), ("more", more)) if is_so)
    assert len(kinds) == 3
