"""A closer look at objects."""

import dataclasses

import torch

from kinora.understanding.config import ReaderConfig
from kinora.understanding.glimpse import PIECE, Glimpse
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss

GRID, SIDE = 8, 64


def picture_with_a_dot(row: int, column: int) -> torch.Tensor:
    """Black pictures (1, 6, 64, 64) but for the fine cell at `row` and `column`."""
    picture = torch.zeros(1, 6, SIDE, SIDE)
    picture[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1.0
    return picture


def test_pieces_are_centred_on_the_cell_and_sized_by_their_side():
    glimpse = Glimpse((0.5, 1.0), GRID, 16)
    here, cell = torch.tensor([0]), torch.tensor([2 * GRID + 5])
    near = glimpse._piece(picture_with_a_dot(2, 5)[:, :3], here, cell, 0.5)[0, 0]
    wide = glimpse._piece(picture_with_a_dot(2, 5)[:, :3], here, cell, 1.0)[0, 0]
    middle = PIECE // 2
    assert near.shape == wide.shape == (PIECE, PIECE)
    assert torch.equal(near[middle - 4 : middle + 4, middle - 4 : middle + 4], torch.ones(8, 8))
    assert float(near.sum()) == 64.0
    assert torch.equal(wide[middle - 2 : middle + 2, middle - 2 : middle + 2], torch.ones(4, 4))
    assert float(wide.sum()) == 16.0


def test_beyond_the_picture_is_nothing():
    piece = Glimpse((0.5,), GRID, 16)._piece(torch.ones(1, 3, SIDE, SIDE), torch.tensor([0]), torch.tensor([0]), 0.5)
    assert float(piece[0, 0, 0, 0]) == 0.0
    assert float(piece[0, 0, -1, -1]) == 1.0


def test_it_says_nothing_before_training_and_takes_no_objects_too():
    glimpse = Glimpse((0.25, 0.5), GRID, 16)
    pictures = torch.randn(2, 6, SIDE, SIDE)
    assert torch.equal(glimpse(pictures, torch.tensor([0, 1, 1]), torch.tensor([3, 9, 60])), torch.zeros(3, 16))
    none = torch.zeros(0, dtype=torch.long)
    assert glimpse(pictures, none, none).shape == (0, 16)


def test_a_reader_with_glimpses_learns_where_to_look(toys):
    """Every weight of the closer look has its say once those that begin at zero have left it."""
    torch.manual_seed(0)
    config: ReaderConfig = dataclasses.replace(toys.config, glimpses=(0.25, 0.5), fine_depth=1)
    reader = Reader(config)
    for parameter in reader.glimpse.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    loss, _ = reader_loss(reader, *toys.batch(3, 4, config))
    loss.backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in reader.glimpse.parameters())
