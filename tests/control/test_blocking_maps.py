"""A blocking on the latent grid: how much of a cell a thing covers, who covers whom, where in its box a cell lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.control.blocking import BLOCKING_CHANNELS, blocking_maps, maps_of
from kinora.core.blocking import DETAILS, KINDS, NOTHING, Blocking
from kinora.core.slots import COLOURS

COLOUR, DETAIL, INSIDE = len(KINDS), len(KINDS) + len(COLOURS), BLOCKING_CHANNELS - 2


def maps(looks: list[tuple[int, int, int]], boxes: list[tuple[float, ...]], height: int = 4, width: int = 4):
    blocking = Blocking(
        look_P3=np.array(looks, dtype=np.int64).reshape(-1, 3),
        box_TP4=np.array(boxes, dtype=np.float32).reshape(1, -1, 4),
        position_T=np.zeros(1, np.float32),
    )
    return maps_of(blocking, height, width)[0, :, 0]


def test_a_cell_tells_what_it_shows_by_how_much_of_it_is_covered():
    # From the middle of the second column to the end of the third, over the two upper rows.
    told = maps([(KINDS.index("cone"), COLOURS.index("blue"), DETAILS.index("glass"))], [(0.125, -0.5, 0.375, 0.5)])
    covered = torch.tensor([0, 0.5, 1, 0])
    for channel in (KINDS.index("cone"), COLOUR + COLOURS.index("blue"), DETAIL + DETAILS.index("glass")):
        assert torch.allclose(told[channel, :2], covered.expand(2, 4))
        assert told[channel, 2:].abs().max() == 0
    named = {KINDS.index("cone"), COLOUR + COLOURS.index("blue"), DETAIL + DETAILS.index("glass")}
    others = [channel for channel in range(INSIDE) if channel not in named]
    assert told[others].abs().max() == 0
    # Middles of the columns at -0.25 and 0.25, of the rows at -0.75 and -0.25.
    assert told[INSIDE, 0].tolist() == pytest.approx([0, 0.5 * -1, 1 / 3, 0])
    assert told[INSIDE + 1, :, 2].tolist() == pytest.approx([-0.5, 0.5, 0, 0])


def test_what_stands_lower_covers_what_stands_higher():
    near, far = (0, 2, NOTHING), (1, 3, NOTHING)
    for looks, boxes in (
        ([far, near], [(0, 0, 1, 0.5), (0, 0.5, 0.5, 0.5)]),
        ([near, far], [(0, 0.5, 0.5, 0.5), (0, 0, 1, 0.5)]),
    ):
        told = maps(looks, boxes)
        assert told[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
        assert told[1].tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]]


def test_no_thing_and_what_lies_outside_leave_nothing():
    assert maps([], []).abs().max() == 0
    assert maps([(NOTHING, NOTHING, NOTHING)], [(0, 0, 1, 1)]).abs().max() == 0
    assert maps([(0, 0, 0)], [(2.5, 0, 0.5, 0.5)]).abs().max() == 0
    assert maps([(0, 0, 0)], [(0, 0, 0, 0)]).abs().max() == 0


def test_boxes_are_told_from_the_middle_in_shorter_sides_whatever_the_picture():
    box = [(0.0, 0.0, 0.5, 0.5)]
    wide, tall = maps([(0, 0, 0)], box, 4, 8), maps([(0, 0, 0)], box, 8, 4)
    assert wide[0].nonzero().tolist() == [[row, column] for row in (1, 2) for column in (3, 4)]
    assert torch.equal(tall[0], wide[0].T)


def test_each_clip_and_moment_has_its_own_order():
    look_BP3 = torch.tensor([[[0, 0, 0], [1, 1, 1]], [[1, 1, 1], [0, 0, 0]]])
    high, low = torch.tensor([0, -0.25, 1, 0.75]), torch.tensor([0, 0.25, 1, 0.75])
    box_BTP4 = torch.stack([torch.stack([high, low]), torch.stack([low, high])]).expand(2, 2, 2, 4)
    told = blocking_maps(look_BP3, box_BTP4, 4, 4)
    assert told.shape == (2, BLOCKING_CHANNELS, 2, 4, 4)
    # The lower box covers all but the first row; in the first moment that is the second thing.
    assert told[:, 0, :, 2, 0].tolist() == [[0, 1], [1, 0]]
    assert told[:, 1, :, 2, 0].tolist() == [[1, 0], [0, 1]]
