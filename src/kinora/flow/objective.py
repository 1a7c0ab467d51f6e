"""What the transformer is trained on."""

from __future__ import annotations

from torch import Tensor

__all__ = ["flow_loss", "training_pair"]


def training_pair(clean_BCTHW: Tensor, noise_BCTHW: Tensor, sigma_BTHW: Tensor) -> tuple[Tensor, Tensor]:
    """The input `x = (1 - sigma) clean + sigma noise` and the target `v = noise - clean`, each (B, C, T, H, W)."""
    sigma_B1THW = sigma_BTHW[:, None]
    return (1.0 - sigma_B1THW) * clean_BCTHW + sigma_B1THW * noise_BCTHW, noise_BCTHW - clean_BCTHW


def flow_loss(
    velocity_BCTHW: Tensor, target_BCTHW: Tensor, sigma_BTHW: Tensor, weight_BTHW: Tensor | None = None
) -> Tensor:
    """Mean squared error over the cells that carry noise, a scalar.

    Known cells (sigma 0) are left out: nothing in them tells noise from content. `weight_BTHW` weighs cells further.
    """
    asked_BTHW = (sigma_BTHW > 0).to(velocity_BCTHW.dtype)
    if weight_BTHW is not None:
        asked_BTHW = asked_BTHW * weight_BTHW
    error_BTHW = (velocity_BCTHW - target_BCTHW).square().mean(dim=1)
    return (error_BTHW * asked_BTHW).sum() / asked_BTHW.sum().clamp(min=1.0)
