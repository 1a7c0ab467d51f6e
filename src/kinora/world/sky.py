"""Skies: linear RGB toward any direction, soft enough to need no filtering; and the stars of the night.

Axes in names: R rays. Directions have unit length. `shift_2R` and `side_R` may have one column that serves all rays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.core.slots import SKIES
from kinora.world.lights import LIGHTS, Air
from kinora.world.tiles import noise
from kinora.world.views import Views, dot

__all__ = ["horizon_rgb", "sky_rgb"]

FOG_HEIGHT = 9.0
"""Metres up to which air is thick where the weather is not clear."""


def sky_rgb(views: Views, air: Air, view_R: Tensor, toward_3R: Tensor) -> Tensor:
    """Linear RGB (3, R) of the sky toward unit directions; below the horizon the horizon's colour."""
    rgb_3R = _clear_rgb(views, air, view_R, toward_3R)
    return _covered(views, air, view_R, toward_3R, rgb_3R) if air.veiled else rgb_3R


def _covered(views: Views, air: Air, view_R: Tensor, toward_3R: Tensor, rgb_3R: Tensor) -> Tensor:
    """Cloud before the sky, and low fog: thick at the horizon, thinner overhead."""
    cover_R, density_R = views.by_scene(air.cover_S, view_R), views.by_scene(air.density_S, view_R)
    through_R = torch.exp(density_R * (-FOG_HEIGHT / toward_3R[2].clamp_min(0.02)))
    haze_3R = views.by_scene(air.haze_3S, view_R).expand_as(rgb_3R)
    return torch.lerp(haze_3R, rgb_3R, (1.0 - cover_R) * through_R)


def _clear_rgb(views: Views, air: Air, view_R: Tensor, toward_3R: Tensor) -> Tensor:
    shift_2R, side_R = views.by_scene(air.shift_2S, view_R), views.by_scene(air.side_S, view_R)
    if len(air.skies) == 1:
        return _SKIES[SKIES[air.skies[0]]](toward_3R, shift_2R, side_R)
    sky_R = views.by_scene(air.sky_S, view_R)
    rgb_3R = torch.empty_like(toward_3R)
    for sky in air.skies:
        chosen = (sky_R == sky).nonzero().squeeze(1)
        part = _SKIES[SKIES[sky]](
            toward_3R.index_select(1, chosen), shift_2R.index_select(1, chosen), side_R.index_select(0, chosen)
        )
        rgb_3R.index_copy_(1, chosen, part)
    return rgb_3R


def horizon_rgb(views: Views, air: Air, view_R: Tensor, direction_3R: Tensor) -> Tensor:
    """Linear RGB (3, R) of the sky's lowest edge in the direction a ray goes: what haze fades to."""
    haze_3R = views.by_scene(air.haze_3S, view_R).expand_as(direction_3R)
    low = [index for index in air.skies if SKIES[index] in _GLOWS]
    if not low:
        return haze_3R
    flat_3R = torch.stack([direction_3R[0], direction_3R[1], torch.zeros_like(direction_3R[2])])
    flat_3R = flat_3R * dot(flat_3R, flat_3R).clamp_min(1e-12).rsqrt()
    side_R, sky_R = views.by_scene(air.side_S, view_R), views.by_scene(air.sky_S, view_R)
    for index in low:
        glow_3R = _GLOWS[SKIES[index]](flat_3R, side_R)[0]
        if air.veiled:
            glow_3R = glow_3R * (views.by_scene(air.density_S, view_R) == 0.0)
        haze_3R = haze_3R + (glow_3R if len(air.skies) == 1 else glow_3R * (sky_R == index))
    return haze_3R


def blend(low: tuple[float, float, float], high: tuple[float, float, float], weight_R: Tensor) -> Tensor:
    """Linear mix (3, R) of two colours."""
    return torch.stack([a + (b - a) * weight_R for a, b in zip(low, high, strict=True)])


def smoothstep(low: float, high: float, value: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, a smooth cubic between (also falling, when `low` > `high`)."""
    x = ((value - low) * (1.0 / (high - low))).clamp_(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _clouds(toward_3R: Tensor, shift_2R: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Two octaves of noise on a flat layer above, and how much of it shows (nothing at the horizon)."""
    up = toward_3R[2].clamp_min(0.0)
    # The layer bends down at the horizon (the added constant), so that clouds there keep some height.
    scale = height / (up + 0.16)
    bands = noise(toward_3R[0] * scale + shift_2R[0], toward_3R[1] * scale + shift_2R[1])
    return bands[0] + 0.45 * bands[1], smoothstep(0.01, 0.13, up)


def _day(toward_3R: Tensor, shift_2R: Tensor, side_R: Tensor) -> Tensor:
    up = toward_3R[2].clamp_min(0.0)
    rgb = blend(LIGHTS["day"].haze, (0.16, 0.38, 0.80), 1.0 - torch.exp(-6.0 * up))
    density, shown = _clouds(toward_3R, shift_2R, 0.22)
    cover = smoothstep(0.25, 1.7, density) * shown * 0.85
    return rgb + cover * (0.97 - rgb)


def _overcast(toward_3R: Tensor, shift_2R: Tensor, side_R: Tensor) -> Tensor:
    up = toward_3R[2].clamp_min(0.0)
    rgb = blend(LIGHTS["overcast"].haze, (0.42, 0.44, 0.48), 1.0 - torch.exp(-5.0 * up))
    density, shown = _clouds(toward_3R, shift_2R, 0.16)
    return rgb * (1.0 + 0.09 * density.clamp(-2.0, 2.0) * shown)


def _sunset(toward_3R: Tensor, shift_2R: Tensor, side_R: Tensor) -> Tensor:
    up = toward_3R[2].clamp_min(0.0)
    rgb = blend(LIGHTS["sunset"].haze, (0.24, 0.20, 0.42), 1.0 - torch.exp(-5.5 * up))
    warm, apart = _sunset_glow(toward_3R, side_R)
    disc = smoothstep(0.00085, 0.00060, apart)
    density, shown = _clouds(toward_3R, shift_2R, 0.12)
    cover = smoothstep(0.3, 1.8, density) * shown * 0.55
    rgb = rgb + cover * (blend((1.0, 0.46, 0.34), (1.0, 0.46, 0.34), cover) - rgb)
    return rgb + warm + torch.stack([disc, 0.9 * disc, 0.6 * disc])


def _sunset_glow(toward_3R: Tensor, side_R: Tensor) -> tuple[Tensor, Tensor]:
    """The sun low ahead, off to the side the light comes from: its wide glow, and 1 - cosine of the angle to it."""
    facing = -0.262 * side_R * toward_3R[0] + 0.962 * toward_3R[1] + 0.075 * toward_3R[2]
    apart = (1.0 - facing).clamp_min(0.0)
    glow = 0.42 * torch.exp(-9.0 * apart) + 0.30 * torch.exp(-120.0 * apart)
    return torch.stack([0.95 * glow, 0.52 * glow, 0.16 * glow]), apart


def _night_glow(toward_3R: Tensor, side_R: Tensor) -> tuple[Tensor, Tensor]:
    """The moon's glow, and 1 - cosine of the angle to it."""
    facing = -0.165 * side_R * toward_3R[0] + 0.9775 * toward_3R[1] + 0.131 * toward_3R[2]
    apart = (1.0 - facing).clamp_min(0.0)
    glow = 0.10 * torch.exp(-90.0 * apart) + 0.04 * torch.exp(-14.0 * apart)
    return torch.stack([0.80 * glow, 0.88 * glow, 1.1 * glow]), apart


def _night(toward_3R: Tensor, shift_2R: Tensor, side_R: Tensor) -> Tensor:
    up = toward_3R[2].clamp_min(0.0)
    rgb = blend(LIGHTS["night"].haze, (0.006, 0.010, 0.034), 1.0 - torch.exp(-5.0 * up))
    glow, apart = _night_glow(toward_3R, side_R)
    disc = smoothstep(0.00068, 0.00050, apart)
    # One soft sea, up and to the side of the moon's middle.
    sea = torch.exp(-9e3 * (1.0 - (-0.177 * side_R * toward_3R[0] + 0.9744 * toward_3R[1] + 0.139 * toward_3R[2])))
    moon = disc * (0.92 - 0.30 * sea)
    return rgb + glow + torch.stack([moon, 0.97 * moon, 0.90 * moon])


_GLOWS = {"sunset": _sunset_glow, "night": _night_glow}
_SKIES = {"day": _day, "sunset": _sunset, "night": _night, "overcast": _overcast}
