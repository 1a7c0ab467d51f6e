"""Guides: caps of cells, and what a state takes from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.control.guide import Guide, cell_caps, follow_guide
from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression
from kinora.flow.state import initial_state

COMPRESSION = Compression()


def test_cells_wholly_exact_or_free_stay_so_to_the_bit() -> None:
    cap_FHW = np.ones((9, 48, 32), dtype=np.float32)
    cap_FHW[1:5, 16:32, 16:] = 0.0
    cap_THW = cell_caps(cap_FHW, COMPRESSION)
    assert cap_THW.shape == (3, 3, 2)
    expected = torch.ones(3, 3, 2)
    expected[1, 1, 1] = 0.0
    assert torch.equal(cap_THW, expected)


def test_a_mixed_cell_has_the_mean_of_its_pixels_and_frames() -> None:
    cap_FHW = np.zeros((5, 16, 16), dtype=np.float32)
    cap_FHW[0, :4] = 1.0
    cap_FHW[3:, :, :8] = 0.6
    assert cell_caps(cap_FHW, COMPRESSION).flatten().tolist() == pytest.approx([0.25, 0.15], abs=1e-6)


def test_the_first_cell_stands_for_one_frame_and_later_ones_for_four() -> None:
    cap_FHW = np.zeros((9, 16, 16), dtype=np.float32)
    cap_FHW[4], cap_FHW[5] = 1.0, 0.5
    assert cell_caps(cap_FHW, COMPRESSION).flatten().tolist() == [0.0, 0.25, 0.125]
    assert cell_caps(cap_FHW[:1], COMPRESSION).shape == (1, 1, 1)


def test_frames_off_the_grid_are_refused() -> None:
    with pytest.raises(ShapeError, match="4n"):
        cell_caps(np.zeros((8, 16, 16), dtype=np.float32), COMPRESSION)
    with pytest.raises(ShapeError, match="multiples of 16"):
        cell_caps(np.zeros((9, 16, 20), dtype=np.float32), COMPRESSION)


def test_following_lowers_caps_and_leaves_free_and_better_known_cells() -> None:
    known = torch.full((1, 3, 1, 2, 2), 9.0)
    state = initial_state((3, 3, 2, 2), seed=1).know([0], known)
    guide_BCTHW = torch.full((1, 3, 3, 2, 2), 5.0)
    cap_THW = torch.tensor([0.4, 0.4, 1.0])[:, None, None].expand(3, 2, 2)
    followed = follow_guide(state, guide_BCTHW, cap_THW)
    assert followed.cap_BTHW[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.4, 1.0])
    assert followed.clean_BCTHW[0, 0, :, 1, 1].tolist() == [9.0, 5.0, 0.0]
    mixed = 0.6 * 5.0 + 0.4 * state.noise_BCTHW[:, :, 1]
    assert torch.allclose(followed.at(0.8)[:, :, 1], mixed), "above its cap a cell waits at its cap"
    assert torch.allclose(followed.at(0.8)[:, :, 2], 0.8 * state.noise_BCTHW[:, :, 2])
    assert torch.equal(state.cap_BTHW[:, 1:], torch.ones(1, 2, 2, 2)), "the state given stays as it was"


def test_order_does_not_matter_and_references_stay() -> None:
    guide_BCTHW, cap_THW = torch.full((1, 3, 2, 2, 2), 5.0), torch.full((2, 2, 2), 0.3)
    state = initial_state((3, 2, 2, 2), seed=1)
    reference = torch.full((1, 3, 1, 2, 2), 2.0)
    first = follow_guide(state, guide_BCTHW, cap_THW).extend(reference, [-8.0])
    last = follow_guide(state.extend(reference, [-8.0]), guide_BCTHW, cap_THW)
    assert torch.equal(first.clean_BCTHW, last.clean_BCTHW)
    assert torch.equal(first.cap_BTHW, last.cap_BTHW)


def test_guides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="longer"):
        follow_guide(initial_state((3, 2, 2, 2), seed=1), torch.zeros(1, 3, 3, 2, 2), torch.ones(3, 2, 2))
    with pytest.raises(ShapeError, match="uint8"):
        Guide(frames_FHW3=np.zeros((1, 8, 8, 3), dtype=np.float32), cap_FHW=np.zeros((1, 8, 8), dtype=np.float32))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="caps"):
        Guide(frames_FHW3=np.zeros((1, 8, 8, 3), dtype=np.uint8), cap_FHW=np.zeros((2, 8, 8), dtype=np.float32))
