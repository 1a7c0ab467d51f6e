"""Layers of Wan's autoencoders: known answers."""

from __future__ import annotations

import pytest
import torch

from kinora.codec.reel import Reel
from kinora.codec.wan_blocks import (
    Doubling,
    FrameAttention,
    Halving,
    ResidualBlock,
    average_down,
    cells_from_pixels,
    copy_up,
    pixels_from_cells,
)
from kinora.codec.wan_layers import CausalConv, RootMeanSquare


def test_a_causal_convolution_adds_a_frame_and_the_two_before() -> None:
    conv = CausalConv(1, 1, space=1).requires_grad_(False)
    conv.weight.copy_(torch.tensor([100.0, 10.0, 1.0]).view(1, 1, 3, 1, 1))
    conv.bias.zero_()
    reel = Reel()
    first = conv(torch.tensor([1.0, 2.0]).view(1, 1, 2, 1, 1), reel)
    reel.wind()
    second = conv(torch.tensor([3.0]).view(1, 1, 1, 1, 1), reel)
    reel.wind()
    assert first.flatten().tolist() == [1.0, 12.0]
    assert second.flatten().tolist() == [123.0]
    assert reel.kept[0].flatten().tolist() == [2.0, 3.0]


@pytest.mark.parametrize("width", [4, 64])
def test_training_and_inference_agree_and_only_one_of_them_works_in_place(width: int) -> None:
    """64 channels go through tiles, 4 do not; with gradients neither does."""
    torch.manual_seed(1)
    block = ResidualBlock(width, width)
    x_BCTHW = torch.randn(1, width, 6, 24, 32).contiguous(memory_format=torch.channels_last_3d)
    before_BCTHW = x_BCTHW.clone()
    trained, judged = Reel(), Reel()
    for piece in x_BCTHW.split([1, 3, 2], dim=2):
        with_gradient = block(piece, trained)
        with torch.no_grad():
            without = block(piece, judged)
        torch.testing.assert_close(without, with_gradient.detach(), atol=1e-5, rtol=1e-5)
        with_gradient.square().mean().backward(retain_graph=True)
        trained.wind()
        judged.wind()
    assert torch.equal(x_BCTHW, before_BCTHW)
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in block.parameters())


def test_a_reel_gives_back_in_order_what_was_kept_and_lets_go_of_it() -> None:
    reel = Reel()
    assert reel.first
    assert reel.take() is None
    first, second = torch.zeros(1), torch.ones(1)
    reel.keep(first)
    reel.keep(second)
    assert reel.kept == ()
    reel.wind()
    assert not reel.first
    assert reel.take() is first
    assert reel.kept == (second,)
    again = Reel([second])
    assert not again.first
    assert again.take() is second


def test_halving_keeps_the_first_frame_and_merges_pairs_with_the_frame_before_them() -> None:
    halving = Halving(1, time=True).requires_grad_(False)
    for parameter in halving.parameters():
        parameter.zero_()
    halving.get_parameter("resample.1.weight")[..., 1, 1] = 1.0  # of each 2 x 2 square the last, so nothing is padding
    halving.get_parameter("time_conv.weight").copy_(torch.tensor([100.0, 10.0, 1.0]).view(1, 1, 3, 1, 1))
    x_BCTHW = torch.arange(1.0, 6.0).view(1, 1, 5, 1, 1) * torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    reel = Reel()
    first = halving(x_BCTHW[:, :, :3], reel)
    reel.wind()
    second = halving(x_BCTHW[:, :, 3:], reel)
    reel.wind()
    assert first.flatten().tolist() == [1.0, 123.0]
    assert second.flatten().tolist() == [345.0]
    assert reel.kept[0].flatten().tolist() == [5.0]


def test_doubling_leaves_the_first_frame_alone_and_out_of_the_second_ones_past() -> None:
    doubling = Doubling(1, 1, time=True).requires_grad_(False)
    for parameter in doubling.parameters():
        parameter.zero_()
    doubling.get_parameter("resample.1.weight")[..., 1, 1] = 1.0
    taps_2T = torch.tensor([[100.0, 10.0, 1.0], [200.0, 20.0, 2.0]])  # the earlier and the later frame of a pair
    doubling.get_parameter("time_conv.weight").copy_(taps_2T.view(2, 1, 3, 1, 1))
    x_BCTHW = torch.arange(1.0, 5.0).view(1, 1, 4, 1, 1)
    reel, pieces = Reel(), []
    for piece in x_BCTHW.split([1, 2, 1], dim=2):
        pieces.append(doubling(piece, reel))
        reel.wind()
    y_BCTHW = torch.cat(pieces, dim=2)
    assert y_BCTHW.shape == (1, 1, 7, 2, 2)
    assert y_BCTHW[0, 0, :, 0, 0].tolist() == [1.0, 2.0, 4.0, 23.0, 46.0, 234.0, 468.0]
    assert torch.equal(y_BCTHW[:, :, :5], doubling(x_BCTHW[:, :, :3], Reel()))


def test_the_norm_brings_the_channels_to_unit_root_mean_square() -> None:
    norm = RootMeanSquare(2, axes=1).requires_grad_(False)
    norm.gamma.copy_(torch.tensor([[1.0], [10.0]]))
    y = norm(torch.tensor([[[3.0, 0.0], [4.0, 0.0]]]))
    torch.testing.assert_close(y[0, :, 0], torch.tensor([3.0, 40.0]) / 12.5**0.5)
    assert y[0, :, 1].tolist() == [0.0, 0.0]


def test_attention_stays_within_the_frame_and_sees_all_of_it() -> None:
    torch.manual_seed(0)
    attention = FrameAttention(4).requires_grad_(False)
    x_BCTHW = torch.randn(2, 4, 3, 2, 3)
    changed_BCTHW = x_BCTHW.clone()
    changed_BCTHW[0, :, 1, 0, 0] += 1.0
    difference = (attention(x_BCTHW) - attention(changed_BCTHW)).abs().amax(dim=1)
    assert (difference[0, 1] > 1e-6).all()
    assert difference[1].max() == difference[0, 0].max() == difference[0, 2].max() == 0.0


def test_averages_of_a_block_go_by_channel_then_frame_then_row() -> None:
    x_BCTHW = torch.arange(16.0).view(1, 2, 2, 2, 2)
    whole = average_down(x_BCTHW, 2, time=2, space=2)
    assert whole.flatten().tolist() == [3.5, 11.5]
    by_frame = average_down(x_BCTHW, 4, time=2, space=2)
    assert by_frame.flatten().tolist() == [1.5, 5.5, 9.5, 13.5]
    assert torch.equal(average_down(x_BCTHW, 2, time=1, space=1), x_BCTHW)


def test_a_lone_first_frame_is_averaged_with_zeros_before_it() -> None:
    x_BCTHW = torch.tensor([4.0, 6.0, 8.0]).view(1, 1, 3, 1, 1)
    assert average_down(x_BCTHW, 1, time=2, space=1).flatten().tolist() == [2.0, 7.0]
    assert average_down(x_BCTHW[:, :, :1], 2, time=2, space=1).flatten().tolist() == [0.0, 4.0]


def test_copies_fill_a_block_and_the_first_frame_gives_only_one() -> None:
    x_BCTHW = torch.tensor([[1.0, 5.0], [2.0, 6.0]]).view(1, 2, 2, 1, 1)  # two channels, two frames
    later = copy_up(x_BCTHW, 1, time=2, space=2, first=False)
    assert later.shape == (1, 1, 4, 2, 2)
    assert later[0, 0, :, 0, 0].tolist() == later[0, 0, :, 1, 1].tolist() == [1.0, 2.0, 5.0, 6.0]
    assert torch.equal(copy_up(x_BCTHW, 1, time=2, space=2, first=True), later[:, :, 1:])
    columns = copy_up(torch.arange(4.0).view(1, 4, 1, 1, 1), 1, time=1, space=2, first=True)
    assert columns[0, 0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_pixels_become_channels_by_column_then_row() -> None:
    video_BCFHW = torch.arange(12.0).view(1, 3, 1, 2, 2)
    cell_BCFHW = cells_from_pixels(video_BCFHW, 2)
    assert cell_BCFHW.flatten().tolist() == [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0, 8.0, 10.0, 9.0, 11.0]
    wide_BCFHW = torch.randn(1, 3, 3, 6, 4)
    assert torch.equal(pixels_from_cells(cells_from_pixels(wide_BCFHW, 2), 2), wide_BCFHW)
