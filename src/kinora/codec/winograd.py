"""Convolutions with 3 x 3 taps in the plane for a fourth to a sixth of the multiplications, in float32 on a CPU.

Winograd's F(4 x 4, 3 x 3) (Lavin and Gray 2016, arXiv:1509.09308): tiles of 6 x 6 numbers and the taps are taken to 36
coordinates each, multiplied there channel by channel as 36 matrix products, and taken back to 4 x 4 numbers; two frames
together take four such products in time where six would be needed. Written as plain matrix products and copies this is
twice as fast as the built-in convolution at 96 channels and three times at 192 and 384 (float32, one Zen 3 core, 171 to
262 GFLOP/s as if all products were made, channels-last on both sides).

What it costs in exactness depends on the points the transform is built on. At 0, 1, -1, 2, -2 and infinity, the usual
ones, the error is twice the built-in convolution's; at 0 and plus or minus the roots of 1/2 and of 2 it is the same
(1.33e-6 against 1.28e-6 at 192 channels), so these are used.

A doubling of the picture by copying, before the taps, is folded in: a tile then begins as 4 x 4 numbers.

Axes: B batch, F frames of the window, T frames of the result, H W the plane, C channels before and O after, P the 36
coordinates, Q factors in time, K a tile's side, N tiles, M frames x tiles, U parts of the result: all its frames, or
the even and the odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["convolve", "middle", "pays", "window_shape"]

Lend: TypeAlias = Callable[[str, Sequence[int], Tensor], Tensor]
"""Memory for a use, of a shape, like a tensor; `kinora.codec.reel.Reel.lend`."""

POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2.0**0.5, -(2.0**0.5))
"""Where the polynomials are evaluated, besides infinity."""
PAIRED = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, -1.0))
"""Three taps in time as the four factors of `_over_paired_taps`."""
TILE = 4
"""Numbers of the result that a tile gives along each side."""
LEAST_WIDTH = 48
"""Channels below which copying to and fro costs more than the products saved."""
LEAST_TILES = 24
"""Tiles below which the transform of the taps does."""
LEAST_ROWS = 128
"""Rows of a matrix product below which it is slow."""
STRIP = 600_000
"""Numbers to keep in work at once: what a core's caches hold."""


@dataclass(frozen=True, kw_only=True)
class _Transform:
    """The maps along one side."""

    enter_PK: Tensor
    taps_P3: Tensor
    leave_4P: Tensor
    stride: int
    """From tile to tile, in numbers of the input."""


def pays(x_BCTHW: Tensor, weight: Tensor, *, doubled: bool = False) -> bool:
    """Whether `convolve` is the better way, and may be used: it forgets what a gradient would need."""
    if x_BCTHW.device.type != "cpu" or x_BCTHW.dtype != torch.float32 or weight.shape[-2:] != (3, 3):
        return False
    if torch.is_grad_enabled() and (x_BCTHW.requires_grad or weight.requires_grad):
        return False
    batch, _, frames, height, width = x_BCTHW.shape
    tiles = batch * frames * _tiles(height << doubled) * _tiles(width << doubled)
    return min(weight.shape[:2]) >= LEAST_WIDTH and tiles >= LEAST_TILES


def window_shape(x_BTHWC: Tensor, *, before: int = 0, doubled: bool = False) -> tuple[int, int, int, int, int]:
    """The shape (B, F, H + margins, W + margins, C) of a window for these frames and some `before` them."""
    batch, frames, height, width, channels = x_BTHWC.shape
    stride = _transforms()[doubled].stride
    rows, columns = (stride * -(-side // stride) + 2 for side in (height, width))
    return batch, before + frames, rows, columns, channels


def middle(window_BFHWC: Tensor, height: int, width: int) -> Tensor:
    """Where frames go in a window, after its margins are made zero.

    They are a row and a column before each frame, and behind it as many as fill the last tile.
    """
    for margin in (window_BFHWC[:, :, :1], window_BFHWC[:, :, height + 1 :]):
        margin.zero_()
    for margin in (window_BFHWC[:, :, :, :1], window_BFHWC[:, :, :, width + 1 :]):
        margin.zero_()
    return window_BFHWC[:, :, 1 : height + 1, 1 : width + 1]


def convolve(
    window_BFHWC: Tensor,
    weight_OCT33: Tensor,
    bias_O: Tensor | None,
    out_BTHWO: Tensor,
    *,
    doubled: bool = False,
    lend: Lend | None = None,
) -> None:
    """Filter a window of T + taps - 1 frames into `out_BTHWO`; the last tap in time falls on the frame itself.

    The window's `middle` holds the frames. `lend` gives memory to work in; without it, it is fetched anew.
    """
    transform = _transforms()[doubled]
    frames, times = out_BTHWO.shape[1], weight_OCT33.shape[2]
    paired = frames % 2 == 0 and times == len(PAIRED[0])
    factors_PQCO = _factors(weight_OCT33, paired=paired, lend=lend)
    tile_rows, tile_columns = map(_tiles, out_BTHWO.shape[2:4])
    fitting = STRIP // (len(factors_PQCO) * window_BFHWC.shape[1] * tile_columns * window_BFHWC.shape[4])
    rows = max(1, fitting, -(-LEAST_ROWS // (frames // (1 + paired) * tile_columns)))
    for window_FHWC, out_THWO in zip(window_BFHWC, out_BTHWO, strict=True):
        for row in range(0, tile_rows, rows):
            strip_FHWC = window_FHWC[:, row * transform.stride : (row + rows) * transform.stride + 2]
            coordinates_PFNC = _enter(strip_FHWC, transform.enter_PK)
            sums = (_over_paired_taps if paired else _over_taps)(coordinates_PFNC, factors_PQCO)
            place_THWO = out_THWO[:, row * TILE : (row + rows) * TILE]
            _place(_leave(sums, transform.leave_4P), tile_columns, bias_O, place_THWO)


def _enter(strip_FHWC: Tensor, enter_PK: Tensor) -> Tensor:
    """The coordinates of a strip's tiles, shape (P, F, N, C)."""
    products, side = enter_PK.shape
    stride = side - 2
    patch = strip_FHWC.unfold(1, side, stride).unfold(2, side, stride).permute(4, 5, 0, 1, 2, 3)
    frames, _, _, channels = patch.shape[2:]
    half = enter_PK @ patch.reshape(side, -1)
    whole = torch.bmm(enter_PK.expand(products, -1, -1), half.view(products, side, -1))
    return whole.view(products**2, frames, -1, channels)


def _leave(sums_UPMO: Tensor, leave_4P: Tensor) -> Tensor:
    """From coordinates to tiles, shape (U, 4, 4, M, O)."""
    parts, _, _, outputs = sums_UPMO.shape
    products = leave_4P.shape[1]
    half = torch.matmul(leave_4P, sums_UPMO.view(parts, products, -1))
    whole = torch.bmm(leave_4P.expand(parts * TILE, -1, -1), half.view(parts * TILE, products, -1))
    return whole.view(parts, TILE, TILE, -1, outputs)


def _over_taps(coordinates_PFNC: Tensor, factors_PQCO: Tensor) -> Tensor:
    """Sums over channels and taps in time, shape (1, P, T * N, O)."""
    taps = factors_PQCO.shape[1]
    frames = coordinates_PFNC.shape[1] - taps + 1
    sums = torch.bmm(coordinates_PFNC[:, :frames].flatten(1, 2), factors_PQCO[:, 0])
    for tap in range(1, taps):
        sums.baddbmm_(coordinates_PFNC[:, tap : tap + frames].flatten(1, 2), factors_PQCO[:, tap])
    return sums[None]


def _over_paired_taps(coordinates_PFNC: Tensor, factors_PQCO: Tensor) -> Tensor:
    """The same with two products a frame instead of three, Winograd's F(2, 3) in time.

    Shape (2, P, T / 2 * N, O): first the even frames, then the odd ones.
    """
    pairs = coordinates_PFNC.shape[1] // 2 - 1
    first, second, third, fourth = (coordinates_PFNC[:, tap : tap + 2 * pairs : 2] for tap in range(4))
    sum_PMO = torch.bmm((second + third).flatten(1, 2), factors_PQCO[:, 1])
    difference_PMO = torch.bmm((third - second).flatten(1, 2), factors_PQCO[:, 2])
    sums = sum_PMO.new_empty(2, *sum_PMO.shape)
    torch.add(sum_PMO, difference_PMO, out=sums[0]).baddbmm_((first - third).flatten(1, 2), factors_PQCO[:, 0])
    torch.sub(sum_PMO, difference_PMO, out=sums[1]).baddbmm_((second - fourth).flatten(1, 2), factors_PQCO[:, 3])
    return sums


def _place(tiles_U44MO: Tensor, columns: int, bias_O: Tensor | None, place_THWO: Tensor) -> None:
    """Lay tiles side by side, cut to the place; the frames of the place take turns among the U parts."""
    frames, height, width, outputs = place_THWO.shape
    parts = len(tiles_U44MO)
    tiles = tiles_U44MO.unflatten(3, (frames // parts, -1, columns))
    rows = tiles.shape[4]
    fits = (height, width) == (rows * TILE, columns * TILE)
    whole_THWO = place_THWO if fits else place_THWO.new_empty(frames, rows * TILE, columns * TILE, outputs)
    laid = whole_THWO.unflatten(2, (columns, TILE)).unflatten(1, (rows, TILE)).unflatten(0, (-1, parts))
    ordered = tiles.permute(3, 0, 4, 1, 5, 2, 6)
    laid.copy_(ordered) if bias_O is None else torch.add(ordered, bias_O, out=laid)
    if not fits:
        place_THWO.copy_(whole_THWO[:, :height, :width])


def _factors(weight_OCT33: Tensor, *, paired: bool, lend: Lend | None) -> Tensor:
    """The taps as factors of the products, shape (P, Q, C, O) with O and C the other way round in memory."""
    outputs, channels, times = weight_OCT33.shape[:3]
    to_factors = _taps_to_factors(times, paired)
    room = None if lend is None else lend("factors", (len(to_factors), outputs * channels), weight_OCT33)
    factors = torch.mm(to_factors, weight_OCT33.flatten(2).flatten(0, 1).T, out=room)
    return factors.view(-1, len(PAIRED) if paired else times, outputs, channels).transpose(2, 3)


@cache
def _taps_to_factors(times: int, paired: bool) -> Tensor:
    """The map from the taps of one pair of channels, in the order of the weights, to its factors."""
    in_time = torch.tensor(PAIRED) if paired else torch.eye(times)
    in_space_P9 = torch.kron(_transforms()[0].taps_P3, _transforms()[0].taps_P3)
    return torch.einsum("pk,qt->pqtk", in_space_P9, in_time).flatten(2).flatten(0, 1)


def _tiles(side: int) -> int:
    return -(-side // TILE)


@cache
def _transforms() -> tuple[_Transform, _Transform]:
    """For a plane as it is, and for one doubled by copying.

    With A and G from the points, B is the one matrix that makes A ((G taps) * (B numbers)) their convolution.
    """
    size = len(POINTS) + 1
    points = torch.tensor(POINTS, dtype=torch.float64)
    leave_4P, taps_P3 = torch.zeros(TILE, size, dtype=torch.float64), torch.zeros(size, 3, dtype=torch.float64)
    gaps = points[:, None] - points + torch.eye(size - 1, dtype=torch.float64)
    leave_4P[:, :-1], leave_4P[-1, -1] = points ** torch.arange(TILE)[:, None], 1.0
    taps_P3[:-1], taps_P3[-1, -1] = points[:, None] ** torch.arange(3) / gaps.prod(dim=1, keepdim=True), 1.0
    wanted = torch.zeros(TILE, 3, size, dtype=torch.float64)
    for number in range(TILE):
        wanted[number, :, number : number + 3] = torch.eye(3, dtype=torch.float64)
    system = (leave_4P[:, None] * taps_P3.T).flatten(0, 1)
    enter_PK = torch.linalg.lstsq(system, wanted.flatten(0, 1)).solution
    # A doubled tile of 6 numbers holds 4 different ones: the last of a pair, two pairs, the first of the next.
    copies_K4 = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    plain, doubled = enter_PK.float(), (enter_PK @ copies_K4.double()).float()
    shared = {"taps_P3": taps_P3.float(), "leave_4P": leave_4P.float()}
    return (
        _Transform(enter_PK=plain, stride=TILE, **shared),
        _Transform(enter_PK=doubled, stride=TILE // 2, **shared),
    )
