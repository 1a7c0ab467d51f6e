"""Detail: all of it where a guide is exact, none where it is a hint."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.control.detail import TRUSTED, restore_detail
from kinora.control.guide import Guide
from kinora.core.errors import ShapeError


def frames(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 190, (3, 8, 8, 3), dtype=np.uint8)


def guide(cap: float) -> Guide:
    return Guide(frames_FHW3=frames(1), cap_FHW=np.full((3, 8, 8), cap, np.float32))


def test_an_exact_guide_that_came_through_unchanged_is_given_back_to_the_bit() -> None:
    coded = frames(2)
    assert (restore_detail(coded, guide(0.0), coded) == guide(0.0).frames_FHW3).all()


@pytest.mark.parametrize("cap", [TRUSTED, 0.9, 1.0])
def test_a_hint_adds_nothing(cap: float) -> None:
    assert (restore_detail(frames(3), guide(cap), frames(2)) == frames(3)).all()


def test_half_trusted_adds_half_of_what_the_codec_lost() -> None:
    made, coded = frames(3), np.clip(guide(0).frames_FHW3.astype(int) - 20, 0, 255).astype(np.uint8)
    result = restore_detail(made, guide(TRUSTED / 2), coded)
    assert np.abs(result.astype(int) - made - 10).max() <= 1


def test_each_pixel_goes_by_its_own_cap() -> None:
    cap = np.ones((3, 8, 8), np.float32)
    cap[:, :4] = 0.0
    mixed = Guide(frames_FHW3=frames(1), cap_FHW=cap)
    result = restore_detail(frames(3), mixed, frames(2))
    assert (result[:, 4:] == frames(3)[:, 4:]).all()
    assert (result[:, :4] != frames(3)[:, :4]).any()


def test_values_stay_in_range() -> None:
    white = np.full((3, 8, 8, 3), 250, np.uint8)
    result = restore_detail(white, guide(0.0), np.zeros_like(white))
    assert result.max() == 255


def test_sizes_must_agree() -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        restore_detail(frames(3)[:2], guide(0.0), frames(2))
