"""A blocking between its moments."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.blocking import KINDS, Blocking
from kinora.core.camera import spoken_move
from kinora.core.errors import ShapeError
from kinora.core.slots import CAMERAS, SPEEDS


def test_boxes_move_on_straight_lines_and_stay_outside_their_moments():
    box_TP4 = np.array([[[0, 0, 1, 1]], [[0.5, -1, 1, 0.5]]], dtype=np.float32)
    blocking = Blocking(look_P3=np.array([[0, 1, 2]]), box_TP4=box_TP4, position_T=np.array([2.0, 6.0], np.float32))
    at = blocking.at(np.array([0, 3, 6, 9], dtype=np.float32))
    assert at.box_TP4[:, 0].tolist() == [[0, 0, 1, 1], [0.125, -0.25, 1, 0.875], [0.5, -1, 1, 0.5], [0.5, -1, 1, 0.5]]
    assert at.position_T.tolist() == [0, 3, 6, 9]


def test_a_things_way_is_what_its_middle_goes_in_a_latent_frame():
    box_TP4 = np.array([[[0, 0, 1, 1]], [[0.5, -1, 1, 0.5]]], dtype=np.float32)
    blocking = Blocking(look_P3=np.array([[0, 1, 2]]), box_TP4=box_TP4, position_T=np.array([2.0, 6.0], np.float32))
    way_TP2 = blocking.way(np.array([0, 2, 4, 9], dtype=np.float32))
    # Half as far at either end, where it stands still before or after.
    assert way_TP2[:, 0].tolist() == [[0, 0], [0.0625, -0.125], [0.125, -0.25], [0, 0]]


def test_the_cameras_move_stays_with_a_blocking():
    blocking = Blocking(
        look_P3=np.zeros((0, 3), np.int64), box_TP4=np.zeros((1, 0, 4), np.float32), position_T=np.float32([0]),
        filmed=(CAMERAS.index("zoom_in"), SPEEDS.index("slow")),
    )  # fmt: skip
    assert blocking.at(np.float32([0, 1])).faceless().move == spoken_move("zoom_in", "slow")
    assert blocking.move.zoom < 0


def test_an_empty_stage_stays_empty():
    blocking = Blocking(
        look_P3=np.zeros((0, 3), np.int64), box_TP4=np.zeros((2, 0, 4), np.float32), position_T=np.float32([0, 20])
    )
    assert blocking.at(np.float32([0, 1, 2])).box_TP4.shape == (3, 0, 4)


def test_without_faces_figures_lose_clothes_and_hair_alone():
    look_P3 = np.array([[KINDS.index("figure"), 3, 6], [KINDS.index("cube"), 3, 2]])
    blocking = Blocking(look_P3=look_P3, box_TP4=np.ones((1, 2, 4), np.float32), position_T=np.float32([0]))
    assert blocking.faceless().look_P3.tolist() == [[KINDS.index("figure"), -1, -1], [KINDS.index("cube"), 3, 2]]
    assert blocking.look_P3[0, 1] == 3


def test_looks_and_boxes_that_do_not_belong_together_are_refused():
    with pytest.raises(ShapeError, match=r"Looks of shape \(2, 3\), boxes of shape \(1, 1, 4\) and 1 moments"):
        Blocking(
            look_P3=np.zeros((2, 3), np.int64), box_TP4=np.zeros((1, 1, 4), np.float32), position_T=np.float32([0])
        )
