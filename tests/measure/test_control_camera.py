"""Camera moves measured on points whose way is known, and on true films of moved cameras."""

import math
from itertools import islice

import numpy as np
import pytest

from kinora.core.camera import CameraMove, CameraTrack, camera_track
from kinora.measure.control.camera import (
    View,
    fit_amount,
    fit_turn,
    flow_of_guide,
    measure_camera,
    rotation_vector,
    scaled,
)
from kinora.measure.control.stages import draw_clip, opening, resting_scenes, with_camera
from kinora.measure.control.tracking import Followed, corners, follow

SIDE, FOV = 256, 0.72
SECONDS_F = np.arange(0, 81, 8) / 16.0


def view_of(count: int = 60, seed: int = 0) -> View:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.6, 1.8, count)
    depth[: count // 4] = np.inf
    return View(points_P2=rng.uniform(20, 236, (count, 2)), depth_P=depth, fov=FOV, height=SIDE, width=SIDE)


def seen_as(view: View, track: CameraTrack, noise: float = 0.2, astray: float = 0.0) -> Followed:
    """What a tracker with some noise would report, a share of its points having gone astray together."""
    rng = np.random.default_rng(1)
    pixels = view.seen(track) + rng.normal(0, noise, (len(track.zoom_F), len(view.points_P2), 2))
    lost = rng.random(len(view.points_P2)) < astray
    pixels[:, lost] += np.linspace(0, 30, len(pixels))[:, None, None]
    return Followed(pixels_FP2=pixels, sure_FP=np.isfinite(pixels).all(2))


KINDS = ("pan", "tilt", "roll", "zoom", "horizontal", "vertical", "orbit", "forward")
ALL = [(name, amount) for name in KINDS for amount in (5.0, -5.0)]


@pytest.mark.parametrize(("name", "amount"), ALL)
def test_the_asked_move_is_found_whole_half_and_backwards(name, amount):
    view, track = view_of(), camera_track(CameraMove(**{name: amount}), SECONDS_F)
    for share in (1.0, -0.6):
        found = measure_camera(seen_as(view, scaled(track, share), astray=0.2), view, track)
        assert found.amount == pytest.approx(share, abs=0.04)
        assert found.error == pytest.approx(abs(1 - share), abs=0.05)
        assert found.sign_right is (share > 0)


def test_a_camera_that_stands_still_made_nothing_of_the_move():
    view, track = view_of(), camera_track(CameraMove(pan=5.0), SECONDS_F)
    found = measure_camera(seen_as(view, scaled(track, 0.0)), view, track)
    assert found.amount == pytest.approx(0.0, abs=0.02)
    assert found.error == pytest.approx(1.0, abs=0.02)


def test_a_roll_nobody_wanted_is_an_error_though_the_pan_is_right():
    view = view_of()
    asked = camera_track(CameraMove(pan=5.0), SECONDS_F)
    made = camera_track(CameraMove(pan=5.0, roll=2.0), SECONDS_F)
    found = measure_camera(seen_as(view, made), view, asked)
    assert found.amount == pytest.approx(1.0, abs=0.1)
    assert found.error == pytest.approx(0.4, abs=0.06)


def test_turns_are_found_in_radians():
    view, track = view_of(), camera_track(CameraMove(tilt=4.0, zoom=-5.0), SECONDS_F)
    turn = fit_turn(seen_as(view, track, noise=0.05, astray=0.2), view)
    assert turn.frame == len(SECONDS_F) - 1
    assert np.allclose(turn.rotation_33, track.pose_F34[-1, :, :3], atol=2e-3)
    assert turn.log_zoom == pytest.approx(math.log(track.zoom_F[-1]), abs=5e-3)


def test_what_cannot_be_told_is_none():
    view, track = view_of(4), camera_track(CameraMove(pan=5.0), SECONDS_F)
    found = measure_camera(seen_as(view, track), view, track)
    assert (found.amount, found.error, found.sign_right, found.lasting) == (None, None, None, 1.0)
    scattered = Followed(
        pixels_FP2=np.random.default_rng(0).uniform(0, 256, (len(SECONDS_F), 40, 2)),
        sure_FP=np.ones((len(SECONDS_F), 40), dtype=bool),
    )
    assert fit_turn(scattered, view_of(40)) is None


def test_a_guide_s_flow_serves_where_depth_is_unknown():
    view, track = view_of(), camera_track(CameraMove(horizontal=5.0), SECONDS_F)
    predict = flow_of_guide(seen_as(view, track, noise=0.0))
    assert fit_amount(seen_as(view, scaled(track, 0.7)), predict) == pytest.approx(0.7, abs=0.05)


def test_scaling_a_track_scales_turn_way_and_zoom():
    track = camera_track(CameraMove(pan=6.0, forward=4.0, zoom=3.0), np.array([0.0, 2.0]))
    half = scaled(track, 0.5)
    assert np.allclose(rotation_vector(half.pose_F34[1, :, :3]), 0.5 * rotation_vector(track.pose_F34[1, :, :3]))
    assert np.allclose(half.pose_F34[1, :, 3], 0.5 * track.pose_F34[1, :, 3])
    assert half.zoom_F[1] ** 2 == pytest.approx(track.zoom_F[1])
    assert np.allclose(scaled(track, 0.0).pose_F34, np.eye(3, 4))


@pytest.mark.parametrize(("name", "amount"), [("zoom", -5.0), ("vertical", 5.0)])
def test_true_films_of_moved_cameras(name, amount):
    """From pixels to figures: every sixth frame of a rendered move."""
    scene = next(scene for scene in islice(resting_scenes(500, seconds=4.0), 40) if scene.place.ground == "checker")
    start = opening(scene, 192, 192)
    every = camera_track(CameraMove(**{name: amount}), np.arange(0, 49, 6) / 16.0)
    points = corners(start.rgb_HW3, count=60)
    view = View(points_P2=points, depth_P=start.depth_at(points), fov=scene.camera.fov, height=192, width=192)
    clip = draw_clip(scene, with_camera(scene, every), 192, 192)
    found = measure_camera(follow(clip.frames_FHWC, points), view, every)
    assert found.sign_right
    assert found.error < 0.08
    assert found.amount == pytest.approx(1.0, abs=0.06)
