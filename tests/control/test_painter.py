"""A painter: it touches the cells it should, learns what things look like, and takes any grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kinora.control.painter import Painter, PainterConfig, edge_waves, painted_cells
from kinora.core.blocking import KINDS, NOTHING

CONFIG = PainterConfig(channels=2, spread=(2.0, 0.5), widths=(16, 16, 16), depths=(1, 1, 1))
CUBE, BALL = KINDS.index("cube"), KINDS.index("sphere")


def fresh(*, edges: bool = False) -> Painter:
    torch.manual_seed(0)
    return Painter(replace(CONFIG, edges=edges))


def things(*boxes: tuple[float, float, float, float], kind: int = BALL) -> tuple[Tensor, Tensor, Tensor]:
    """Looks, boxes and ways of one moment."""
    look_1P3 = torch.tensor([[[kind, 0, 0]] * len(boxes)])
    return look_1P3, torch.tensor([boxes]), torch.zeros(1, len(boxes), 2)


FIRST = torch.ones(1, dtype=torch.bool)


def test_cells_that_a_thing_reaches_are_painted_and_half_a_cell_around():
    look, box, _ = things((-0.5, 0.0, 0.1, 0.3))
    cells_HW = painted_cells(look, box, 8, 8)[0, 0]
    rows, columns = cells_HW.amax(dim=1).nonzero()[:, 0].tolist(), cells_HW.amax(dim=0).nonzero()[:, 0].tolist()
    # Columns of a quarter: the box lies in [-0.6, -0.4], half a cell is 0.125; rows likewise in [-0.3, 0.3].
    assert columns == [1, 2]
    assert rows == [2, 3, 4, 5]
    assert painted_cells(torch.full_like(look, NOTHING), box, 8, 8).sum() == 0


def test_what_is_not_painted_stays_to_the_bit_and_what_is_does_not_show_through():
    painter = fresh()
    with torch.no_grad():
        for name, parameter in painter.named_parameters():
            if "second" in name:  # these begin at zero
                torch.nn.init.normal_(parameter, std=0.1)
    torch.manual_seed(1)
    clean = torch.randn(1, 2, 8, 8)
    look, box, way = things((0.0, 0.0, 0.2, 0.2))
    gone = torch.zeros(1, 1, 8, 8)
    gone[..., 0, 0] = 1
    drawn, cells = painter(clean, look, box, way, FIRST, gone)
    assert cells[0, 0, 0, 0] == 1
    outside = (cells == 0).expand_as(clean)
    assert torch.equal(drawn[outside], clean[outside])
    hidden = torch.where(cells > 0, torch.full_like(clean, 9.0), clean)
    assert torch.equal(painter(hidden, look, box, way, FIRST, gone)[0], drawn)
    # The ground around it does tell how it is drawn, and so does what it is and where it goes.
    assert not torch.equal(painter(clean + 1, look, box, way, FIRST, gone)[0][~outside], drawn[~outside])
    for other in ((things((0.0, 0.0, 0.2, 0.2), kind=CUBE)[0], way), (look, way + 0.3)):
        assert not torch.equal(painter(clean, other[0], box, other[1], FIRST, gone)[0], drawn)


@pytest.mark.parametrize("grid", [(8, 8), (12, 20), (10, 6), (2, 2)])
def test_any_grid(grid: tuple[int, int]):
    look, box, way = things((0.0, 0.0, 0.4, 0.4))
    for edges in (False, True):
        drawn, cells = fresh(edges=edges)(torch.zeros(1, 2, *grid), look, box, way, FIRST)
        assert drawn.shape == (1, 2, *grid)
        assert cells.shape == (1, 1, *grid)


def test_waves_tell_where_within_a_cell_an_edge_lies():
    """Two boxes that cover the same cells and differ by a quarter of one."""
    look, box, _ = things((0.0, 0.0, 0.4, 0.4))
    moved = box + torch.tensor([0.0625, 0.0, 0.0, 0.0])
    one, other = (edge_waves(look, each, 8, 8)[0] for each in (box, moved))
    left_HW = one[0] * 6  # cells are a quarter wide, so the left edge, at -0.4, lies 1.1 inside of column 3
    assert left_HW[4, 3].item() == pytest.approx(1.1)
    assert (other[0] * 6)[4, 3].item() == pytest.approx(0.85)
    # Half a turn in a cell, once around in two: the first sine and cosine of the left edge.
    sine, cosine = one[4, 4, 3].item(), one[4 + 20, 4, 3].item()
    assert (sine, cosine) == pytest.approx((np.sin(0.55 * np.pi), np.cos(0.55 * np.pi)), abs=1e-5)
    # Of an edge that is far away no wave tells (its sine would be 0.89), and nothing at all where no thing is near.
    assert one[4, 4, 5].item() == 0
    assert one[4 + 20, 4, 5].item() == 0
    assert one[:, 0, 0].abs().sum() == 0
    assert edge_waves(torch.full_like(look, NOTHING), box, 8, 8).abs().sum() == 0
    assert edge_waves(look[:, :0], box[:, :0], 8, 8).shape == one[None].shape


def test_the_nearer_of_two_things_tells_its_edges():
    behind, before = (0.0, -0.3, 0.3, 0.3), (0.1, 0.0, 0.3, 0.3)
    look, box, _ = things(behind, before)
    both = edge_waves(look, box, 8, 8)
    alone = edge_waves(look[:, 1:], box[:, 1:], 8, 8)
    near = alone.abs().sum(dim=1) > 0
    assert torch.equal(both.permute(0, 2, 3, 1)[near], alone.permute(0, 2, 3, 1)[near])
    swapped = edge_waves(look.flip(1), box.flip(1), 8, 8)
    assert torch.equal(swapped, both)


def test_an_empty_stage_stays_as_it_is():
    look, box, way = (rows[:, :0] for rows in things((0.0, 0.0, 0.2, 0.2)))
    clean = torch.randn(1, 2, 8, 8)
    for edges in (False, True):
        drawn, cells = fresh(edges=edges)(clean, look, box, way, FIRST)
        assert torch.equal(drawn, clean)
        assert not cells.any()


def test_it_learns_what_a_thing_looks_like():
    painter = fresh()
    optimiser = torch.optim.AdamW(painter.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(2)

    def lesson() -> Tensor:
        """Balls are bright in channel 0 and cubes in channel 1, on a ground of any level."""
        middle = torch.rand(8, 1, 2, generator=generator) - 0.5
        box = torch.cat([middle, torch.full((8, 1, 2), 0.3)], dim=-1)
        kind = torch.tensor([BALL, CUBE] * 4)
        look = torch.stack([kind, torch.zeros(8, dtype=torch.long), torch.zeros(8, dtype=torch.long)], dim=-1)[:, None]
        ground = torch.randn(8, 2, 1, 1, generator=generator).expand(-1, -1, 8, 8)
        inside = painted_cells(look, box, 8, 8)
        truth = torch.where(
            inside > 0, ground + torch.stack([kind == BALL, kind == CUBE], 1)[..., None, None] * 3, ground
        )
        drawn, cells = painter(ground, look, box, torch.zeros(8, 1, 2), torch.ones(8, dtype=torch.bool))
        return ((drawn - truth).abs() * cells).sum() / cells.sum() / 2

    before = float(lesson().detach())
    for _ in range(150):
        loss = lesson()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.35 * before
