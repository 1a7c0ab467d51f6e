"""Convolutions by tiles: equal to the built-in ones, in every shape."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinora.codec import winograd


def relative_error(ours: Tensor, truth: Tensor) -> float:
    return float((ours.double() - truth).norm() / truth.norm())


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(
    ("batch", "before", "frames", "height", "width"),
    [(1, 2, 4, 16, 16), (2, 0, 1, 13, 18), (1, 1, 1, 8, 12), (1, 2, 5, 9, 9), (2, 2, 2, 4, 40), (1, 0, 2, 1, 3)],
)
def test_a_window_filtered_equals_the_built_in_convolution(
    batch: int, before: int, frames: int, height: int, width: int
) -> None:
    x_BFHWC = random(batch, before + frames, height, width, 50)
    weight, bias = random(52, 50, before + 1, 3, 3) / (27 * 50) ** 0.5, random(52)
    room_BFHWC = torch.full(winograd.window_shape(x_BFHWC), torch.nan)
    winograd.middle(room_BFHWC, height, width).copy_(x_BFHWC)
    out_BTHWC = torch.full((batch, frames, height, width, 52), torch.nan)
    winograd.convolve(room_BFHWC, weight, bias, out_BTHWC)
    x_BCFHW = x_BFHWC.permute(0, 4, 1, 2, 3).double()
    truth = F.conv3d(x_BCFHW, weight.double(), bias.double(), padding=(0, 1, 1))
    assert relative_error(out_BTHWC.permute(0, 4, 1, 2, 3), truth) < 1.5e-6


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 7), (1, 2)])
def test_a_doubled_picture_filtered_equals_copying_first(height: int, width: int) -> None:
    x_BFHWC = random(2, 3, height, width, 49)
    weight = random(48, 49, 1, 3, 3) / (9 * 49) ** 0.5
    room_BFHWC = torch.full(winograd.window_shape(x_BFHWC, doubled=True), torch.nan)
    winograd.middle(room_BFHWC, height, width).copy_(x_BFHWC)
    out_BTHWC = torch.full((2, 3, 2 * height, 2 * width, 48), torch.nan)
    winograd.convolve(room_BFHWC, weight, None, out_BTHWC, doubled=True)
    copied = x_BFHWC.permute(0, 1, 4, 2, 3).flatten(0, 1).double().repeat_interleave(2, 2).repeat_interleave(2, 3)
    truth = F.conv2d(copied, weight[:, :, 0].double(), padding=1)
    assert relative_error(out_BTHWC.permute(0, 1, 4, 2, 3).flatten(0, 1), truth) < 1.5e-6


def test_the_error_is_no_greater_than_the_built_in_ones_by_much() -> None:
    """The points are chosen for this; at 0, 1, -1, 2, -2 it would be more than twice."""
    x_BCTHW = random(1, 192, 6, 32, 32)
    weight = random(192, 192, 3, 3, 3) / (27 * 192) ** 0.5
    truth = F.conv3d(x_BCTHW.double(), weight.double(), padding=(0, 1, 1))
    x_BFHWC = x_BCTHW.permute(0, 2, 3, 4, 1)
    room_BFHWC = torch.empty(winograd.window_shape(x_BFHWC))
    winograd.middle(room_BFHWC, 32, 32).copy_(x_BFHWC)
    out_BTHWC = torch.empty(1, 4, 32, 32, 192)
    winograd.convolve(room_BFHWC, weight, None, out_BTHWC)
    assert relative_error(out_BTHWC.permute(0, 4, 1, 2, 3), truth) < 2e-6


def test_it_is_used_where_it_pays_and_no_gradient_is_wanted() -> None:
    wide_BCTHW, weight = torch.zeros(1, 64, 1, 32, 32), torch.zeros(64, 64, 3, 3, 3)
    assert winograd.pays(wide_BCTHW, weight)
    assert not winograd.pays(wide_BCTHW, weight.requires_grad_())
    with torch.no_grad():
        assert winograd.pays(wide_BCTHW, weight)
        assert not winograd.pays(wide_BCTHW.bfloat16(), weight)
        assert not winograd.pays(wide_BCTHW[..., :8, :8], weight)
        assert not winograd.pays(wide_BCTHW, weight[:3])
        assert not winograd.pays(wide_BCTHW, weight[..., :1, :1])
        assert winograd.pays(wide_BCTHW[..., :16, :8], weight) != winograd.pays(
            wide_BCTHW[..., :16, :16], weight, doubled=True
        )
