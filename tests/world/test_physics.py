"""Motion of single bodies and of pairs against the closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kinora.core.slots import SHAPES
from kinora.world.physics import BOB_DAMPING, DENSITY, SLIP_FRICTION, WATER_DRAG, energy, floating_height, start
from kinora.world.scene import Body, Physics, Place, Scene
from kinora.world.simulate import simulate
from kinora.world.trajectories import trajectories

G = 9.81
BALL = Body(shape="sphere", colour="red", size="medium", material="matte")
BOX = replace(BALL, shape="cube")
DRUM = replace(BALL, shape="cylinder")
GROUND = Place(ground="wood", sky="day")
WATER = Place(ground="water", sky="day")


def scene(*bodies: Body, place: Place = GROUND, seconds: float = 5.0, frame_rate: float = 16.0, g: float = G) -> Scene:
    return Scene(place=place, bodies=bodies, seconds=seconds, frame_rate=frame_rate, physics=Physics(gravity=g))


def total_energy(one: Scene) -> np.ndarray:
    """Joules per frame. Spins are left out: without friction they never change."""
    states = simulate(one)
    out = np.zeros(one.frames)
    for n, body in enumerate(one.bodies):
        for f in range(one.frames):
            mover = start(body, water=one.place.ground == "water")
            mover.position = list(states.body_position_FN3[f, n])
            mover.velocity = list(states.body_velocity_FN3[f, n])
            mover.spin = [0.0, 0.0, 0.0]
            out[f] += energy(mover, one.physics.gravity)
    return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("g", [9.81, 3.7])
def test_a_fall_is_half_g_t_squared_and_ends_on_the_ground(shape: str, g: float) -> None:
    body = replace(BALL, shape=shape, action="fall", position=(0.2, 0.1, 3.0))
    states = simulate(scene(body, g=g))
    height_F = states.body_position_FN3[:, 0, 2]
    expected_F = np.maximum(3.0 - 0.5 * g * states.time_F**2, body.radius)
    np.testing.assert_allclose(height_F, expected_F, atol=1e-9)
    assert height_F[-1] == body.radius
    np.testing.assert_array_equal(states.body_velocity_FN3[-1], 0.0)
    np.testing.assert_allclose(states.body_position_FN3[:, 0, :2], [[0.2, 0.1]] * len(height_F))


@pytest.mark.parametrize("restitution", [0.6, 0.75, 0.86])
def test_each_rebound_reaches_restitution_squared_of_the_last(restitution: float) -> None:
    drop = 1.5
    body = replace(BALL, action="bounce", position=(0.0, 0.0, 0.5 + drop), restitution=restitution)
    clear_F = simulate(scene(body, frame_rate=480.0)).body_position_FN3[:, 0, 2] - body.radius
    inner = clear_F[1:-1]
    peaks = inner[(inner > clear_F[:-2]) & (inner >= clear_F[2:])]
    for bounce in range(1, 4):
        assert peaks[bounce - 1] == pytest.approx(drop * restitution ** (2 * bounce), rel=0.01)


def test_bounces_are_the_same_at_any_frame_rate() -> None:
    body = replace(BALL, action="bounce", position=(0.0, 0.0, 2.0), restitution=0.8)
    coarse = simulate(scene(body, frame_rate=4.0)).body_position_FN3[:, 0, 2]
    fine = simulate(scene(body, frame_rate=64.0)).body_position_FN3[::16, 0, 2]
    np.testing.assert_allclose(coarse, fine[: len(coarse)], atol=1e-6)


def test_a_throw_is_a_parabola() -> None:
    body = replace(BALL, action="fly", position=(-1.0, 0.3, 0.7), velocity=(1.5, 0.4, 3.5), friction=0.1)
    states = simulate(scene(body))
    landing = (3.5 + math.sqrt(3.5**2 + 2 * G * 0.2)) / G
    t = states.time_F[states.time_F < landing][:, None]
    expected = np.hstack([-1.0 + 1.5 * t, 0.3 + 0.4 * t, 0.7 + 3.5 * t - 0.5 * G * t**2])
    np.testing.assert_allclose(states.body_position_FN3[: len(t), 0], expected, atol=1e-9)
    assert len(t) > 8


@pytest.mark.parametrize("shape", ["cube", "cylinder", "cone"])
def test_sliding_stops_after_v_squared_over_2_mu_g(shape: str) -> None:
    body = replace(BALL, shape=shape, action="slide", velocity=(0.6, 0.8, 0.0), friction=0.03)
    states = simulate(scene(body))
    slid = np.linalg.norm(states.body_position_FN3[-1, 0] - states.body_position_FN3[0, 0])
    assert slid == pytest.approx(1.0 / (2 * 0.03 * G), rel=1e-6)
    stop = 1.0 / (0.03 * G)
    speed_F = np.linalg.norm(states.body_velocity_FN3[:, 0], axis=1)
    np.testing.assert_allclose(speed_F, np.maximum(1.0 - 0.03 * G * states.time_F, 0.0), atol=1e-9)
    assert (speed_F[states.time_F > stop] == 0.0).all()


def test_without_friction_nothing_slows() -> None:
    states = simulate(scene(replace(BOX, action="slide", velocity=(0.7, 0.0, 0.0))))
    np.testing.assert_allclose(states.body_position_FN3[:, 0, 0], 0.7 * states.time_F, atol=1e-9)


def test_a_rolling_ball_turns_by_distance_over_radius_and_obeys_rolling_resistance() -> None:
    body = replace(BALL, action="roll", velocity=(0.9, 0.0, 0.0), friction=0.02)
    states = simulate(scene(body))
    stop = 0.9 / (0.02 * G)
    t = np.minimum(states.time_F, stop)
    np.testing.assert_allclose(states.body_position_FN3[:, 0, 0], 0.9 * t - 0.5 * 0.02 * G * t**2, atol=1e-9)
    angle_F = states.body_position_FN3[:, 0, 0] / body.radius
    # Rolling to the right turns the top to the right: about +y.
    np.testing.assert_allclose(states.body_rotation_FN33[:, 0, 0, 0], np.cos(angle_F), atol=1e-6)
    np.testing.assert_allclose(states.body_rotation_FN33[:, 0, 0, 2], np.sin(angle_F), atol=1e-6)


def test_a_skidding_ball_keeps_five_sevenths_of_its_speed() -> None:
    body = replace(BALL, action="slide", velocity=(0.0, 1.4, 0.0), friction=1e-9)
    states = simulate(scene(body))
    grips = 2 * 1.4 / (7 * SLIP_FRICTION * G)
    assert states.time_F[1] < grips < states.time_F[3]
    np.testing.assert_allclose(states.body_velocity_FN3[4:, 0, 1], 1.4 * 5 / 7, rtol=1e-6)


def test_floating_is_a_damped_oscillation_about_the_waterline() -> None:
    line = floating_height(0.5)
    body = replace(BOX, action="float", position=(0.0, 0.0, line + 0.1), velocity=(0.4, 0.0, 0.0))
    states = simulate(scene(body, place=WATER))
    natural = math.sqrt(G / (2 * 0.5 * DENSITY))
    rate = natural * math.sqrt(1 - BOB_DAMPING**2)
    decay = BOB_DAMPING * natural
    t = states.time_F
    expected_F = 0.1 * np.exp(-decay * t) * (np.cos(rate * t) + decay / rate * np.sin(rate * t))
    np.testing.assert_allclose(states.body_position_FN3[:, 0, 2] - line, expected_F, atol=1e-9)
    np.testing.assert_allclose(states.body_velocity_FN3[:, 0, 0], 0.4 * np.exp(-WATER_DRAG * t), atol=1e-9)


@pytest.mark.parametrize("restitution", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("second", ["small", "medium", "large"])
def test_two_drums_meet_head_on_as_momentum_and_restitution_say(restitution: float, second: str) -> None:
    first = replace(DRUM, action="slide", position=(-1.5, 0.0, 0.5), velocity=(1.0, 0.0, 0.0), restitution=restitution)
    other = replace(DRUM, size=second, restitution=restitution)
    other = replace(other, position=(0.5, 0.0, other.radius))
    one = scene(first, other)
    after = simulate(one).body_velocity_FN3[-1, :, 0]
    m, n = first.mass, other.mass
    assert after[0] == pytest.approx((m - restitution * n) / (m + n), abs=1e-9)
    assert after[1] == pytest.approx((1 + restitution) * m / (m + n), abs=1e-9)
    ((pair, time),) = trajectories(one).met.items()
    assert pair == (0, 1)
    assert time == pytest.approx(2.0 - first.radius - other.radius, abs=1e-3)


def test_equal_spheres_off_centre_part_at_right_angles() -> None:
    first = replace(BALL, position=(-1.5, 0.0, 0.5), velocity=(1.0, 0.0, 0.0), restitution=1.0)
    second = replace(BALL, position=(0.5, 0.4, 0.5), restitution=1.0)
    after_N3 = simulate(scene(first, second)).body_velocity_FN3[-1]
    assert np.linalg.norm(after_N3, axis=1).min() > 0.2
    assert float(after_N3[0] @ after_N3[1]) == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(after_N3.sum(axis=0), [1.0, 0.0, 0.0], atol=1e-9)


def test_a_sphere_that_hits_a_figure_turns_back() -> None:
    from kinora.world.identity import sample_identity
    from kinora.world.scene import Figure

    figure = Figure(identity=sample_identity(np.random.default_rng(0), held_out=False), position=(1.0, 0.0, 0.0))
    ball = replace(BALL, position=(-1.0, 0.0, 0.5), velocity=(1.0, 0.0, 0.0), restitution=0.5)
    states = simulate(replace(scene(ball), figures=(figure,)))
    assert states.body_velocity_FN3[-1, 0, 0] == pytest.approx(-0.5)
    assert states.body_position_FN3[:, 0, 0].max() < 0.5


def messy_scene(seed: int, restitution: float) -> Scene:
    """Six bodies thrown about without friction, in a ring so that they meet."""
    rng = np.random.default_rng(seed)
    bodies = []
    for k in range(6):
        angle = k * math.pi / 3
        body = replace(
            BALL,
            shape=SHAPES[k % 4] if restitution < 1.0 else "cylinder",
            size=("small", "medium")[k % 2],
            yaw=float(rng.uniform(-3, 3)),
            restitution=restitution,
        )
        x, y = 2.0 * math.cos(angle), 2.0 * math.sin(angle)
        speed = float(rng.uniform(0.5, 1.5))
        aim = float(rng.uniform(-0.3, 0.3))
        heading = (-speed * math.cos(angle + aim), -speed * math.sin(angle + aim), 0.0)
        bodies.append(replace(body, position=(x, y, body.radius), velocity=heading))
    return scene(*bodies)


@pytest.mark.parametrize("seed", range(6))
def test_momentum_is_conserved_when_nothing_rubs(seed: int) -> None:
    one = messy_scene(seed, 0.7)
    run = trajectories(one)
    assert len(run.met) >= 3
    mass_N = np.array([body.mass for body in one.bodies])
    momentum_F2 = (mass_N[:, None] * run.velocity_FN3[:, :, :2]).sum(axis=1)
    np.testing.assert_allclose(momentum_F2, momentum_F2[:1].repeat(len(momentum_F2), 0), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("restitution", [0.3, 1.0])
def test_energy_never_grows_and_is_kept_by_elastic_contacts(seed: int, restitution: float) -> None:
    energy_F = total_energy(messy_scene(seed, restitution))
    assert np.diff(energy_F).max() < 1e-9
    if restitution == 1.0:
        np.testing.assert_allclose(energy_F, energy_F[0], rtol=1e-9)
    else:
        assert energy_F[-1] < 0.9 * energy_F[0]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_ever_inside_anything_else(seed: int) -> None:
    one = messy_scene(seed, 0.4)
    position_FN3 = trajectories(one).position_FN3
    for n, body in enumerate(one.bodies):
        assert (position_FN3[:, n, 2] >= body.radius - 1e-9).all()
        for other_n, other in enumerate(one.bodies[:n]):
            apart_F = np.linalg.norm(position_FN3[:, n] - position_FN3[:, other_n], axis=1)
            # The least distance that any two of these solids can have: a sphere against the slope of a cone.
            least = min(body.radius + 0.618 * other.radius, other.radius + 0.618 * body.radius)
            least = least if "cone" in (body.shape, other.shape) else body.radius + other.radius
            assert apart_F.min() >= least - 1e-4


def test_a_body_dropped_on_another_comes_to_rest_on_top() -> None:
    lower = replace(BOX, size="large", position=(0.0, 0.0, 0.72))
    upper = replace(DRUM, position=(0.1, 0.0, 2.6), restitution=0.3)
    states = simulate(scene(lower, upper))
    np.testing.assert_allclose(states.body_position_FN3[-1, 1], [0.1, 0.0, 1.44 + 0.5], atol=1e-6)
    np.testing.assert_array_equal(states.body_position_FN3[:, 0], states.body_position_FN3[:1, 0].repeat(81, 0))


def test_rotations_stay_rotations_and_solids_keep_their_base_down() -> None:
    ball = replace(BALL, action="roll", position=(0, 0, 0.5), velocity=(0.5, 0.8, 0.0), friction=0.01)
    box = replace(BOX, position=(2.0, 0.0, 0.5), yaw=0.7, action="slide", velocity=(0.3, 0.0, 0.0), friction=0.01)
    rotation_FN33 = simulate(scene(ball, box)).body_rotation_FN33
    product = rotation_FN33 @ rotation_FN33.transpose(0, 1, 3, 2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-9)
    np.testing.assert_allclose(rotation_FN33[:, 1, 2], [[0.0, 0.0, 1.0]] * 81)
    np.testing.assert_allclose(rotation_FN33[:, 1, 1, 0], np.sin(0.7))
