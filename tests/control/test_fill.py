"""Filling holes from around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.control.fill import clone_hole, fill_holes, fill_level


def _hole(height: int, width: int, *, top: int, left: int, size: int) -> torch.Tensor:
    known = torch.ones(1, 1, height, width)
    known[..., top : top + size, left : left + size] = 0.0
    return known


def test_what_is_known_stays_to_the_bit() -> None:
    picture = torch.rand(1, 3, 37, 50)
    known = _hole(37, 50, top=10, left=20, size=12)
    filled = fill_holes(picture, known)
    assert torch.equal(filled[known.expand_as(filled) == 1], picture[known.expand_as(picture) == 1])


def test_a_hole_in_one_colour_takes_that_colour() -> None:
    known = _hole(33, 41, top=3, left=5, size=25)
    picture = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 33, 41)
    assert torch.allclose(fill_holes(picture * known, known), picture, atol=1e-5)


def test_a_hole_between_two_colours_lies_between_them_and_nearer_the_nearer_one() -> None:
    picture = torch.zeros(1, 1, 32, 64)
    picture[..., 32:] = 1.0
    known = torch.ones(1, 1, 32, 64)
    known[..., 16:48] = 0.0
    row = fill_holes(picture, known)[0, 0, 16]
    assert 0 <= float(row.min()) <= float(row[17]) < 0.3
    assert 0.7 < float(row[46]) <= float(row.max()) <= 1
    assert (row.diff() >= -1e-6).all()


def test_half_known_pixels_mix_and_nothing_known_is_zero() -> None:
    picture, known = torch.ones(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.5)
    assert torch.allclose(fill_holes(picture, known), picture, atol=1e-5)
    assert torch.equal(fill_holes(picture, torch.zeros(1, 1, 8, 8)), torch.zeros(1, 1, 8, 8))


def test_level_filling_leads_a_horizon_through_a_hole() -> None:
    picture = np.zeros((24, 60, 3), dtype=np.float32)
    picture[:10], picture[10:] = (80, 120, 200), (150, 120, 60)
    known = np.ones((24, 60), dtype=bool)
    known[4:18, 20:35] = False
    holed = np.where(known[:, :, None], picture, 0.0).astype(np.float32)
    fill_level(holed, known)
    assert holed == pytest.approx(picture, abs=1e-3)


def test_level_filling_runs_evenly_from_side_to_side_and_leaves_unknown_rows() -> None:
    picture = np.zeros((3, 80, 3), dtype=np.float32)
    picture[:, 50:] = 90.0
    known = np.ones((3, 80), dtype=bool)
    known[1, 30:50], known[2] = False, False
    picture[2] = 7.0
    fill_level(picture, known)
    assert (np.diff(picture[1, 29:51, 0]) >= 0).all()
    assert picture[1, 39:41, 0].mean() == pytest.approx(45, abs=1)
    assert (picture[2] == 7).all()


def _stripes(height: int, width: int) -> np.ndarray:
    """Upright stripes, 8 pixels each."""
    return np.repeat(np.where(np.arange(width) // 8 % 2, 150.0, 110.0)[None, :, None], height, 0).astype(
        np.float32
    ) * np.ones(3, dtype=np.float32)


def test_a_clone_continues_a_texture_through_a_hole() -> None:
    picture = _stripes(96, 160)
    hole = np.zeros((96, 160), dtype=bool)
    hole[30:62, 52:84] = True
    holed = np.where(hole[:, :, None], np.float32(130), picture)
    clone_hole(holed, hole, ~hole)
    assert np.array_equal(holed, picture)


def test_a_thing_is_not_cloned_and_where_nothing_fits_the_filling_stays() -> None:
    picture = np.full((64, 64, 3), 60, dtype=np.float32)
    picture[:, 34:] = (250, 20, 20)
    hole = np.zeros((64, 64), dtype=bool)
    hole[4:60, 2:30] = True
    before = picture.copy()
    clone_hole(picture, hole, ~hole)
    assert np.array_equal(picture, before)
