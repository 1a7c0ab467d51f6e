"""Filling holes in a picture from what lies around them: smoothly, or with the texture of another place.

Push and pull (Gortler et al., "The Lumigraph", 1996): the picture is halved again and again, each coarser pixel the
mean of the known ones below it, until no hole is left; then holes take the value of the coarser pixel above them. Near
a hole's edge the filling is close to what lies there, in its middle it is a wide mean: smooth and without seams.

Level filling goes along rows instead: pictures are upright, so a horizon or the foot of a wall is led through a hole.

A clone keeps texture: a whole piece of the same picture, from the place whose surroundings are most like the hole's.
All places are compared at once, the sums of squares being correlations.

Axes: N pictures, C channels, H W pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["clone_hole", "fill_holes", "fill_level"]

BESIDE = 8
"""Pixels of a row beside a hole whose mean the filling starts from."""
RIM = 6
"""Pixels around a hole by which places are compared."""
SEARCH = 96
"""How far away a clone may come from beyond the hole's own size, pixels."""
WITHIN = 1.0
"""How much it counts, beside the rim, that the place seen from afar looks like the hole's smooth filling: ground has
texture and is copied, a thing has another colour and is not."""
COVER = 1.0
"""What a clone that covers nothing would cost, in mean squares of colours within [-1, 1]."""
CLIMB = 0.003
"""What a pixel up or down costs: pictures are upright, and what lies level is more alike."""
WORTH = 0.25
"""Beyond this cost no place is like the hole, and the smooth filling is better."""


def fill_holes(picture_NCHW: Tensor, known_N1HW: Tensor) -> Tensor:
    """The pictures with unknown pixels filled; `known_N1HW` in [0, 1] says how far each is known. What is wholly known
    stays as it is; a picture of which nothing is known becomes 0.
    """
    return _filled(picture_NCHW * known_N1HW, known_N1HW)


def _filled(weighted_NCHW: Tensor, known_N1HW: Tensor) -> Tensor:
    """From values times how far they are known."""
    height, width = weighted_NCHW.shape[-2:]
    if height * width == 1 or bool((known_N1HW >= 1.0).all()):
        return weighted_NCHW / known_N1HW.clamp(min=1e-6)
    coarse_NCHW = _filled(*_halved(weighted_NCHW, known_N1HW))
    around_NCHW = functional.interpolate(coarse_NCHW, scale_factor=2, mode="bilinear", align_corners=False)
    return weighted_NCHW + (1.0 - known_N1HW) * around_NCHW[..., :height, :width]


def _halved(weighted_NCHW: Tensor, known_N1HW: Tensor) -> tuple[Tensor, Tensor]:
    """Half the size, rounded up; a coarse pixel is wholly known as soon as a quarter of it is."""
    height, width = weighted_NCHW.shape[-2:]
    both_NCHW = functional.pad(torch.cat([weighted_NCHW, known_N1HW], dim=1), (0, width % 2, 0, height % 2))
    sums_NCHW = 4.0 * functional.avg_pool2d(both_NCHW, 2)
    known_N1HW = sums_NCHW[:, -1:]
    share_N1HW = known_N1HW.clamp(max=1.0)
    return sums_NCHW[:, :-1] * (share_N1HW / known_N1HW.clamp(min=1e-6)), share_N1HW


def fill_level(picture_HW3: npt.NDArray[np.float32], known_HW: npt.NDArray[np.bool_]) -> None:
    """Fill in place what is not known, row by row, evenly from what is known left of it to what is known right of it.

    Rows of which nothing is known are left.
    """
    weight_H1W = torch.from_numpy(known_HW).float()[:, None]
    rgb_H3W = torch.from_numpy(picture_HW3.copy()).permute(0, 2, 1)
    both_H4W = torch.cat([rgb_H3W * weight_H1W, weight_H1W], dim=1)
    near_H4W = functional.avg_pool1d(both_H4W, 2 * BESIDE + 1, 1, BESIDE).numpy()
    columns = np.arange(known_HW.shape[1])
    for row in np.flatnonzero(known_HW.any(axis=1) & ~known_HW.all(axis=1)):
        known = known_HW[row]
        mean_3W = near_H4W[row, :3, known].T / np.maximum(near_H4W[row, 3, known], 1e-6)
        for channel in range(3):
            picture_HW3[row, ~known, channel] = np.interp(columns[~known], columns[known], mean_3W[channel])


def clone_hole(
    picture_HW3: npt.NDArray[np.float32], hole_HW: npt.NDArray[np.bool_], known_HW: npt.NDArray[np.bool_]
) -> None:
    """Replace a hole's smooth filling, in place, by a piece of the picture that is known, as far as one reaches.

    `hole_HW` is what to replace, `known_HW` what may be copied.
    """
    box = _around(hole_HW, SEARCH)
    hole, known = torch.from_numpy(hole_HW[box]).float(), torch.from_numpy(known_HW[box]).float()
    rgb_3HW = torch.from_numpy(picture_HW3[box].copy()).permute(2, 0, 1) / 127.5 - 1.0
    offset = _best_offset(rgb_3HW, known, hole)
    if offset is None:
        return
    there_3HW, there_known_HW = _moved(rgb_3HW, offset), _moved(known[None], offset)[0]
    covered_HW = (hole * there_known_HW > 0.0).numpy()
    clone_HW3 = ((there_3HW + 1.0) * 127.5).permute(1, 2, 0).numpy()
    picture_HW3[box][covered_HW] = clone_HW3[covered_HW]


def _best_offset(rgb_3HW: Tensor, known_HW: Tensor, hole_HW: Tensor) -> tuple[int, int] | None:
    """The step (down, right) to the place that is most like a hole's rim and filling, found at half the size."""
    known, hole, rgb = -_pooled(-known_HW[None], 2)[0], _pooled(hole_HW[None], 2)[0], _mean(rgb_3HW, 2)
    rim = functional.max_pool2d(hole[None], RIM + 1, 1, RIM // 2)[0] * known
    if rim.sum() == 0:
        return None
    wide = 2 * (int(hole.sum().sqrt()) // 6) + 1
    afar = functional.avg_pool2d(rgb, wide, 1, wide // 2, count_include_pad=False)
    size = (2 * known.shape[0], 2 * known.shape[1])
    known_spectrum = _spectrum(known, size)
    cover = _correlation(_spectrum(hole, size), known_spectrum) / hole.sum()
    compared = _correlation(_spectrum(rim, size), known_spectrum).clamp(min=1e-3)
    cost = _squares(rgb, rim, known, size) / compared + COVER * (1.0 - compared / rim.sum()).clamp(min=0.0)
    cost += WITHIN * _squares(afar, hole, known, size) / (cover * hole.sum()).clamp(min=1e-3)
    cost += COVER * (1.0 - cover).clamp(min=0.0)
    climb = torch.arange(size[0])
    cost += 2.0 * CLIMB * torch.minimum(climb, size[0] - climb)[:, None]
    best = int(cost.argmin())
    if float(cost.flatten()[best]) > WORTH:
        return None
    down, right = divmod(best, size[1])
    return (
        2 * ((down + known.shape[0]) % size[0] - known.shape[0]),
        2 * ((right + known.shape[1]) % size[1] - known.shape[1]),
    )


def _squares(rgb_3HW: Tensor, weight_HW: Tensor, known_HW: Tensor, size: tuple[int, int]) -> Tensor:
    """For every step: the weighed sum of squared differences between here and there, where there is known."""
    square_HW = rgb_3HW.square().sum(dim=0)
    own = _correlation(_spectrum(weight_HW * square_HW, size), _spectrum(known_HW, size))
    other = _correlation(_spectrum(weight_HW, size), _spectrum(known_HW * square_HW, size))
    cross = _correlation(_spectrum(weight_HW * rgb_3HW, size), _spectrum(known_HW * rgb_3HW, size)).sum(dim=0)
    return (own + other - 2.0 * cross).clamp(min=0.0)


def _spectrum(value: Tensor, size: tuple[int, int]) -> Tensor:
    spectrum: Tensor = torch.fft.rfft2(value, s=size)
    return spectrum


def _correlation(here: Tensor, there: Tensor) -> Tensor:
    """For every step the sum over places of one value here times another a step away, from their spectra."""
    sums: Tensor = torch.fft.irfft2(here.conj() * there)
    return sums


def _pooled(value: Tensor, factor: int) -> Tensor:
    return functional.max_pool2d(value, factor, ceil_mode=True)


def _mean(value: Tensor, factor: int) -> Tensor:
    return functional.avg_pool2d(value, factor, ceil_mode=True, count_include_pad=False)


def _moved(value_CHW: Tensor, offset: tuple[int, int]) -> Tensor:
    """What lies a step (down, right) of each pixel; 0 beyond the edge."""
    down, right = offset
    height, width = value_CHW.shape[-2:]
    room_CHW = functional.pad(value_CHW, (max(-right, 0), max(right, 0), max(-down, 0), max(down, 0)))
    top, left = max(down, 0), max(right, 0)
    return room_CHW[:, top : top + height, left : left + width]


def _around(inside_HW: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The box around what is inside, wider by `margin` and by its own size on every side, within the picture."""
    box = []
    for axis in (1, 0):
        places = np.flatnonzero(inside_HW.any(axis=axis))
        reach = margin + int(places[-1] - places[0])
        box.append(slice(max(0, int(places[0]) - reach), int(places[-1]) + 1 + reach))
    return box[0], box[1]
