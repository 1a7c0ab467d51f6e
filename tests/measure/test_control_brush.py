"""Brushed objects found where they are, in pictures put together by hand and in true films."""

from itertools import islice

import numpy as np
import pytest

from kinora.measure.control.brush import Cutout, asked_places, find_cutout, leakage, measure_brush, swept
from kinora.measure.control.motion_trials import BRUSH_MIX, brushable, smooth_path
from kinora.measure.control.stages import along_path, draw_clip, opening, resting_scenes

SIDE, FRAMES = 128, 13
ROW, COLUMN = np.mgrid[:SIDE, :SIDE]


def noise_picture(seed: int = 0, calm: int = 40):
    """Smooth noise: something to hold everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(100 - calm, 100 + calm, (SIDE // 8, SIDE // 8, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8))


def disc(x: float, y: float, radius: float = 11.0):
    return np.hypot(COLUMN + 0.5 - x, ROW + 0.5 - y) < radius


def film_of(places_F2, *, background=None, leave_copy=False):
    """A striped red disc that goes along places (pixels) over a still background."""
    background = noise_picture() if background is None else background
    frames = []
    for x, y in places_F2:
        frame = background.copy()
        for at_x, at_y in ([places_F2[0]] if leave_copy else []) + [(x, y)]:
            frame[disc(at_x, at_y)] = (220, 40, 40)
            frame[disc(at_x, at_y) & (np.abs(ROW + 0.5 - at_y) < 3)] = (250, 220, 60)
        frames.append(frame)
    return np.stack(frames)


PATH_F2 = np.column_stack([np.linspace(30, 90, FRAMES), np.linspace(40, 80, FRAMES)])


def test_an_object_that_goes_where_it_should():
    found = measure_brush(film_of(PATH_F2), [disc(*PATH_F2[0])], [PATH_F2 / SIDE])
    assert found.end_error < 0.01
    assert found.path_error < 0.01
    assert found.near_error < 0.01
    assert found.lost == 0.0
    assert found.leakage < 0.05


def test_an_object_that_goes_astray_is_found_there_and_its_error_is_how_far():
    astray_F2 = PATH_F2 + np.linspace(0, 1, FRAMES)[:, None] * [0.0, -32.0]
    found = measure_brush(film_of(astray_F2), [disc(*PATH_F2[0])], [PATH_F2 / SIDE])
    assert found.end_error == pytest.approx(32 / SIDE, abs=0.01)
    assert found.lost == 0.0


def test_an_object_left_behind_is_far_from_where_it_should_be():
    still = film_of(np.repeat(PATH_F2[:1], FRAMES, axis=0))
    found = measure_brush(still, [disc(*PATH_F2[0])], [PATH_F2 / SIDE])
    assert found.end_error == pytest.approx(np.linalg.norm(PATH_F2[-1] - PATH_F2[0]) / SIDE, abs=0.01)
    assert found.near_error <= 0.13 < found.end_error


def test_an_object_that_vanishes_is_lost():
    frames = film_of(PATH_F2)
    frames[1:] = noise_picture()
    assert measure_brush(frames, [disc(*PATH_F2[0])], [PATH_F2 / SIDE]).lost == 1.0


@pytest.mark.parametrize("share", [0.85, 1.0, 1.18])
def test_a_cutout_is_found_at_other_sizes_and_between_pixels(share):
    first = film_of(PATH_F2[:1])[0]
    cutout = Cutout.of(first, disc(*PATH_F2[0]))
    assert cutout.middle_2 == pytest.approx(PATH_F2[0], abs=0.6)
    other = noise_picture(4)
    radius = 11.0 * share
    other[disc(70.4, 50.0, radius)] = (220, 40, 40)
    other[disc(70.4, 50.0, radius) & (np.abs(ROW + 0.5 - 50.0) < 3 * share)] = (250, 220, 60)
    found, near = find_cutout(other, cutout, np.array([72.0, 52.0]), 10.0)
    assert found.place_2 == pytest.approx((70.4, 50.0), abs=0.9)
    assert near == found
    assert found.alike > 0.6


def test_leakage_is_the_motion_of_what_should_stay():
    background = noise_picture(7)
    moving = np.stack([np.roll(background, 2 * f, axis=1) for f in range(9)])
    anywhere = np.ones((SIDE, SIDE), dtype=bool)
    assert leakage(np.stack([background] * 9), anywhere) == pytest.approx(0.0, abs=0.01)
    assert leakage(moving, anywhere) == pytest.approx(12.0, abs=4.5)  # frames 4 and 8 moved by 8 and 16
    assert leakage(np.full((9, SIDE, SIDE, 3), 80, np.uint8), anywhere) is None


def test_what_the_brush_sweeps_is_left_out():
    swept_HW = swept([disc(*PATH_F2[0])], [PATH_F2 / SIDE], SIDE, SIDE)
    for x, y in PATH_F2:
        assert swept_HW[disc(x, y, 12.0)].all()
    assert not swept_HW[:10].any()
    assert not swept_HW[-20:].any()


def test_points_are_spread_evenly_in_time():
    places = asked_places(np.array([[0.0, 0.0], [0.5, 0.2], [0.5, 0.6]]), 9)
    assert places[4] == pytest.approx([0.5, 0.2])
    assert places[2] == pytest.approx([0.25, 0.1])
    assert places[-1] == pytest.approx([0.5, 0.6])


def test_drawn_paths_keep_the_mask_inside():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mask = disc(*rng.uniform(20, SIDE - 20, 2))
        path = smooth_path(rng, mask)
        assert 2 <= len(path) <= 77
        moved = (path - path[0]) * SIDE
        row, column = np.nonzero(mask)
        for x, y in moved:
            assert column.min() + x > -2
            assert column.max() + x < SIDE + 1
            assert row.min() + y > -2
            assert row.max() + y < SIDE + 1
        assert np.abs(moved[-1]).max() > 5


@pytest.mark.parametrize("number", [0, 1])
def test_true_films_of_dragged_bodies(number):
    """A rendered body led along a path: its light and its perspective change, and it is still found."""
    scenes = islice(resting_scenes(20_000, mix=BRUSH_MIX, seconds=2.0), 30)
    starts = (opening(scene, SIDE, SIDE) for scene in scenes if scene.bodies)
    start = next(islice((one for one in starts if brushable(one, 0)), number, None))
    mask = start.ids_HW == 2
    points = smooth_path(np.random.default_rng(number), mask)
    path_F2 = asked_places(points, FRAMES)
    clip = draw_clip(start.scene, along_path(start.scene, 0, path_F2), SIDE, SIDE)
    found = measure_brush(clip.frames_FHWC, [mask], [path_F2])
    assert np.linalg.norm(points[-1] - points[0]) > 0.05
    assert found.end_error < 0.06  # led aside it is seen from another side, and its light changes
    assert found.lost == 0.0
    assert found.leakage is None or found.leakage < 0.3


def test_what_may_be_brushed_is_never_hidden():
    for scene in islice(resting_scenes(20_000, mix=BRUSH_MIX), 8):
        start = opening(scene, 64, 64)
        for body in range(len(scene.bodies)):
            if brushable(start, body):
                own = start.ids_HW == 2 + body
                assert 0.008 < own.mean() < 0.12
                assert np.median(start.depth_HW[own]) < start.depth_HW[(start.ids_HW >= 2) & ~own].min(initial=np.inf)
