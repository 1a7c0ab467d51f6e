"""Hands and what they hold: contact is exact, and what is handled moves as the hands do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinora.world.animals import head_top
from kinora.world.figures import HAND_RADIUS, figure_parts, head_centre
from kinora.world.handling import BITE, SWALLOW, contact_time, push_reach
from kinora.world.mirror import mirror
from kinora.world.mix import ACTS, WIDE_MIX, Mix
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate


def only(act: str) -> Mix:
    """The wide mix with nothing but one act, on a still camera."""
    return replace(WIDE_MIX, acts=tuple(float(name == act) for name in ACTS), camera=0.0, weather=0.0)


def played(act: str, seed: int = 0) -> tuple[Scene, States]:
    scene = sample_scene(seed, mix=only(act))
    return scene, simulate(scene)


def hands(scene: Scene, states: States) -> np.ndarray:
    """Middles of the left and the right hand, (F, 2, 3)."""
    parts = figure_parts(scene.figures[0], states, 0)
    size = HAND_RADIUS * scene.figures[0].identity.height
    return np.stack([part.centre_F3 for part in parts if part.half_3 == pytest.approx((size, size, size))], axis=1)


def level(vector: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vector[..., :2], axis=-1)


@pytest.mark.parametrize("seed", range(4))
def test_a_carried_body_stays_between_the_hands(seed: int) -> None:
    scene, states = played("carry", seed)
    body_F3, hand_FH3 = states.body_position_FN3[:, 0], hands(scene, states)
    middle_F3 = hand_FH3.mean(axis=1)
    assert np.linalg.norm(middle_F3 - body_F3, axis=1).max() < 0.02
    apart_F = np.linalg.norm(hand_FH3[:, 0] - hand_FH3[:, 1], axis=1)
    reach = 2.0 * (scene.bodies[0].radius + HAND_RADIUS * scene.figures[0].identity.height)
    assert apart_F.max() < reach
    assert level(body_F3[-1] - body_F3[0]) == pytest.approx(scene.figures[0].speed * 5.0, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_pushed_body_waits_for_the_hands_and_goes_with_them(seed: int) -> None:
    scene, states = played("push", seed)
    figure, body = scene.figures[0], scene.bodies[0]
    body_F3 = states.body_position_FN3[:, 0]
    met = contact_time(figure, body)
    assert 0.4 < met < 1.4
    before = states.time_F < met
    assert np.ptp(body_F3[before], axis=0).max() == 0.0
    apart_F = level(body_F3 - states.figure_root_FM3[:, 0])
    assert apart_F[~before] == pytest.approx(push_reach(figure, body), abs=1e-9)
    # The hands sink with the stride, and keep their place on the body's near side.
    hand_FH3 = hands(scene, states)[~before]
    assert np.ptp(hand_FH3[..., 2]) < 0.08
    assert np.ptp(level(hand_FH3 - body_F3[~before][:, None]), axis=0).max() < 1e-6
    assert np.linalg.norm(states.body_velocity_FN3[-1, 0]) == pytest.approx(figure.speed, rel=1e-5)


def test_a_pushed_ball_rolls_as_far_as_it_goes() -> None:
    for seed in range(40):
        scene, states = played("push", seed)
        if scene.bodies[0].shape == "sphere":
            break
    gone = level(states.body_position_FN3[-1, 0] - states.body_position_FN3[0, 0])
    turn_33 = states.body_rotation_FN33[-1, 0] @ states.body_rotation_FN33[0, 0].T
    angle = np.arccos(np.clip((np.trace(turn_33) - 1.0) / 2.0, -1.0, 1.0))
    rolled = np.mod(gone / scene.bodies[0].radius, 2.0 * np.pi)
    assert min(rolled, 2.0 * np.pi - rolled) == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_an_eaten_body_goes_from_the_hand_through_the_mouth_out_of_sight(seed: int) -> None:
    scene, states = played("eat", seed)
    figure, body = scene.figures[0], scene.bodies[0]
    body_F3, time_F = states.body_position_FN3[:, 0], states.time_F
    hand_F3 = hands(scene, states)[:, 0 if figure.side > 0 else 1]
    held = time_F <= BITE
    assert np.ptp(body_F3[held] - hand_F3[held], axis=0).max() < 1e-6
    assert np.linalg.norm(body_F3[0] - hand_F3[0]) < 0.18
    centre_F3 = head_centre(figure, states, 0)
    gone = time_F >= SWALLOW
    head = next(part for part in figure_parts(figure, states, 0) if part.paint == "face")
    assert np.linalg.norm(body_F3[gone] - centre_F3[gone], axis=1).max() + 1.74 * body.radius < min(head.half_3)
    # The mouth is open as it arrives, and chews afterwards.
    openness_F = states.figure_mouth_FM4[:, 0, 0]
    assert openness_F[np.abs(time_F - BITE).argmin()] > 0.9
    assert openness_F[time_F > 2.6].max() > 0.15
    assert openness_F[-1] == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_a_stroking_hand_stays_on_the_head_and_moves(seed: int) -> None:
    scene, states = played("stroke", seed)
    figure, animal = scene.figures[0], scene.animals[0]
    hand_F3 = hands(scene, states)[:, 0 if figure.side > 0 else 1]
    top_3 = head_top(animal, np.array(animal.position))
    above_F3 = hand_F3 - top_3
    assert np.abs(above_F3[:, 2] - HAND_RADIUS * figure.identity.height).max() < 0.06
    assert level(above_F3).max() < 0.15
    assert np.ptp(hand_F3, axis=0).max() > 0.1
    other_F3 = hands(scene, states)[:, 1 if figure.side > 0 else 0]
    assert np.ptp(other_F3, axis=0).max() < 0.08


@pytest.mark.parametrize("act", ["carry", "push", "stroke", "eat"])
def test_hands_and_bodies_are_mirrored(act: str) -> None:
    scene, states = played(act, 1)
    other = simulate(mirror(scene))
    swap_3 = np.array([-1.0, 1.0, 1.0])
    # Arms do not sway in step with a mirror, but what they hold or touch is where it should be.
    assert other.body_position_FN3 == pytest.approx(states.body_position_FN3 * swap_3, abs=1e-9)
    first, second = hands(scene, states), hands(mirror(scene), other)[:, ::-1]
    assert np.abs(second - first * swap_3).max() < 0.03
