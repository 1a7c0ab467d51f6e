"""A blocking between its moments."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.blocking import KINDS, Blocking
from kinora.core.camera import spoken_move
from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression
from kinora.core.slots import CAMERAS, SPEEDS

COMPRESSION = Compression()


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
    assert blocking.in_frames(np.arange(9), COMPRESSION).box_TP4.shape == (9, 0, 4)


def test_in_frames_things_are_where_they_are_at_their_latent_frames_middle():
    """What falls is on a parabola in between, and a thing that shrinks to nothing never gets smaller than that."""
    position_T = np.arange(6, dtype=np.float32)
    fallen_T = 0.002 * COMPRESSION.frame_of(position_T) ** 2
    box_TP4 = np.zeros((6, 1, 4), np.float32)
    box_TP4[:, 0, 1], box_TP4[:, 0, 2:] = fallen_T, np.maximum(0.3 - 0.15 * position_T, 0)[:, None]
    blocking = Blocking(look_P3=np.array([[0, 1, 2]]), box_TP4=box_TP4, position_T=position_T)
    frame_F = np.arange(1 + 4 * 5)
    shown = blocking.in_frames(frame_F, COMPRESSION)
    assert shown.box_TP4[[0, 2, 6, 10, 14, 18], 0] == pytest.approx(box_TP4[:, 0], abs=1e-5)
    assert shown.box_TP4[:19, 0, 1] == pytest.approx(0.002 * frame_F[:19] ** 2, abs=1e-5)
    assert shown.box_TP4[..., 2:].min() == 0
    assert shown.position_T.tolist() == [0, 0.5, *(1 + 0.25 * np.arange(19))]


def test_frames_and_moments_are_each_others_inverse():
    assert COMPRESSION.frame_of(COMPRESSION.moment_of(np.arange(50))).tolist() == list(range(50))
    wan = Compression(time=4, space=8)
    assert [wan.latent_frame_of(int(frame)) for frame in wan.frame_of(np.arange(8, dtype=np.float32))] == [*range(8)]


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
