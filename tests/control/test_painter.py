"""A painter: it touches the cells it should, learns what things look like, and takes any grid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kinora.control.painter import Painter, PainterConfig, painted_cells
from kinora.core.blocking import KINDS, NOTHING

CONFIG = PainterConfig(channels=2, spread=(2.0, 0.5), widths=(16, 16, 16), depths=(1, 1, 1))
CUBE, BALL = KINDS.index("cube"), KINDS.index("sphere")


def fresh() -> Painter:
    torch.manual_seed(0)
    return Painter(CONFIG)


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
    drawn, cells = fresh()(torch.zeros(1, 2, *grid), look, box, way, FIRST)
    assert drawn.shape == (1, 2, *grid)
    assert cells.shape == (1, 1, *grid)


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
