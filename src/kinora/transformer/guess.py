"""The best linear guess of the velocity, and how far it is usually off.

With latents of spread `s` (standard deviation by channel, mean about zero) and `x = (1 - sigma) x_0 + sigma noise`, the
linear function of `x` nearest to `v = noise - x_0` is

    v = (sigma - (1 - sigma) s^2) / r^2  x,    r^2 = (1 - sigma)^2 s^2 + sigma^2,

and what it leaves has the standard deviation `s / r`. A network that predicts the rest, in that unit, need not carry
the noise of its input through all its blocks: with 192 numbers a token and a width of 256 that is most of what it could
carry. The preconditioning of Karras et al. 2022 (arXiv:2206.00364), worked out for flow matching and by channel.

Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["add_linear_guess"]


def add_linear_guess(rest_BCTHW: Tensor, latent_BCTHW: Tensor, sigma_BTHW: Tensor, spread: Sequence[float]) -> Tensor:
    """Velocity (B, C, T, H, W) in float32: the linear guess from `latent_BCTHW` (B, or 1 for all of them) plus what the
    network says is left of it, in units of what is usually left.
    """
    spread_C111 = torch.tensor(spread, dtype=torch.float32, device=latent_BCTHW.device)[:, None, None, None]
    sigma_B1THW = sigma_BTHW[:, None].float()
    content_BCTHW = (1.0 - sigma_B1THW) * spread_C111.square()
    power_BCTHW = (1.0 - sigma_B1THW) * content_BCTHW + sigma_B1THW.square()
    guess_BCTHW = (sigma_B1THW - content_BCTHW) / power_BCTHW * latent_BCTHW.float()
    return guess_BCTHW + spread_C111 * power_BCTHW.rsqrt() * rest_BCTHW
