"""Measures of motion on tracks that follow a known law."""

import numpy as np
import pytest

from kinora.core.slots import BodySlots
from kinora.measure.physics import fit_fall, measure_motion, speed_along, speed_error
from kinora.understanding.colour import ColourBody, ColourReading
from kinora.world.scene import Body, Physics, Place, Scene

RATE, RADIUS, WIDTH = 16.0, 0.5, 0.2
METRES_PER_SIDE = 2 * RADIUS / WIDTH


def track(x_F, y_F, *, noise: float = 0.0, colour: str = "red") -> ColourBody:
    rng = np.random.default_rng(0)
    x_F, y_F = (np.asarray(values) + noise * rng.standard_normal(len(values)) for values in (x_F, y_F))
    width_F = np.where(np.isfinite(x_F), WIDTH, np.nan)
    return ColourBody(colour=colour, x_F=x_F, y_F=y_F, area_F=width_F**2, width_F=width_F, direction="none")


def falling(gravity: float, height: float, frames: int = 40) -> np.ndarray:
    """Places from the top, in picture sides, of a body that falls `height` metres and lies still."""
    time = np.arange(frames) / RATE
    return 0.2 + np.minimum(0.5 * gravity * time**2, height) / METRES_PER_SIDE


@pytest.mark.parametrize("gravity", [9.81, 1.62, 20.0])
def test_gravity_comes_out_of_a_fall(gravity):
    fall = fit_fall(track(np.full(40, 0.5), falling(gravity, 2.0)), radius=RADIUS, shape="sphere", frame_rate=RATE)
    assert fall is not None
    assert fall.gravity == pytest.approx(gravity, rel=0.01)
    assert fall.residual < 1e-3


def test_gravity_survives_noise_of_a_quarter_pixel():
    noisy = track(np.full(40, 0.5), falling(9.81, 2.0), noise=0.25 / 128)
    fall = fit_fall(noisy, radius=RADIUS, shape="sphere", frame_rate=RATE)
    assert fall is not None
    assert fall.gravity == pytest.approx(9.81, rel=0.15)


def test_what_lies_still_or_floats_down_at_one_speed():
    still = track(np.full(40, 0.5), np.full(40, 0.5))
    assert fit_fall(still, radius=RADIUS, shape="sphere", frame_rate=RATE) is None
    steady = track(np.full(40, 0.5), np.linspace(0.2, 0.8, 40))
    fall = fit_fall(steady, radius=RADIUS, shape="sphere", frame_rate=RATE)
    assert fall is not None
    assert abs(fall.gravity) < 0.1


def test_a_fall_with_a_gap_is_not_fitted():
    y_F = falling(9.81, 2.0)
    y_F[3] = np.nan
    x_F = np.where(np.isfinite(y_F), 0.5, np.nan)
    assert fit_fall(track(x_F, y_F), radius=RADIUS, shape="sphere", frame_rate=RATE) is None


def test_speed_in_metres_a_second():
    going = track(0.1 + 1.1 / METRES_PER_SIDE * np.arange(40) / RATE, np.full(40, 0.5))
    assert speed_along(going, radius=RADIUS, shape="sphere", frame_rate=RATE) == pytest.approx(1.1, rel=1e-6)


def test_speed_error_is_the_way_out_of_the_word_s_range():
    assert speed_error(0.35, "slow") == 0.0
    assert speed_error(1.1, "fast") == 0.0
    assert speed_error(0.84, "slow") == pytest.approx(1.0)
    assert speed_error(0.475, "fast") == pytest.approx(0.5)


def scene(**body) -> Scene:
    values = {"shape": "sphere", "colour": "red", "size": "medium", "material": "matte", **body}
    return Scene(place=Place(ground="sand", sky="day"), bodies=(Body(**values),), physics=Physics(gravity=9.81))


def test_a_clip_s_motion_against_its_prompt():
    said = (BodySlots(colour="red", action="fall", size="medium"),)
    reading = ColourReading(bodies=(track(np.full(40, 0.5), falling(4.905, 2.0)),), camera_still=True)
    motion = measure_motion(scene(action="fall"), said, reading, RATE)
    assert motion.gravity_error == pytest.approx(0.5, abs=0.02)
    assert motion.speed_error is None
    assert motion.permanence == 1.0


def test_nothing_is_measured_where_it_is_unclear():
    said = (BodySlots(colour="red", action="fall", size="medium"),)
    fall = track(np.full(40, 0.5), falling(9.81, 2.0))
    moving = ColourReading(bodies=(fall,), camera_still=False)
    twins = ColourReading(bodies=(fall, fall), camera_still=True)
    for reading in (moving, twins, ColourReading(bodies=(), camera_still=True)):
        assert measure_motion(scene(action="fall"), said, reading, RATE).gravity_error is None
    glass = measure_motion(
        scene(action="fall", material="glass"), said, ColourReading(bodies=(fall,), camera_still=True), RATE
    )
    assert glass.gravity_error is None
    # A body of a size that nobody stated may be of any size.
    still = ColourReading(bodies=(fall,), camera_still=True)
    unsized = (BodySlots(colour="red", action="fall"),)
    assert measure_motion(scene(action="fall"), unsized, still, RATE).gravity_error is None
    assert measure_motion(scene(action="fall"), said, still, RATE).gravity_error == pytest.approx(0, abs=0.02)
    assert measure_motion(scene(), said, ColourReading(bodies=(), camera_still=True), RATE).permanence is None


def test_stated_speed_across_the_picture():
    said = (BodySlots(colour="red", action="roll", direction="right", speed="fast"),)
    going = track(0.1 + 0.475 / METRES_PER_SIDE * np.arange(40) / RATE, np.full(40, 0.5))
    reading = ColourReading(bodies=(going,), camera_still=True)
    assert measure_motion(scene(action="roll"), said, reading, RATE).speed_error == pytest.approx(0.5, abs=1e-6)
