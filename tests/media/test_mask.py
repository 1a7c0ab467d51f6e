"""Masks painted and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinora.core.errors import InputError, MediaError
from kinora.media.mask import polygon_mask, read_mask

INSIDE_HW = np.zeros((20, 30), dtype=bool)
INSIDE_HW[5:11, 7:19] = True
GREY_HW = np.where(INSIDE_HW, 255, 0).astype(np.uint8)


def test_white_is_inside(tmp_path: Path) -> None:
    Image.fromarray(GREY_HW).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png", (20, 30))
    assert (mask.inside_HW == INSIDE_HW).all()
    assert mask.name == str(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGB", "1", "P"])
def test_masks_in_other_modes(tmp_path: Path, mode: str) -> None:
    Image.fromarray(GREY_HW).convert(mode).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png", (20, 30)).inside_HW == INSIDE_HW).all()


def test_the_threshold_lies_at_half(tmp_path: Path) -> None:
    Image.fromarray(np.where(INSIDE_HW, 128, 127).astype(np.uint8)).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png", (20, 30)).inside_HW == INSIDE_HW).all()
    Image.fromarray(np.where(INSIDE_HW, 40_000, 20_000).astype(np.uint16)).save(tmp_path / "deep.png")
    assert (read_mask(tmp_path / "deep.png", (20, 30)).inside_HW == INSIDE_HW).all()


def test_opacity_decides_where_it_varies(tmp_path: Path) -> None:
    black_HW3 = np.zeros((20, 30, 3), dtype=np.uint8)
    Image.fromarray(np.dstack([black_HW3, GREY_HW])).save(tmp_path / "cut.png")
    assert (read_mask(tmp_path / "cut.png", (20, 30)).inside_HW == INSIDE_HW).all()
    Image.fromarray(np.dstack([GREY_HW, GREY_HW, GREY_HW, np.full_like(GREY_HW, 255)])).save(tmp_path / "full.png")
    assert (read_mask(tmp_path / "full.png", (20, 30)).inside_HW == INSIDE_HW).all()


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    Image.fromarray(GREY_HW).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is 30 x 20 .* 64 x 48; .*resize it to 64 x 48"):
        read_mask(tmp_path / "a.png", (48, 64))


def test_an_empty_mask_is_refused(tmp_path: Path) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is empty"):
        read_mask(tmp_path / "a.png", (20, 30))


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(MediaError, match=r"a\.png"):
        read_mask(tmp_path / "a.png", (20, 30))


def test_a_rectangle_covers_its_pixels_exactly() -> None:
    mask = polygon_mask([(7 / 30, 5 / 20), (19 / 30, 5 / 20), (19 / 30, 11 / 20), (7 / 30, 11 / 20)], 20, 30)
    assert (mask.inside_HW == INSIDE_HW).all()
    assert polygon_mask([(0, 0), (1, 0), (1, 1), (0, 1)], 5, 7).inside_HW.all()


def test_a_polygon_has_its_area_either_way_round() -> None:
    star = [(0.5, 0.05), (0.62, 0.4), (0.95, 0.4), (0.7, 0.6), (0.8, 0.95), (0.5, 0.75), (0.2, 0.95), (0.3, 0.6)]
    x, y = np.array([*star, star[0]]).T
    area = abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
    mask = polygon_mask(star, 300, 400)
    assert mask.inside_HW.mean() == pytest.approx(area, rel=0.005)
    assert mask == polygon_mask(star[::-1], 300, 400)


def test_neighbours_share_no_pixel_and_leave_none() -> None:
    cut = [(0.21, 0.0), (0.83, 1.0)]
    left = polygon_mask([(0, 0), *cut, (0, 1)], 33, 47).inside_HW
    right = polygon_mask([cut[0], (1, 0), (1, 1), cut[1]], 33, 47).inside_HW
    assert (left ^ right).all()


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([(0.1, 0.1), (0.5, 0.5)], "2 points"),
        ([(0.1, 0.1), (1.5, 0.5), (0.2, 0.8)], r"\(1\.5, 0\.5\) lies outside"),
        ([(0.1, float("nan")), (0.5, 0.5), (0.2, 0.8)], "lies outside"),
        ([(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)], "empty"),
    ],
)
def test_polygons_that_cannot_be(points: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        polygon_mask(points, 20, 30)
