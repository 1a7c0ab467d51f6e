"""Waves on water: two trains of deep-water waves, as heights for bodies that float and as relief for the renderer.

A train of wavelength l moves with the angular frequency sqrt(g k), k = 2 pi / l. Axes in names: R rays, F frames.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.world.scene import Place

__all__ = ["HIGHEST", "hand_of", "swell", "swell_at"]

Array = npt.NDArray[np.float64]

GRAVITY = 9.81
TRAINS = (
    # direction x, direction y, wavelength, amplitude (metres), phase
    (0.42, -0.907, 2.6, 0.080, 0.0),
    (0.05, -0.999, 1.35, 0.020, 1.9),
)
"""Towards the starting camera and aside; x is on the side that the wind blows to."""
HIGHEST = sum(train[3] for train in TRAINS)
"""No crest is higher, metres."""


def hand_of(place: Place) -> float:
    """+1 or -1: the side the waves run to, that of the wind."""
    return -1.0 if place.wind < 0.0 else 1.0


def swell_at(place: Place, x_F: Array, y_F: Array, time_F: Array) -> tuple[Array, Array]:
    """Height of the water and how fast it rises (F,), metres and metres a second; 0 where there are no waves."""
    height_F, climb_F = np.zeros_like(x_F), np.zeros_like(x_F)
    if place.waves == "calm" or place.ground != "water":
        return height_F, climb_F
    for across, along, wavelength, amplitude, start in TRAINS:
        wavenumber = 2.0 * math.pi / wavelength
        pace = math.sqrt(GRAVITY * wavenumber)
        phase_F = wavenumber * (hand_of(place) * across * x_F + along * y_F) - pace * time_F + start
        height_F += amplitude * np.cos(phase_F)
        climb_F += amplitude * pace * np.sin(phase_F)
    return height_F, climb_F


def swell(point_2R: Tensor, wide_2R: Tensor, time_R: Tensor, hand_R: Tensor) -> tuple[Tensor, Tensor]:
    """Height (R) and slope (2, R) of the water, averaged over a pixel's footprint; `hand_R` is 0 where it is calm."""
    height_R, slope_2R = torch.zeros_like(point_2R[0]), torch.zeros_like(point_2R)
    for across, along, wavelength, amplitude, start in TRAINS:
        wavenumber = 2.0 * math.pi / wavelength
        phase_R = wavenumber * (hand_R * across * point_2R[0] + along * point_2R[1]) + start
        phase_R = phase_R - math.sqrt(GRAVITY * wavenumber) * time_R
        seen_R = abs(across) * wide_2R[0] + abs(along) * wide_2R[1]
        left_R = amplitude * hand_R.abs() * torch.exp(seen_R * seen_R * (-wavenumber * wavenumber / 7.0))
        height_R = height_R + left_R * torch.cos(phase_R)
        steep_R = -wavenumber * left_R * torch.sin(phase_R)
        slope_2R[0] += across * hand_R * steep_R
        slope_2R[1] += along * steep_R
    return height_R, slope_2R
