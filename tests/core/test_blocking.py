"""A blocking between its moments."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.blocking import Blocking
from kinora.core.errors import ShapeError


def test_boxes_move_on_straight_lines_and_stay_outside_their_moments():
    box_TP4 = np.array([[[0, 0, 1, 1]], [[0.5, -1, 1, 0.5]]], dtype=np.float32)
    blocking = Blocking(look_P3=np.array([[0, 1, 2]]), box_TP4=box_TP4, position_T=np.array([2.0, 6.0], np.float32))
    at = blocking.at(np.array([0, 3, 6, 9], dtype=np.float32))
    assert at.box_TP4[:, 0].tolist() == [[0, 0, 1, 1], [0.125, -0.25, 1, 0.875], [0.5, -1, 1, 0.5], [0.5, -1, 1, 0.5]]
    assert at.position_T.tolist() == [0, 3, 6, 9]


def test_an_empty_stage_stays_empty():
    blocking = Blocking(
        look_P3=np.zeros((0, 3), np.int64), box_TP4=np.zeros((2, 0, 4), np.float32), position_T=np.float32([0, 20])
    )
    assert blocking.at(np.float32([0, 1, 2])).box_TP4.shape == (3, 0, 4)


def test_looks_and_boxes_that_do_not_belong_together_are_refused():
    with pytest.raises(ShapeError, match=r"Looks of shape \(2, 3\), boxes of shape \(1, 1, 4\) and 1 moments"):
        Blocking(
            look_P3=np.zeros((2, 3), np.int64), box_TP4=np.zeros((1, 1, 4), np.float32), position_T=np.float32([0])
        )
