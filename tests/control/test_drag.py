"""The brush: areas land where they are asked to, and what is not brushed stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from kinora.control.drag import BrushLevels, DrawnBrush, along_path, brush_guide
from kinora.core.errors import InputError, ShapeError

LEVELS = BrushLevels()


def _scene(height: int = 96, width: int = 128) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A smooth ground with a red square on it, and the square's mask."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([40 + x // 4, 60 + y // 2, 80 + (x + y) // 8], axis=2).astype(np.uint8)
    inside = np.zeros((height, width), dtype=bool)
    inside[40:56, 30:46] = True
    picture[inside] = (250, 20, 20)
    return picture, inside


def _centre(frame_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Centroid (x, y) of what is red."""
    red = np.clip(frame_HW3[..., 0].astype(float) - frame_HW3[..., 1] - 60.0, 0, None)
    y, x = np.mgrid[: red.shape[0], : red.shape[1]]
    return np.array([(red * x).sum(), (red * y).sum()]) / red.sum()


@pytest.mark.parametrize("end", [(40.0, 0.0), (-13.3, 17.7), (25.5, -20.25)])
def test_a_square_lands_where_it_is_asked_to(end: tuple[float, float]) -> None:
    picture, inside = _scene()
    path = np.array([[7.0, 9.0], [7.0 + end[0], 9.0 + end[1]]])
    guide = brush_guide(picture, DrawnBrush(strokes=((inside, path),)), 9)
    for frame in range(9):
        assert _centre(guide.frames_FHW3[frame]) - _centre(picture) == pytest.approx(np.array(end) * frame / 8, abs=0.1)


def test_frame_0_is_the_picture_and_an_area_at_rest_changes_nothing() -> None:
    picture, inside = _scene()
    moving = np.array([[0.0, 0.0], [20.0, 5.0]])
    guide = brush_guide(picture, DrawnBrush(strokes=((inside, moving),)), 5)
    assert np.array_equal(guide.frames_FHW3[0], picture)
    assert (guide.cap_FHW[0] == 0).all()
    resting = brush_guide(picture, DrawnBrush(strokes=((inside, 0 * moving),)), 5)
    assert all(np.array_equal(frame, picture) for frame in resting.frames_FHW3)


def test_caps_name_what_was_dragged_uncovered_left_and_held() -> None:
    picture, inside = _scene()
    static = np.zeros_like(inside)
    static[:8] = True
    path = np.array([[0.0, 0.0], [40.0, 0.0]])
    cap = brush_guide(picture, DrawnBrush(strokes=((inside, path),), static_HW=static), 5).cap_FHW[-1]
    assert cap[48, 38 + 40] == pytest.approx(LEVELS.dragged)
    assert cap[48, 38] == pytest.approx(LEVELS.uncovered)
    assert cap[80, 10] == pytest.approx(LEVELS.stays)
    assert cap[3, 60] == LEVELS.static
    assert (cap[40:56, 70:86] == np.float32(LEVELS.dragged)).all()


def test_unbrushed_and_static_pixels_stay_to_the_bit() -> None:
    picture, inside = _scene()
    static = np.zeros_like(inside)
    static[:, 60:70] = True
    path = np.array([[0.0, 0.0], [40.0, 0.0]])
    guide = brush_guide(picture, DrawnBrush(strokes=((inside, path),), static_HW=static), 9)
    away = np.ones_like(inside)
    away[35:61, 25:92] = False
    for frame in guide.frames_FHW3:
        assert np.array_equal(frame[away | static], picture[away | static])
    assert (guide.cap_FHW[:, static] == 0).all()


def test_the_uncovered_ground_is_filled_like_what_is_around_it() -> None:
    picture, inside = _scene()
    y, x = np.mgrid[:96, :128]
    clean = np.stack([40 + x // 4, 60 + y // 2, 80 + (x + y) // 8], axis=2).astype(np.uint8)
    path = np.array([[0.0, 0.0], [60.0, 0.0]])
    last = brush_guide(picture, DrawnBrush(strokes=((inside, path),)), 5).frames_FHW3[-1]
    wrong = np.abs(last[36:60, 26:50].astype(int) - clean[36:60, 26:50])
    assert wrong.max() <= 8, "no red is left behind, not even a rim"


def test_later_strokes_lie_over_earlier_ones() -> None:
    picture, first = _scene()
    second = np.zeros_like(first)
    second[10:26, 30:46] = True
    picture[second] = (20, 20, 250)
    meet = (np.array([[0, 0], [0.0, 0.0]]), np.array([[0, 0], [0.0, 30.0]]))
    over = brush_guide(picture, DrawnBrush(strokes=((first, meet[0]), (second, meet[1]))), 5).frames_FHW3[-1]
    under = brush_guide(picture, DrawnBrush(strokes=((second, meet[1]), (first, meet[0]))), 5).frames_FHW3[-1]
    assert over[48, 38].tolist() == [20, 20, 250]
    assert under[48, 38].tolist() == [250, 20, 20]


def test_what_leaves_the_picture_is_gone() -> None:
    picture, inside = _scene()
    for end in ((200.0, 0.0), (-300.0, 10.0), (0.0, -90.5)):
        guide = brush_guide(picture, DrawnBrush(strokes=((inside, np.array([[0.0, 0.0], end])),)), 5)
        assert (guide.frames_FHW3[-1][..., 0] < 200).all()
        assert (guide.cap_FHW[-1] != np.float32(LEVELS.dragged)).all()


def test_paths_pass_their_points_on_time_without_jumps_of_velocity() -> None:
    turn = np.linspace(0, 2 * np.pi, 13)
    circle = 50.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    moved = along_path(circle, 12 * 8 + 1)
    assert moved[::8] == pytest.approx(circle - circle[0], abs=1e-9)
    radius = np.linalg.norm(moved + circle[0], axis=1)
    # A chord's velocity is short of the circle's by sin(30 degrees) / (pi / 6); its ends only know one side.
    assert np.abs(radius[8:-8] - 50.0).max() < 0.5
    speed = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    assert np.abs(np.diff(speed)).max() < 0.15 * speed.mean()


def test_a_path_waits_where_its_points_coincide_and_does_not_overshoot() -> None:
    path = np.array([[0, 0], [10, 0], [10, 0], [10, 0], [30.0, 0]])
    moved = along_path(path, 41)
    assert moved[10:31] == pytest.approx(np.tile([10.0, 0.0], (21, 1)))
    assert (np.diff(moved[:, 0]) >= -1e-9).all()


def test_two_points_are_an_even_line_and_one_is_refused() -> None:
    assert along_path(np.array([[5, 5], [13.0, 1]]), 5)[:, 0].tolist() == pytest.approx([0, 2, 4, 6, 8])
    with pytest.raises(InputError, match="at least 2"):
        along_path(np.array([[5.0, 5.0]]), 5)


def test_masks_that_do_not_fit_are_refused() -> None:
    picture, inside = _scene()
    path = np.array([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(ShapeError, match="does not fit"):
        brush_guide(picture, DrawnBrush(strokes=((inside[:-1], path),)), 5)
    with pytest.raises(InputError, match="empty"):
        brush_guide(picture, DrawnBrush(strokes=((np.zeros_like(inside), path),)), 5)


def test_a_wholly_brushed_picture_moves_as_one() -> None:
    picture, inside = _scene()
    guide = brush_guide(picture, DrawnBrush(strokes=((np.ones_like(inside), np.array([[0, 0], [8.0, 0]])),)), 5)
    assert np.array_equal(guide.frames_FHW3[-1][:, 8:], picture[:, :-8])
