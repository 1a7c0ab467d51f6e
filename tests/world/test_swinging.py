"""Pendulum, orbit and rope against what is known of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kinora.world.scene import Body, Place, Rope, Scene
from kinora.world.simulate import simulate
from kinora.world.swinging import JOINTS, orbit_path, pendulum_angle, rope_joints, swing_path

GRAVITY = 9.81
TIME_F = np.arange(81) / 16.0
HUNG = Body(
    shape="sphere", colour="red", size="small", material="matte", action="swing",
    anchor=(0.2, 0.1, 2.6), position=(0.2 + 1.5 * math.sin(0.7), 0.1, 2.6 - 1.5 * math.cos(0.7)),
)  # fmt: skip


def exact_period(length: float, start: float) -> float:
    """By the arithmetic-geometric mean: T = 2 pi sqrt(l / g) / agm(1, cos(start / 2))."""
    a, b = 1.0, math.cos(0.5 * start)
    for _ in range(8):
        a, b = 0.5 * (a + b), math.sqrt(a * b)
    return 2.0 * math.pi * math.sqrt(length / GRAVITY) / a


@pytest.mark.parametrize("start", [0.05, 0.7, 1.4])
def test_a_pendulum_keeps_its_exact_period(start: float) -> None:
    period = exact_period(1.5, start)
    angle_F, rate_F = pendulum_angle(start, 1.5, GRAVITY, np.array([0.0, 0.25, 0.5, 1.0, 2.0]) * period)
    assert angle_F == pytest.approx([start, 0.0, -start, start, start], abs=1e-7)
    assert rate_F[[0, 2, 3]] == pytest.approx(0.0, abs=1e-6)


def test_a_moment_does_not_depend_on_the_others() -> None:
    alone, _ = pendulum_angle(0.7, 1.5, GRAVITY, np.array([3.3]))
    among, _ = pendulum_angle(0.7, 1.5, GRAVITY, np.array([0.0, 1.234, 3.3, 4.9]))
    assert alone[0] == among[2]


def test_a_swinging_body_keeps_its_string_and_its_energy() -> None:
    path = swing_path(HUNG, GRAVITY, TIME_F)
    string_F = np.linalg.norm(path.position_F3 - np.array(HUNG.anchor), axis=1)
    assert string_F == pytest.approx(1.5, abs=1e-9)
    energy_F = 0.5 * (path.velocity_F3**2).sum(axis=1) + GRAVITY * path.position_F3[:, 2]
    assert energy_F == pytest.approx(energy_F[0], abs=1e-7)
    # Its own vertical points to the anchor.
    toward_F3 = (np.array(HUNG.anchor) - path.position_F3) / 1.5
    assert path.rotation_F33[:, :, 2] == pytest.approx(toward_F3, abs=1e-9)


def test_velocity_is_the_derivative_of_position() -> None:
    fine_F = np.arange(0.0, 2.0, 1e-4)
    for path in (swing_path(HUNG, GRAVITY, fine_F), orbit_path(replace(HUNG, rate=1.7), fine_F)):
        slope_F3 = (path.position_F3[2:] - path.position_F3[:-2]) / 2e-4
        assert path.velocity_F3[1:-1] == pytest.approx(slope_F3, abs=1e-5)


def test_an_orbit_is_a_level_circle_at_a_constant_rate() -> None:
    moon = replace(HUNG, action="orbit", anchor=(0.5, 0.0, 0.7), position=(1.5, 0.0, 0.9), rate=0.5 * math.pi)
    path = orbit_path(moon, np.array([0.0, 1.0, 2.0, 4.0]))
    expected = [(1.5, 0.0, 0.9), (0.5, 1.0, 0.9), (-0.5, 0.0, 0.9), (1.5, 0.0, 0.9)]
    assert path.position_F3 == pytest.approx(np.array(expected), abs=1e-12)


def test_a_rope_keeps_its_length_and_hangs_from_its_anchor() -> None:
    rope = Rope(angle=0.6, length=1.7, azimuth=0.4)
    joint_FJ3 = rope_joints(rope, GRAVITY, TIME_F)
    assert joint_FJ3.shape == (81, JOINTS, 3)
    assert joint_FJ3[:, 0] == pytest.approx(np.tile(rope.anchor, (81, 1)))
    piece_FL = np.linalg.norm(np.diff(joint_FJ3, axis=1), axis=2)
    assert piece_FL == pytest.approx(1.7 / (JOINTS - 1), abs=1e-12)
    away_FJ2 = (joint_FJ3 - np.array(rope.anchor))[:, :, :2]
    aside_FJ = away_FJ2 @ np.array([-math.sin(0.4), math.cos(0.4)])
    assert aside_FJ == pytest.approx(0.0, abs=1e-12)


def test_a_rope_starts_nearly_straight_and_swings_with_its_first_mode() -> None:
    rope = Rope(angle=0.2, length=1.7, damping=0.0)
    start_J3 = rope_joints(rope, GRAVITY, np.zeros(1))[0]
    bearing_J = np.arctan2(start_J3[1:, 0], -(start_J3[1:, 2] - rope.anchor[2]))
    assert bearing_J[3:] == pytest.approx(0.2, abs=0.03)
    # The first zero of J0 is 2.404826: T = 4 pi / 2.404826 sqrt(l / g).
    period = 4.0 * math.pi / 2.404825557695773 * math.sqrt(1.7 / GRAVITY)
    fine_F = np.linspace(0.0, period, 400)
    end_F = rope_joints(rope, GRAVITY, fine_F)[:, -1, 0]
    first_mode = np.cos(2.0 * np.pi * fine_F / period)
    assert float((end_F * first_mode).sum() / np.linalg.norm(end_F) / np.linalg.norm(first_mode)) > 0.97


def test_a_rope_at_rest_hangs_straight_down() -> None:
    joint_FJ3 = rope_joints(Rope(angle=0.0), GRAVITY, TIME_F)
    assert np.ptp(joint_FJ3, axis=0).max() == 0.0
    assert joint_FJ3[0, -1] == pytest.approx([0.0, 0.0, 2.5 - 1.7])


def test_gravity_of_the_scene_counts() -> None:
    scene = Scene(place=Place(ground="grass", sky="day"), bodies=(HUNG,), ropes=(Rope(angle=0.4),))
    moon = replace(scene, physics=replace(scene.physics, gravity=1.62))
    here, there = simulate(scene), simulate(moon)
    # A quarter of the period passes later by the root of the ratio.
    across_F, slow_F = (one.body_position_FN3[:, 0, 0] - 0.2 for one in (here, there))
    ratio = int((slow_F < 0).argmax()) / int((across_F < 0).argmax())
    assert ratio == pytest.approx(math.sqrt(9.81 / 1.62), rel=0.1)
    assert np.abs(here.rope_FRJ3 - there.rope_FRJ3).max() > 0.1
