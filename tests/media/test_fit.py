"""Pictures, masks and places fitted to another shape agree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kinora.core.errors import InputError
from kinora.media.fit import fit_mask, fit_picture, fit_places

SHAPES = [(48, 80), (80, 48), (64, 64), (33, 101), (200, 30)]
CASES = [*itertools.product(("crop", "pad"), SHAPES, [(64, 96), (96, 64), (50, 50)])]


def spot(height: int, width: int, y: int, x: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A white square on black, and where it is."""
    inside_HW = np.zeros((height, width), dtype=bool)
    inside_HW[y : y + size, x : x + size] = True
    return np.repeat(inside_HW[..., None], 3, axis=-1).astype(np.uint8) * 255, inside_HW


def centre_of(weight_HW: np.ndarray) -> tuple[float, float]:
    """The middle (x, y) of what is bright, in shares."""
    y_HW, x_HW = np.mgrid[: weight_HW.shape[0], : weight_HW.shape[1]] + 0.5
    total = weight_HW.sum()
    return float((x_HW * weight_HW).sum() / total / weight_HW.shape[1]), float(
        (y_HW * weight_HW).sum() / total / weight_HW.shape[0]
    )


@pytest.mark.parametrize(("how", "from_HW", "to_HW"), CASES)
def test_picture_mask_and_places_agree(how: str, from_HW: tuple[int, int], to_HW: tuple[int, int]) -> None:
    """A spot lies, to half a pixel, where its picture, its mask and its place say."""
    height, width = from_HW
    y, x, size = height // 2 - 9, width // 2 - 3, 8
    rgb_HW3, inside_HW = spot(height, width, y, x, size)
    place = fit_places([((x + size / 2) / width, (y + size / 2) / height)], from_HW, to_HW, how)[0]
    seen_HW = np.where(fit_picture(rgb_HW3, *to_HW, how)[..., 0] > 160, 1.0, 0.0)
    marked_HW = fit_mask(inside_HW, *to_HW, how).astype(float)
    for found in (centre_of(seen_HW), centre_of(marked_HW)):
        assert abs(found[0] - place[0]) * to_HW[1] < 0.6
        assert abs(found[1] - place[1]) * to_HW[0] < 0.6
    assert np.abs(seen_HW - marked_HW).sum() <= 0.5 * marked_HW.sum() + 4


def test_the_same_size_is_the_same_picture() -> None:
    rgb_HW3 = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    for how in ("crop", "pad"):
        assert (fit_picture(rgb_HW3, 32, 48, how) == rgb_HW3).all()
        assert (fit_mask(rgb_HW3[..., 0] > 99, 32, 48, how) == (rgb_HW3[..., 0] > 99)).all()
        assert fit_places([(0.25, 0.75)], (32, 48), (32, 48), how) == ((0.25, 0.75),)


def test_a_crop_is_the_middle() -> None:
    rgb_HW3 = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    assert (fit_picture(rgb_HW3, 32, 32, "crop") == rgb_HW3[:, 16:48]).all()
    assert fit_places([(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)], (32, 64), (32, 32), "crop") == (
        (-0.5, 0.0),
        (0.5, 0.5),
        (1.5, 1.0),
    )
    half_HW = np.zeros((32, 64), dtype=bool)
    half_HW[:, :16] = True
    assert not fit_mask(half_HW, 32, 32, "crop").any(), "all of it is cut off"


def test_padding_keeps_the_whole_and_darkens_the_rest() -> None:
    rgb_HW3 = np.full((32, 64, 3), 200, dtype=np.uint8)
    fitted_HW3 = fit_picture(rgb_HW3, 64, 64, "pad")
    assert (fitted_HW3[16:48] == 200).all()
    assert (fitted_HW3[:16] == 110).all()
    assert (fitted_HW3[48:] == 110).all()
    inside_HW = fit_mask(np.ones((32, 64), dtype=bool), 64, 64, "pad")
    assert inside_HW[16:48].all()
    assert inside_HW.sum() == 32 * 64
    assert fit_places([(0.0, 0.0), (1.0, 1.0)], (32, 64), (64, 64), "pad") == ((0.0, 0.25), (1.0, 0.75))


def test_the_surround_has_the_pictures_colours_without_its_things() -> None:
    rgb_HW3 = np.zeros((32, 64, 3), dtype=np.uint8)
    rgb_HW3[:, ::2] = (250, 0, 0)
    above_HW3 = fit_picture(rgb_HW3, 64, 64, "pad")[:8].astype(int)
    assert above_HW3[..., 0].mean() == pytest.approx(125 * 0.55, abs=4)
    assert above_HW3[..., 0].std() < 4
    assert above_HW3[..., 1:].max() == 0


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes_HW3 = np.zeros((64, 640, 3), dtype=np.uint8)
    stripes_HW3[:, ::2] = 255
    small_HW3 = fit_picture(stripes_HW3, 6, 60, "crop").astype(int)
    assert np.abs(small_HW3[:, 3:-3] - 127.5).max() < 8


def test_a_sliver_survives() -> None:
    assert fit_picture(np.full((1000, 16, 3), 9, dtype=np.uint8), 16, 64, "pad").shape == (16, 64, 3)
    assert fit_picture(np.full((1000, 16, 3), 9, dtype=np.uint8), 16, 64, "crop").shape == (16, 64, 3)


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match="'stretch'; choose crop or pad"):
        fit_picture(np.zeros((32, 32, 3), dtype=np.uint8), 16, 16, "stretch")
