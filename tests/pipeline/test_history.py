"""Known history in a latent state."""

from __future__ import annotations

import pytest
import torch

from kinora.control.history import know_history
from kinora.core.errors import ShapeError
from kinora.flow.state import initial_state


def test_anchor_and_history_come_first_and_the_rest_is_free() -> None:
    state = initial_state((4, 6, 2, 2), seed=1)
    anchor, history = torch.full((1, 4, 1, 2, 2), 5.0), torch.full((1, 4, 2, 2, 2), 7.0)
    known = know_history(state, anchor, history, cap=0.1)
    assert known.clean_BCTHW[0, 0, :, 0, 0].tolist() == [5, 7, 7, 0, 0, 0]
    assert known.cap_BTHW[0, :, 1, 1].tolist() == pytest.approx([0.1, 0.1, 0.1, 1, 1, 1])
    assert (state.cap_BTHW == 1).all(), "the state given stays as it was"
    expected = 0.9 * 5.0 + 0.1 * state.noise_BCTHW[:, :, :1]
    assert torch.allclose(known.at(1.0)[:, :, :1], expected)


@pytest.mark.parametrize(("anchors", "history"), [(2, 1), (1, 5), (1, 6)])
def test_something_must_be_left_to_make(anchors: int, history: int) -> None:
    state = initial_state((4, 6, 2, 2), seed=1)
    with pytest.raises(ShapeError):
        know_history(state, torch.zeros(1, 4, anchors, 2, 2), torch.zeros(1, 4, history, 2, 2), cap=0.0)
