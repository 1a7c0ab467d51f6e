"""In which order things are painted, and which pixels are whose."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kinora.core.blocking import KINDS, NOTHING
from kinora.pipeline.layers import layers, reach


def looks(*kinds: str | None) -> Tensor:
    rows = [[NOTHING if kind is None else KINDS.index(kind), 0, 0] for kind in kinds]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


def boxes(*moments: list[list[float]]) -> Tensor:
    return torch.tensor(moments, dtype=torch.float32)


def test_of_things_that_meet_the_nearer_one_is_painted_later():
    far, near, aside = [0.0, 0.0, 0.2, 0.2], [0.1, 0.1, 0.2, 0.2], [-0.8, 0.0, 0.1, 0.1]
    assert layers(looks("cube", "sphere", "cone"), boxes([near, far, aside])).tolist() == [[1, 0, 0]]
    assert layers(looks("cube", None, "cone"), boxes([near, far, aside])).tolist() == [[0, -1, 0]]
    assert layers(looks(), torch.zeros(3, 0, 4)).tolist() == [[], [], []]


def test_layers_are_told_frame_by_frame_and_what_falls_is_as_near_as_it_lands():
    resting, falling = [0.0, 0.3, 0.2, 0.2], [0.2, -0.6, 0.2, 0.2]
    landed = [0.2, 0.4, 0.2, 0.2]
    assert layers(looks("sphere", "cube"), boxes([falling, resting], [landed, resting])).tolist() == [[0, 0], [1, 0]]
    assert layers(looks("sphere", "cube"), boxes([landed, resting], [falling, resting])).tolist() == [[1, 0], [0, 0]]


def test_a_frame_is_behind_the_ball_that_hangs_in_it():
    ball, frame = [0.0, -0.2, 0.1, 0.1], [0.0, 0.0, 0.5, 0.8]
    assert layers(looks("sphere", "rope"), boxes([ball, frame])).tolist() == [[1, 0]]


def test_around_its_box_a_thing_fades_within_half_a_cell_and_later_below():
    shown_HW = reach(looks("sphere").expand(1, 1, 3), boxes([[0.0, 0.0, 0.25, 0.25]]), 128, 128, 16)[0]
    assert shown_HW[48:80, 48:80].min() == 1
    row_W, column_H = shown_HW[64], shown_HW[:, 64]
    # Half a cell is eight pixels, to the side and above; the shadow has three times as many.
    assert np.flatnonzero(row_W)[[0, -1]].tolist() == [40, 87]
    assert np.flatnonzero(column_H)[[0, -1]].tolist() == [40, 103]
    assert (np.diff(row_W[80:88]) < 0).all()


def test_nothing_reaches_nowhere():
    empty = reach(looks(None).expand(2, 1, 3), boxes([[0.0, 0.0, 0.5, 0.5]], [[0.0, 0.0, 0.5, 0.5]]), 32, 32, 16)
    assert empty.max() == 0
    gone = reach(looks("cube").expand(1, 1, 3), boxes([[0.0, 0.0, 0.0, 0.0]]), 32, 32, 16)
    assert gone.max() == 0
