"""Pictures, references and regions in a latent state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.control.keyframes import know_pictures
from kinora.control.references import REFERENCE_POSITIONS, stand_beside
from kinora.control.region import keep_outside, paste, touched_cells
from kinora.core.errors import InputError, ShapeError
from kinora.core.shapes import Compression
from kinora.flow.state import initial_state

COMPRESSION = Compression()


def test_pictures_are_known_at_their_places() -> None:
    state = initial_state((3, 5, 2, 2), seed=1)
    first, last = torch.full((1, 3, 1, 2, 2), 4.0), torch.full((1, 3, 1, 2, 2), 6.0)
    known = know_pictures(state, {0: first, 4: last})
    assert known.clean_BCTHW[0, 0, :, 0, 0].tolist() == [4, 0, 0, 0, 6]
    assert known.cap_BTHW[0, :, 1, 0].tolist() == [0, 1, 1, 1, 0]
    assert know_pictures(state, {2: last}, cap=0.1).cap_BTHW[0, 2, 0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("index", [-1, 5])
def test_pictures_outside_the_window_are_refused(index: int) -> None:
    with pytest.raises(ShapeError, match="choose from 0 to 4"):
        know_pictures(initial_state((3, 5, 2, 2), seed=1), {index: torch.zeros(1, 3, 1, 2, 2)})


def test_references_stand_before_the_clip_and_keep_their_places() -> None:
    state = initial_state((3, 4, 2, 2), seed=1)
    pictures = torch.stack([torch.full((1, 3, 2, 2), float(n)) for n in (5, 7)], dim=2)
    beside = stand_beside(state, pictures)
    assert beside.position_BT[0].tolist() == [0, 1, 2, 3, *REFERENCE_POSITIONS[:2]]
    assert beside.clean_BCTHW[0, 0, 4:, 0, 0].tolist() == [5, 7]
    assert beside.cap_BTHW[0, :, 1, 1].tolist() == [1, 1, 1, 1, 0, 0]
    assert len(REFERENCE_POSITIONS) == 7
    assert max(REFERENCE_POSITIONS) < 0


def test_an_eighth_reference_is_refused() -> None:
    with pytest.raises(InputError, match="8 references"):
        stand_beside(initial_state((3, 4, 2, 2), seed=1), torch.zeros(1, 3, 8, 2, 2))


def test_cells_outside_a_region_are_known_and_those_it_touches_are_free() -> None:
    inside = np.zeros((48, 64), dtype=bool)
    inside[15:17, 32:48] = True
    assert touched_cells(inside, COMPRESSION).int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    state = initial_state((3, 2, 3, 4), seed=1).extend(torch.full((1, 3, 1, 3, 4), 2.0), [-8.0])
    film = torch.randn(1, 3, 2, 3, 4)
    kept = keep_outside(state, film, inside, COMPRESSION)
    free = touched_cells(inside, COMPRESSION).expand(2, -1, -1)
    assert torch.equal(kept.cap_BTHW[0, :2] == 1, free)
    assert torch.equal(kept.cap_BTHW[0, :2] == 0, ~free)
    assert torch.equal(kept.at(0.7)[0, :, :2][:, ~free], film[0][:, ~free])
    assert torch.equal(kept.clean_BCTHW[:, :, 2], state.clean_BCTHW[:, :, 2]), "references stay as they are"


def test_a_region_off_the_grid_or_a_longer_film_is_refused() -> None:
    state = initial_state((3, 2, 3, 4), seed=1)
    with pytest.raises(ShapeError, match="16 x 16"):
        keep_outside(state, torch.zeros(1, 3, 2, 3, 4), np.ones((48, 60), dtype=bool), COMPRESSION)
    with pytest.raises(ShapeError, match="longer"):
        keep_outside(state, torch.zeros(1, 3, 3, 3, 4), np.ones((48, 64), dtype=bool), COMPRESSION)


def test_pasting_keeps_the_original_outside_to_the_bit_and_the_new_inside() -> None:
    rng = np.random.default_rng(0)
    made, original = (rng.integers(0, 256, (3, 40, 50, 3), dtype=np.uint8) for _ in range(2))
    inside = np.zeros((40, 50), dtype=bool)
    inside[10:30, 12:40] = True
    result = paste(made, original, inside, feather=4)
    assert np.array_equal(result[:, ~inside], original[:, ~inside])
    assert np.array_equal(result[:, 14:26, 16:36], made[:, 14:26, 16:36])
    rim = result[:, 10, 20].astype(float)
    assert rim == pytest.approx(0.75 * original[:, 10, 20] + 0.25 * made[:, 10, 20].astype(float), abs=0.51)


def test_pasting_does_not_fade_at_the_pictures_edge() -> None:
    made, original = np.full((1, 32, 32, 3), 200, dtype=np.uint8), np.zeros((1, 32, 32, 3), dtype=np.uint8)
    inside = np.zeros((32, 32), dtype=bool)
    inside[:, 16:] = True
    row = paste(made, original, inside, feather=5)[0, 0, :, 0]
    assert row[:16].max() == 0
    assert row[16:21].tolist() == [40, 80, 120, 160, 200]
    assert (row[21:] == 200).all()


def test_pasting_nothing_is_the_original_and_wrong_sizes_are_refused() -> None:
    film = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(paste(255 - film, film, np.zeros((16, 16), dtype=bool)), film)
    with pytest.raises(ShapeError, match="sizes must agree"):
        paste(film, film, np.zeros((16, 15), dtype=bool))
