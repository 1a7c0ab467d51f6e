"""One periodic tile of smooth noise in four bands: the grain of every ground and the clouds of every sky."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["BANDS", "noise"]

SIZE = 512
"""Texels along a side of the tile."""
BANDS = (160.0, 44.0, 9.0, 12.0)
"""Wavelengths in texels: coarse, middle, fine, and fine grain drawn out six times along y."""
SEED = 20


@lru_cache(maxsize=4)
def _tile(device: str) -> Tensor:
    """The tile, (1, 4, SIZE + 1, SIZE + 1): bands of zero mean and unit deviation; the last row repeats the first."""
    frequency = np.fft.fftfreq(SIZE)
    x, y = frequency[None, :], frequency[:, None]
    white = np.random.default_rng(SEED).standard_normal((len(BANDS), SIZE, SIZE))
    layers = []
    for band, wavelength in enumerate(BANDS):
        radius = np.hypot(x, 6.0 * y if band == 3 else y)
        radius[0, 0] = 1e-9
        window = np.exp(-0.5 * (np.log(radius * wavelength) / 0.45) ** 2)
        layer = np.fft.ifft2(np.fft.fft2(white[band]) * window).real
        layers.append((layer - layer.mean()) / layer.std())
    tile = np.pad(np.stack(layers), ((0, 0), (0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(tile.astype(np.float32))[None].to(device)


def noise(u_R: Tensor, v_R: Tensor) -> Tensor:
    """The four bands (4, R) at tile coordinates (one tile is one unit, repeated without end)."""
    grid_R2 = torch.stack([u_R - u_R.floor(), v_R - v_R.floor()], -1).mul_(2.0).sub_(1.0)
    found = torch.nn.functional.grid_sample(
        _tile(str(u_R.device)), grid_R2.reshape(1, 1, -1, 2), mode="bilinear", align_corners=True
    )
    return found.reshape(4, -1)
