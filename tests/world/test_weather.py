"""Rain, snow, fog and waves: veils that come between, and water that carries what floats on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinora.core.slots import WEATHERS
from kinora.world.frame import draw
from kinora.world.lights import sky_colour
from kinora.world.mirror import mirror
from kinora.world.projection import project
from kinora.world.render import Rendered, render, render_states
from kinora.world.scene import Body, CameraPath, Place, Scene
from kinora.world.simulate import simulate
from kinora.world.stage import make_stage
from kinora.world.swell import HIGHEST, swell_at
from kinora.world.weather import FALLS, falling

SIZE = 96
CLEAR = Place(ground="grass", sky="overcast", seed=5, wind=0.7)


def body(x: float, y: float, *, z: float = 0.5, colour: str = "red") -> Body:
    return Body(shape="sphere", colour=colour, size="medium", material="matte", position=(x, y, z))


def scene(*bodies: Body, place: Place = CLEAR) -> Scene:
    return Scene(place=place, bodies=bodies)


def drawn(one: Scene, frames: tuple[int, ...] = (0,), size: int = SIZE) -> Rendered:
    return render([one], height=size, width=size, frames=[frames], truth=True)


def pixels(one: Scene, frame: int = 0, size: int = SIZE) -> np.ndarray:
    return drawn(one, (frame,), size).rgb_BFHW3[0, 0].numpy().astype(np.float64)


def weathered(one: Scene, weather: str) -> Scene:
    return replace(one, place=replace(one.place, weather=weather))


@pytest.mark.parametrize("weather", WEATHERS[1:])
def test_weather_changes_the_picture_and_not_the_truth(weather: str) -> None:
    clear, other = drawn(scene(body(0.0, 0.0))), drawn(weathered(scene(body(0.0, 0.0)), weather))
    assert clear.ids_BFHW is not None
    assert other.ids_BFHW is not None
    assert (clear.ids_BFHW == other.ids_BFHW).all()
    assert clear.depth_BFHW is not None
    assert (clear.depth_BFHW == other.depth_BFHW).all()
    assert (clear.rgb_BFHW3.float() - other.rgb_BFHW3.float()).abs().mean() > 3


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_drops_lie_where_the_camera_sees_them(weather: str) -> None:
    """A picture without drops is told apart from one with them exactly around projected drops."""
    one = weathered(replace(scene(), camera=replace(CameraPath(), kind="pan_left", rate=0.1)), weather)
    states = simulate(one)
    fall = FALLS[weather]
    head_VK3, tail_VK3 = falling(one, fall, states.time_F)
    lighter: list[bool] = []
    for frame in (0, 40, 72):
        middle_K3 = 0.5 * (head_VK3[frame] + tail_VK3[frame])
        pixel_K2, depth_K = project(middle_K3, states.camera_pose_F34[frame], one.camera.fov, SIZE, SIZE)
        seen = (depth_K > 2.0) & (depth_K < 5.0) & (pixel_K2 > 4).all(1) & (pixel_K2 < SIZE - 4).all(1)
        # Before the ground: those drops must show as something lighter.
        seen &= (pixel_K2[:, 1] > 0.6 * SIZE) & (middle_K3[:, 2] > 0.15)
        picture = pixels(one, frame).mean(axis=2)
        column, row = pixel_K2[seen].astype(int).T
        lighter += (picture[row, column] > np.median(picture[int(0.6 * SIZE) :]) + 8).tolist()
    assert len(lighter) > 8
    assert np.mean(lighter) > 0.8


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_what_stands_before_them_hides_them(weather: str) -> None:
    """Nothing falls between the camera and a body right before it."""
    near = weathered(scene(replace(body(0.0, -4.9, z=1.6), size="small")), weather)
    result = drawn(near)
    assert result.ids_BFHW is not None
    inside = result.ids_BFHW[0, 0].numpy() == 2
    assert inside.sum() > 1500
    red = result.rgb_BFHW3[0, 0].numpy()[inside].astype(float)
    assert (red[:, 0] > red[:, 1] + 15).mean() > 0.985


def test_flakes_drift_and_do_not_jump() -> None:
    one = weathered(scene(), "snow")
    head_VK3, _ = falling(one, FALLS["snow"], np.arange(32) / 16.0)
    step_VK = np.linalg.norm(np.diff(head_VK3, axis=0), axis=2)
    # Only those that reach the ground start again above.
    assert np.mean(step_VK > 0.12) < 0.03
    assert np.median(step_VK) == pytest.approx(FALLS["snow"].speed / 16.0, rel=0.25)


def test_fog_takes_contrast_with_distance() -> None:
    def redness(weather: str, y: float) -> float:
        one = weathered(scene(body(0.0, y)), weather)
        result = drawn(one)
        assert result.ids_BFHW is not None
        rgb = result.rgb_BFHW3[0, 0].numpy()[result.ids_BFHW[0, 0].numpy() == 2].astype(float)
        return float(np.median(rgb[:, 0] - rgb[:, 2]))

    near, middle, far = (redness("fog", y) / redness("clear", y) for y in (-3.5, 0.0, 6.0))
    assert near > middle > far
    assert near > 0.45
    assert far < 0.5 * near


def test_fog_hides_the_sky_and_the_horizon() -> None:
    picture = pixels(weathered(scene(place=replace(CLEAR, sky="day")), "fog"))
    grey = 255 * np.array(sky_colour(Place(ground="grass", sky="day", weather="fog"))) ** (1 / 2.2)
    assert np.abs(picture[4:30] - grey).max() < 25
    assert np.ptp(picture[8:30].mean(axis=(1, 2))) < 10


def test_shadows_are_soft_where_cloud_hides_the_sun() -> None:
    def darkest(weather: str) -> float:
        one = scene(body(0.0, 0.0), place=Place(ground="snow", sky="day", weather=weather))
        bare = pixels(replace(one, bodies=()))
        return float((pixels(one) - bare)[60:].min())

    assert darkest("clear") < darkest("fog") - 20


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_weather_is_mirrored(weather: str) -> None:
    one = weathered(scene(body(0.6, 0.0), place=replace(CLEAR, ground="checker")), weather)
    head_VK3, tail_VK3 = falling(one, FALLS[weather], np.array([1.3]))
    other_VK3, other_tail_VK3 = falling(mirror(one), FALLS[weather], np.array([1.3]))
    swap_3 = np.array([-1.0, 1.0, 1.0])
    assert other_VK3 == pytest.approx(head_VK3 * swap_3, abs=1e-9)
    assert other_tail_VK3 == pytest.approx(tail_VK3 * swap_3, abs=1e-9)


WATER = Place(ground="water", sky="day", seed=3, waves="waves", wind=0.5)


def afloat(x: float, y: float) -> Body:
    return replace(body(x, y, z=0.2), action="float")


def test_waves_lift_what_floats() -> None:
    one = scene(afloat(0.3, 0.0), place=WATER)
    calm = simulate(replace(one, place=replace(WATER, waves="calm")))
    rough = simulate(one)
    x_F, y_F, _ = rough.body_position_FN3[:, 0].T
    height_F, climb_F = swell_at(WATER, x_F, y_F, rough.time_F)
    assert rough.body_position_FN3[:, 0, 2] - calm.body_position_FN3[:, 0, 2] == pytest.approx(height_F, abs=1e-12)
    assert np.ptp(height_F) > 0.1
    assert np.abs(height_F).max() <= HIGHEST
    fine_F = np.arange(0.0, 2.0, 1e-3)
    fine_height_F, fine_climb_F = swell_at(WATER, 0.0 * fine_F, 0.0 * fine_F, fine_F)
    assert np.gradient(fine_height_F, fine_F)[1:-1] == pytest.approx(fine_climb_F[1:-1], abs=1e-3)
    assert (rough.body_velocity_FN3 - calm.body_velocity_FN3)[:, 0, 2] == pytest.approx(climb_F, abs=1e-12)


def test_the_depth_of_rough_water_is_that_of_its_waves() -> None:
    one = scene(place=WATER)
    result = drawn(one, (7,))
    assert result.depth_BFHW is not None
    depth_HW = result.depth_BFHW[0, 0].numpy().astype(np.float64)
    states = simulate(one)
    pose_34 = states.camera_pose_F34[7]
    focal = 0.5 * SIZE / np.tan(0.5 * one.camera.fov)
    rows = range(62, SIZE, 7)
    found, true = [], []
    for row in rows:
        for column in range(5, SIZE, 18):
            ray_3 = np.array([(column + 0.5 - SIZE / 2) / focal, (row + 0.5 - SIZE / 2) / focal, 1.0])
            x, y, z = pose_34[:, 3] + depth_HW[row, column] * (pose_34[:, :3] @ ray_3)
            height, _ = swell_at(WATER, np.array([x]), np.array([y]), states.time_F[7:8])
            found.append(z)
            true.append(float(height[0]))
    assert np.corrcoef(found, true)[0, 1] > 0.93
    assert np.abs(np.array(found) - true).mean() < 0.02


def test_waves_hide_what_is_under_them_and_travel() -> None:
    sunk = scene(replace(body(0.0, 0.0, z=-0.9), action="float"), place=WATER)
    states = simulate(sunk).at(np.array([3]))
    states.body_position_FN3[:, 0, 2] = -0.9
    result = render_states([sunk], [states], height=SIZE, width=SIZE, truth=True)
    assert result.ids_BFHW is not None
    assert not (result.ids_BFHW == 2).any()
    bare = scene(place=WATER)
    assert np.abs(pixels(bare, 0) - pixels(bare, 5))[55:].mean() > 3

    def along_rows(one: Scene) -> float:
        lower = pixels(one)[60:]
        return float((lower - lower.mean(axis=1, keepdims=True)).std())

    assert along_rows(bare) > 1.5 * along_rows(scene(place=replace(WATER, waves="calm")))


def test_waves_and_what_they_carry_are_mirrored() -> None:
    one = scene(afloat(0.7, 0.3), place=WATER)
    ours, other = simulate(one), simulate(mirror(one))
    assert other.body_position_FN3 == pytest.approx(ours.body_position_FN3 * np.array([-1.0, 1.0, 1.0]), abs=1e-9)


def test_scenes_of_different_weather_can_be_drawn_together() -> None:
    places = [CLEAR, WATER, replace(CLEAR, weather="fog", sky="sunset"), replace(CLEAR, weather="snow", sky="night")]
    scenes = [scene(place=place) for place in places]
    alone = [pixels(one, 4, 48) for one in scenes]
    states = [simulate(one).at(np.array([4])) for one in scenes]
    picture = draw(make_stage(scenes, states, 48, 48, torch.device("cpu")), truth=False)
    together = picture.rgb_N3.reshape(4, 48, 48, 3).numpy().astype(np.float64)
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= 2
