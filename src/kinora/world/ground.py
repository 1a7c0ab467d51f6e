"""Grounds: the albedo of z = 0, every texture averaged over the pixel's footprint.

A footprint is an axis-aligned box of half the pixel's extent around the point: `wide_2R` holds its sides, metres.
Axes in names: R rays.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kinora.core.slots import GROUNDS
from kinora.world.lights import Air
from kinora.world.palette import linear
from kinora.world.tiles import BANDS, SIZE, noise
from kinora.world.views import Views

__all__ = ["WATER", "WOOD", "footprint", "ground_rgb", "ripples"]

WATER, WOOD = GROUNDS.index("water"), GROUNDS.index("wood")
TILE = 9.0
"""Metres the noise tile covers."""


def footprint(direction_3R: Tensor, depth_R: Tensor, focal_R: Tensor) -> Tensor:
    """Sides (2, R) of the box on the ground that a pixel sees, metres along x and y."""
    level2 = direction_3R[0] * direction_3R[0] + direction_3R[1] * direction_3R[1]
    length = (level2 + direction_3R[2] * direction_3R[2]).sqrt()
    across = depth_R * length / focal_R
    along = across * length / direction_3R[2].abs().clamp_min(1e-4)
    inverse = level2.clamp_min(1e-12).rsqrt()
    x, y = (direction_3R[0] * inverse).abs(), (direction_3R[1] * inverse).abs()
    return torch.stack([x * along + y * across, y * along + x * across])


def ground_rgb(views: Views, air: Air, view_R: Tensor, point_2R: Tensor, wide_2R: Tensor) -> Tensor:
    """Linear albedo (3, R) at ground points."""
    shift_2R = views.by_scene(air.shift_2S, view_R)
    if len(air.grounds) == 1:
        return _GROUNDS[GROUNDS[air.grounds[0]]](point_2R, wide_2R, shift_2R)
    ground_R = views.by_scene(air.ground_S, view_R)
    rgb_3R = point_2R.new_empty((3, point_2R.shape[1]))
    for ground in air.grounds:
        chosen = (ground_R == ground).nonzero().squeeze(1)
        part = _GROUNDS[GROUNDS[ground]](
            point_2R.index_select(1, chosen), wide_2R.index_select(1, chosen), shift_2R.index_select(1, chosen)
        )
        rgb_3R.index_copy_(1, chosen, part)
    return rgb_3R


def _grain(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor, amounts: tuple[float, float, float, float]) -> Tensor:
    """Weighted sum of the noise bands (R); each fades as the footprint nears its wavelength (Gaussian low-pass)."""
    bands = noise(point_2R[0] * (1.0 / TILE) + shift_2R[0], point_2R[1] * (1.0 / TILE) + shift_2R[1])
    spread = wide_2R[0] * wide_2R[0] + wide_2R[1] * wide_2R[1]
    total = torch.zeros_like(spread)
    for band, amount in enumerate(amounts):
        if amount:
            wavenumber = 2.0 * math.pi * SIZE / (TILE * BANDS[band])
            # A box of side w has variance w^2 / 12; twice the exponent that gives is taken, since neighbours overlap.
            seen = torch.exp(spread * (-wavenumber * wavenumber / 12.0))
            total = torch.addcmul(total, bands[band], seen, value=amount)
    return total


def _tinted(rgb: tuple[float, float, float], shade_R: Tensor, tilt: tuple[float, float, float]) -> Tensor:
    """A colour times 1 + tilt * shade, channel by channel."""
    return torch.stack([value * (1.0 + lean * shade_R) for value, lean in zip(rgb, tilt, strict=True)])


def _squares(position: Tensor, wide: Tensor) -> Tensor:
    """Mean over a box of the square wave of period 2 with values -1 and 1 (its integral is a triangle wave)."""
    low, high = 0.5 * (position - 0.5 * wide), 0.5 * (position + 0.5 * wide)
    return 2.0 * ((low - low.floor() - 0.5).abs() - (high - high.floor() - 0.5).abs()) / wide


def _checker(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    wide = wide_2R.clamp_min(1e-3) * 1.3
    weight = 0.5 - 0.5 * _squares(point_2R[0] + 0.5, wide[0]) * _squares(point_2R[1], wide[1])
    light, dark = linear(206, 208, 212), linear(104, 110, 122)
    return torch.stack([a + (b - a) * weight for a, b in zip(light, dark, strict=True)])


def _sand(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    grain = _grain(point_2R, wide_2R, shift_2R, (0.055, 0.04, 0.055, 0.0))
    return _tinted(linear(226, 197, 146), grain, (1.0, 1.1, 1.35))


def _grass(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    grain = _grain(point_2R, wide_2R, shift_2R, (0.09, 0.07, 0.07, 0.09))
    return _tinted(linear(124, 156, 62), grain, (1.15, 0.9, 1.0))


def _snow(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    grain = _grain(point_2R, wide_2R, shift_2R, (0.035, 0.03, 0.02, 0.0))
    return _tinted(linear(238, 243, 250), grain, (1.3, 1.0, 0.6))


def _water(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    grain = _grain(point_2R, wide_2R, shift_2R, (0.06, 0.0, 0.0, 0.0))
    return _tinted(linear(22, 96, 124), grain, (1.0, 1.0, 1.0))


BOARD = 0.42
"""Width of a floor board, metres. Boards run along x, so that their seams lie level in the picture."""


def _wood(point_2R: Tensor, wide_2R: Tensor, shift_2R: Tensor) -> Tensor:
    across = point_2R[1] * (1.0 / BOARD)
    number = across.floor()
    inside = across - number
    wide = wide_2R[1].clamp_min(1e-3) * (1.0 / BOARD)
    # Boards differ in tone: a sine of the board's number looks random enough; it fades when boards shrink to pixels.
    tone = torch.sin(number * 2.4 + 40.0 * shift_2R[0]) * (1.0 - 0.8 * wide).clamp(0.0, 1.0)
    bands = noise(point_2R[1] * (1.6 / TILE) + 0.37 * number, point_2R[0] * (1.0 / TILE) + shift_2R[0])
    veins = bands[3] * torch.exp(-160.0 * wide * wide * BOARD * BOARD * 2.5)
    # The seam is a dark line of 6% of a board; the pixel's share of it is the overlap of two intervals.
    edge = torch.minimum(inside, 1.0 - inside)
    line = ((0.03 + 0.5 * wide - edge) / wide).clamp_min(0.0).minimum((0.06 / wide).clamp_max(1.0)).clamp_max(1.0)
    shade = 0.13 * tone + 0.06 * veins + 0.04 * bands[0] - 0.62 * line
    return _tinted(linear(186, 132, 80), shade, (0.9, 1.0, 1.15))


WAVES = (
    # direction x, direction y, wavelength in metres, slope
    (0.35, 0.94, 1.30, 0.026),
    (-0.62, 0.78, 0.83, 0.022),
    (0.88, 0.47, 0.61, 0.015),
    (-0.97, 0.24, 0.47, 0.010),
)


def ripples(point_2R: Tensor, wide_2R: Tensor, time_R: Tensor, shift_2R: Tensor) -> Tensor:
    """Slope (2, R) of the water along x and y: deep-water waves, whose speed goes with the root of their length."""
    slope = torch.zeros_like(point_2R)
    for x, y, wavelength, steep in WAVES:
        wavenumber = 2.0 * math.pi / wavelength
        phase = wavenumber * (x * point_2R[0] + y * point_2R[1]) - math.sqrt(9.81 * wavenumber) * 0.6 * time_R
        seen = x * wide_2R[0] + y * wide_2R[1]
        height = torch.cos(phase + 50.0 * shift_2R[0] * wavelength)
        height = height * torch.exp(seen * seen * (-wavenumber * wavenumber / 7.0))
        slope[0].add_(height, alpha=steep * x)
        slope[1].add_(height, alpha=steep * y)
    return slope


_GROUNDS = {"checker": _checker, "sand": _sand, "grass": _grass, "snow": _snow, "water": _water, "wood": _wood}
