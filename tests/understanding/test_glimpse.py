"""A closer look at objects."""

import dataclasses

import torch

from kinora.understanding.glimpse import LEAST, PIECE, Glimpse, _parts, cut
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss

SIDE = 64


def square_at(column: int, row: int, side: int) -> torch.Tensor:
    """Black pictures (1, 3, 64, 64) with a white square, its upper left corner at (column, row)."""
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, :, row : row + side, column : column + side] = 1.0
    return picture


def cut_one(picture: torch.Tensor, across: float, down: float, half: float) -> torch.Tensor:
    return cut(picture, torch.tensor([0]), torch.tensor([[across, down]]), torch.tensor([half]))[0, 0]


def test_pieces_show_their_box_whatever_its_size():
    """A square of 16 pixels and one of 32 fill pieces of their own size alike."""
    for side in (16, 32):
        picture = square_at(24, 8, side)
        middle = (24 + side / 2) * 2 / SIDE - 1, (8 + side / 2) * 2 / SIDE - 1
        assert torch.allclose(cut_one(picture, *middle, side / SIDE)[1:-1, 1:-1], torch.ones(PIECE - 2, PIECE - 2))
        twice = cut_one(picture, *middle, 2 * side / SIDE)
        inner = slice(PIECE // 4, 3 * PIECE // 4)
        assert abs(float(twice.sum()) - (PIECE / 2) ** 2) < 40
        assert float(twice[inner, inner].min()) > 0.4


def test_a_piece_of_the_whole_picture_misses_no_line():
    """What is shrunk is averaged first: a line of one pixel in a picture of 256 is still seen."""
    picture = torch.zeros(1, 3, 256, 256)
    picture[..., 101] = 1.0
    assert torch.allclose(cut_one(picture, 0.0, 0.0, 1.0).sum(1), torch.full((PIECE,), 1 / 8), atol=1e-5)


def test_beyond_the_picture_is_nothing():
    piece = cut_one(torch.ones(1, 3, SIDE, SIDE), -1.0, -1.0, 0.5)
    assert float(piece[0, 0]) == 0.0
    assert float(piece[-1, -1]) == 1.0


def test_the_second_piece_is_the_upper_part_of_a_tall_box():
    whole, upper = _parts(torch.tensor([[0.2, 0.1, 0.1, 0.4]]))
    assert torch.allclose(whole[0], torch.tensor([[0.2, 0.1]]))
    assert float(whole[1]) > 0.4
    top, bottom = float(upper[0][0, 1] - upper[1]), float(upper[0][0, 1] + upper[1])
    assert top < 0.1 - 0.4 < bottom < 0.1 + 0.4
    nothing, _ = _parts(torch.zeros(1, 4))
    assert float(nothing[1]) >= LEAST


def test_no_objects_are_no_trouble():
    none = torch.zeros(0, dtype=torch.long)
    assert Glimpse(16)(torch.randn(2, 3, SIDE, SIDE), none, torch.zeros(0, 4)).shape == (0, 16)


def test_a_reader_learns_from_its_closer_look(toys):
    torch.manual_seed(0)
    reader = Reader(toys.config)
    for parameter in reader.glimpse.parameters():  # residual blocks begin at zero
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    moments, times, truth = toys.batch(3, 4)
    loss, _ = reader_loss(reader, reader.encode(moments, times), truth)
    loss.backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in reader.glimpse.parameters())


def test_a_close_look_sees_more_than_the_reader_at_its_size(toys):
    """Two close pictures that are alike once shrunk tell different things of an object."""
    torch.manual_seed(0)
    reader = Reader(toys.config)
    torch.nn.init.normal_(reader.glimpse.out.weight)
    moments, times, truth = toys.batch(3, 1)
    plain = torch.zeros(1, 3, 2 * SIDE, 2 * SIDE)
    fine = plain.clone()
    fine[..., ::2] = 1.0
    fine[..., 1::2] = -1.0
    kinds = torch.zeros_like(truth.cell_BP)
    told = []
    with torch.no_grad():
        for close in (plain, fine):
            reader.config = dataclasses.replace(reader.config, close=2 * SIDE)
            encoded = reader.encode(moments, times, close)
            told.append(reader.objects(encoded, truth.cell_BP, kinds, truth.box_BP4).slots["body"]["colour"][0, 0])
    assert not torch.allclose(told[0], told[1])
