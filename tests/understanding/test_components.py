"""Connected patches against pictures drawn by hand."""

import numpy as np

from kinora.understanding.components import find_patches


def picture(*rows: str) -> np.ndarray:
    return np.array([[-1 if cell == "." else int(cell) for cell in row] for row in rows])


def test_separate_patches_of_one_class_and_of_two():
    patches = find_patches(picture("00..1", "00..1", ".....", "..0.."), least_area=1)
    assert sorted((patch.kind, patch.area) for patch in patches) == [(0, 1), (0, 4), (1, 2)]


def test_a_spiral_is_one_patch():
    spiral = picture("0000000", "......0", "00000.0", "0...0.0", "0.0.0.0", "0.000.0", "0.....0", "0000000")
    patches = find_patches(spiral, least_area=1)
    assert [patch.area for patch in patches] == [int((spiral == 0).sum())]


def test_corners_do_not_join():
    assert len(find_patches(picture("0.", ".0"), least_area=1)) == 2


def test_middle_box_and_edge():
    (patch,) = find_patches(picture("......", "..33..", "..33..", "..33..", "......"), least_area=2)
    assert (patch.x, patch.y, patch.width, patch.height, patch.touches_edge) == (3.0, 2.5, 2, 3, False)
    (edge,) = find_patches(picture("...", "..2", "..2"), least_area=2)
    assert edge.touches_edge


def test_small_patches_are_dust():
    assert find_patches(picture("0.11", "....", "1..."), least_area=2)[0].kind == 1
    assert find_patches(picture("...", "..."), least_area=1) == []
