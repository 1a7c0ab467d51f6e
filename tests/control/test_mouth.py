"""A drawn mouth: it opens as asked, and nothing else changes."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from kinora.control.guide import cell_caps
from kinora.control.mouth import MouthLevels, mouth_guide
from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression

FACE = (0.5, 0.45, 0.25)
SKIN = (205, 160, 120)


def _head(size: int = 128) -> npt.NDArray[np.uint8]:
    """A disc of skin with white eyes and an old, crooked mouth."""
    y, x = np.mgrid[:size, :size] + 0.5
    across, down = x - FACE[0] * size, y - FACE[1] * size
    picture = np.full((size, size, 3), (90, 130, 190), dtype=np.uint8)
    picture[np.hypot(across, down) < FACE[2] * size] = SKIN
    picture[np.hypot(np.abs(across) - 11, down + 4) < 5] = 240
    picture[(np.abs(down - 14 - 0.1 * across) < 2) & (np.abs(across) < 9)] = (120, 10, 10)
    return picture


def _guide(
    *mouths: tuple[float, float, float, float], face: tuple[float, float, float] = FACE
) -> npt.NDArray[np.uint8]:
    frames = np.repeat(_head()[None], len(mouths), axis=0)
    return mouth_guide(frames, np.array(mouths), np.tile(face, (len(mouths), 1))).frames_FHW3


def _dark(frame_HW3: npt.NDArray[np.uint8]) -> int:
    return int((frame_HW3.max(axis=2) < 90).sum())


def test_the_opening_grows_with_openness() -> None:
    opened = _guide(*[(openness, 0.5, 0.0, 0.0) for openness in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)])
    areas = [_dark(frame) for frame in opened]
    assert all(b > a for a, b in itertools.pairwise(areas)), areas
    assert areas[-1] > 4 * max(areas[0], 20)


def test_width_rounding_and_teeth_do_what_they_say() -> None:
    narrow, wide, round_, toothless, toothy = _guide(
        (0.6, 0.0, 0.0, 0.0), (0.6, 1.0, 0.0, 0.0), (0.6, 0.0, 1.0, 0.0), (0.3, 0.5, 0.0, 0.0), (0.3, 0.5, 0.0, 1.0)
    )

    def span(frame: npt.NDArray[np.uint8]) -> int:
        return int(np.ptp(np.flatnonzero((frame.max(axis=2) < 90).any(axis=0))))

    assert span(round_) < span(narrow) < span(wide)
    assert _dark(toothy) < 0.6 * _dark(toothless)


def test_the_old_mouth_is_wiped() -> None:
    shut = np.array([[0.0, 0.5, 0.0, 0.0]])
    agape = _guide((1.0, 0.5, 0.0, 0.0))
    closed = mouth_guide(agape, shut, np.array([FACE])).frames_FHW3[0]
    expected = _guide((0.0, 0.5, 0.0, 0.0))[0]
    assert _dark(agape[0]) > 150 > 2 * _dark(closed)
    assert np.abs(closed.astype(int) - expected).max() <= 40, "what stood there before does not show through"
    assert np.abs(closed.astype(int) - expected).mean() < 0.1


def test_nothing_outside_the_box_changes_and_its_caps_are_exact() -> None:
    frames = np.repeat(_head()[None], 5, axis=0)
    guide = mouth_guide(frames, np.full((5, 4), 0.7), np.tile(FACE, (5, 1)))
    changed = (guide.frames_FHW3 != frames).any(axis=3)
    assert changed.any()
    assert (guide.cap_FHW[changed] == np.float32(MouthLevels().drawn)).all(), "what is drawn lies inside the box"
    assert not changed[:, :50].any(), "eyes stay"
    assert not guide.cap_FHW[:, :20].any()
    assert not guide.cap_FHW[:, :, :8].any()
    cells = cell_caps(guide.cap_FHW, Compression())
    assert (cells == 0).float().mean() > 0.4
    assert float(cells.max()) == pytest.approx(MouthLevels().drawn, abs=0.02)


def test_frames_without_a_face_stay() -> None:
    frames = np.repeat(_head()[None], 3, axis=0)
    face = np.array([FACE, (0.5, 0.5, 0.0), FACE])
    guide = mouth_guide(frames, np.full((3, 4), 0.7), face)
    assert np.array_equal(guide.frames_FHW3[1], frames[1])
    assert (guide.cap_FHW[1] == 0).all()
    assert not np.array_equal(guide.frames_FHW3[2], frames[2])


@pytest.mark.parametrize("place", [(0.02, 0.5), (0.98, 0.95), (0.5, 1.3), (-3.0, 0.5)])
def test_faces_at_and_beyond_the_edge_are_drawn_as_far_as_they_are_seen(place: tuple[float, float]) -> None:
    drawn = _guide((0.8, 0.5, 0.0, 0.0), face=(*place, 0.25))
    assert drawn.shape == (1, 128, 128, 3)


def test_the_mouth_follows_its_face() -> None:
    frames = np.full((2, 128, 128, 3), SKIN, dtype=np.uint8)
    face = np.array([(0.4, 0.4, 0.2), (0.4 + 16 / 128, 0.4, 0.2)])
    first, second = mouth_guide(frames, np.full((2, 4), 0.5), face).frames_FHW3.astype(int)
    assert np.abs(first[:, :-16] - second[:, 16:]).max() <= 1


def test_lengths_must_agree() -> None:
    with pytest.raises(ShapeError, match="as many"):
        mouth_guide(np.zeros((3, 16, 16, 3), dtype=np.uint8), np.zeros((2, 4)), np.zeros((3, 3)))
