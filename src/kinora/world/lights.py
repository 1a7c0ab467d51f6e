"""What each sky pours on the theatre: a key light, light from above and below, and haze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kinora.core.slots import GROUNDS, SKIES
from kinora.world.scene import Place
from kinora.world.swell import hand_of

__all__ = ["Air", "Light", "make_air", "sky_colour"]

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Light:
    """One sky's light, linear RGB."""

    toward: tuple[float, float, float]
    """Direction to the key light (sun, moon), seen by a camera that looks along +y; not of unit length."""
    key: Rgb
    above: Rgb
    below: Rgb
    haze: Rgb
    """The colour at the horizon, where the ground fades into the sky."""
    softness: float
    """Tangent of the key light's angular radius: the width of a shadow's edge a metre behind what casts it."""


LIGHTS: dict[str, Light] = {
    "day": Light(
        toward=(-0.55, -0.50, 0.80), key=(1.02, 0.97, 0.88), above=(0.36, 0.40, 0.47), below=(0.24, 0.22, 0.19),
        haze=(0.70, 0.80, 0.90), softness=0.09,
    ),
    "sunset": Light(
        toward=(-0.80, -0.34, 0.40), key=(1.50, 0.98, 0.58), above=(0.36, 0.31, 0.37), below=(0.28, 0.20, 0.16),
        haze=(0.96, 0.50, 0.24), softness=0.07,
    ),
    "night": Light(
        toward=(-0.45, -0.50, 0.85), key=(0.32, 0.345, 0.44), above=(0.155, 0.168, 0.235), below=(0.085, 0.09, 0.125),
        haze=(0.045, 0.060, 0.125), softness=0.08,
    ),
    "overcast": Light(
        toward=(-0.25, -0.30, 0.90), key=(0.34, 0.34, 0.34), above=(0.52, 0.53, 0.55), below=(0.26, 0.26, 0.26),
        haze=(0.60, 0.62, 0.64), softness=0.42,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Veil:
    """What weather does to light and sight."""

    cover: float
    """Share of the sky that grey cloud hides, and share of the key light that it spreads."""
    density: float
    """Share of light lost in a metre of air (at small distances)."""
    softness: float
    """Least softness of shadows."""


VEILS = {
    "clear": Veil(cover=0.0, density=0.0, softness=0.0),
    "rain": Veil(cover=0.70, density=0.014, softness=0.30),
    "snow": Veil(cover=0.65, density=0.022, softness=0.30),
    "fog": Veil(cover=0.75, density=0.085, softness=0.40),
}
"""By the slot `weather`."""


def sky_colour(place: Place) -> Rgb:
    """Linear colour of cloud and fog under a place's sky: its haze, mostly grey, and never quite black."""
    red, green, blue = LIGHTS[place.sky].haze
    grey = 0.3 * red + 0.55 * green + 0.15 * blue
    dim = 0.85 if place.weather == "rain" else 1.0
    mixed = [dim * (0.3 * value + 0.7 * grey) + 0.02 for value in (red, green, blue)]
    return mixed[0], mixed[1], mixed[2]


def _light(place: Place) -> Light:
    """The sky's light as the weather lets it through: what cloud takes from the key light comes from all around."""
    light = LIGHTS[place.sky]
    if place.weather == "clear":
        return light
    veil = VEILS[place.weather]
    taken = 0.75 * veil.cover
    return replace(
        light,
        key=_sum(light.key, light.key, -taken),
        above=_sum(light.above, light.key, 0.42 * taken),
        below=_sum(light.below, light.key, 0.16 * taken),
        haze=sky_colour(place),
        softness=max(light.softness, veil.softness),
    )


def _sum(first: Rgb, second: Rgb, amount: float) -> Rgb:
    red, green, blue = (a + amount * b for a, b in zip(first, second, strict=True))
    return red, green, blue


@dataclass(frozen=True, kw_only=True, eq=False)
class Air:
    """Light and places of a chunk's scenes as tables, S last."""

    toward_3S: Tensor
    key_3S: Tensor
    above_3S: Tensor
    below_3S: Tensor
    haze_3S: Tensor
    softness_S: Tensor
    shift_2S: Tensor
    """Where on the noise tile the scene lies."""
    side_S: Tensor
    """+1 or -1: the side the light comes from."""
    ground_S: Tensor
    sky_S: Tensor
    grounds: tuple[int, ...]
    """Grounds that occur."""
    skies: tuple[int, ...]
    veiled: bool
    """Whether any scene has weather; `cover_S` and `density_S` are then worth looking at."""
    cover_S: Tensor
    density_S: Tensor
    rough: bool
    """Whether any scene has waves."""
    hand_S: Tensor
    """Side the waves run to, +1 or -1; 0 where it is calm."""
    host_toward_S3: np.ndarray
    host_softness_S: np.ndarray


def make_air(places: Sequence[Place], device: torch.device) -> Air:
    """Tables of the places' light. The place's seed chooses the side of the light and the lie of textures."""
    shifts, sides = [], []
    for place in places:
        draw = np.random.default_rng([place.seed & 0xFFFFFFFF, 77])
        shifts.append(draw.uniform(0.0, 1.0, 2))
        sides.append(1.0 if draw.uniform() < 0.5 else -1.0)
    lights = [_light(place) for place in places]
    veils = [VEILS[place.weather] for place in places]
    hands = [hand_of(place) if place.waves != "calm" and place.ground == "water" else 0.0 for place in places]
    toward_S3 = np.array([light.toward for light in lights]) * np.array([[side, 1.0, 1.0] for side in sides])
    toward_S3 /= np.linalg.norm(toward_S3, axis=1, keepdims=True)
    ground_S = [GROUNDS.index(place.ground) for place in places]
    sky_S = [SKIES.index(place.sky) for place in places]

    def columns(values: object) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.asarray(values, np.float32).T)).to(device)

    return Air(
        toward_3S=columns(toward_S3),
        key_3S=columns([light.key for light in lights]),
        above_3S=columns([light.above for light in lights]),
        below_3S=columns([light.below for light in lights]),
        haze_3S=columns([light.haze for light in lights]),
        softness_S=columns([light.softness for light in lights]),
        shift_2S=columns(shifts),
        side_S=columns(sides),
        ground_S=torch.tensor(ground_S, device=device),
        sky_S=torch.tensor(sky_S, device=device),
        grounds=tuple(sorted(set(ground_S))),
        skies=tuple(sorted(set(sky_S))),
        veiled=any(place.weather != "clear" for place in places),
        cover_S=columns([veil.cover for veil in veils]),
        density_S=columns([veil.density for veil in veils]),
        rough=any(hands),
        hand_S=columns(hands),
        host_toward_S3=toward_S3,
        host_softness_S=np.array([light.softness for light in lights]),
    )
