"""A block of spacetime, part of it known.

Every latent cell has a cap, the highest noise level it may have: 1 is free, 0 is known and stays exactly as given, a
little above 0 is known but may still be mended (history, noised lightly against drift). While the schedule stands at
sigma, a cell stands at `min(sigma, cap)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinora.core.errors import ShapeError

__all__ = ["LatentState", "initial_state"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentState:
    """What is known before denoising. Records are never changed: `know` and its like return new ones."""

    noise_BCTHW: Tensor
    """The noise that every cell starts from or is mixed with."""
    clean_BCTHW: Tensor
    """What is known, zero where nothing is."""
    cap_BTHW: Tensor
    """Highest noise level of each cell, in [0, 1]."""
    position_BT: Tensor
    """Time of each latent frame, in latent frames; references and end frames may stand outside the clip's own range."""

    @property
    def latent_BCTHW(self) -> Tensor:
        """The noisy latents at the start: every cell at its cap."""
        return self.at(1.0)

    def sigma_at(self, sigma: float) -> Tensor:
        """Noise level of each cell (B, T, H, W) while the schedule stands at `sigma`."""
        return self.cap_BTHW.clamp(max=sigma)

    def at(self, sigma: float) -> Tensor:
        """`(1 - s) clean + s noise`, s each cell's level while the schedule stands at `sigma`."""
        cell_B1THW = self.sigma_at(sigma)[:, None]
        mixed_BCTHW = (1.0 - cell_B1THW) * self.clean_BCTHW + cell_B1THW * self.noise_BCTHW
        return torch.where(cell_B1THW == 0, self.clean_BCTHW, mixed_BCTHW)

    def know(self, latent_frames: Sequence[int], clean_BCTHW: Tensor, cap: float = 0.0) -> LatentState:
        """The same state with whole frames known; `clean_BCTHW` holds as many frames as `latent_frames` names."""
        frames = list(latent_frames)
        here_BCTHW = self.clean_BCTHW[:, :, frames]
        clean_BCTHW = _fit(clean_BCTHW, here_BCTHW)
        known_BCTHW, cap_BTHW = self.clean_BCTHW.clone(), self.cap_BTHW.clone()
        known_BCTHW[:, :, frames] = clean_BCTHW
        cap_BTHW[:, frames] = _checked_cap(cap)
        return replace(self, clean_BCTHW=known_BCTHW, cap_BTHW=cap_BTHW)

    def know_cells(self, mask_BTHW: Tensor, clean_BCTHW: Tensor, cap: float = 0.0) -> LatentState:
        """The same state with the cells known where `mask_BTHW` is true; `clean_BCTHW` covers the whole grid."""
        clean_BCTHW = _fit(clean_BCTHW, self.clean_BCTHW)
        mask_BTHW = mask_BTHW.to(self.cap_BTHW.device).expand_as(self.cap_BTHW)
        return replace(
            self,
            clean_BCTHW=torch.where(mask_BTHW[:, None], clean_BCTHW, self.clean_BCTHW),
            cap_BTHW=self.cap_BTHW.masked_fill(mask_BTHW, _checked_cap(cap)),
        )

    def know_up_to(self, clean_BCTHW: Tensor, cap_BTHW: Tensor) -> LatentState:
        """The same state with every cell known up to a cap of its own, where that is lower than the cap it has.

        A guide that is rougher than what is known already changes nothing; both tensors cover the whole grid.
        """
        clean_BCTHW = _fit(clean_BCTHW, self.clean_BCTHW)
        cap_BTHW = cap_BTHW.to(self.cap_BTHW).expand_as(self.cap_BTHW)
        for edge in torch.aminmax(cap_BTHW):
            _checked_cap(float(edge))
        lower_BTHW = cap_BTHW < self.cap_BTHW
        return replace(
            self,
            clean_BCTHW=torch.where(lower_BTHW[:, None], clean_BCTHW, self.clean_BCTHW),
            cap_BTHW=torch.where(lower_BTHW, cap_BTHW, self.cap_BTHW),
        )

    def extend(self, clean_BCTHW: Tensor, positions: Sequence[float], cap: float = 0.0) -> LatentState:
        """The same state with known frames (references, an end frame) after its own, at given times; cut them off
        the result.
        """
        batch, channels, _, height, width = self.noise_BCTHW.shape
        extra_BCTHW = self.noise_BCTHW.new_zeros(batch, channels, len(positions), height, width)
        clean_BCTHW = _fit(clean_BCTHW, extra_BCTHW)
        # Their noise is the state's own, frame by frame, so that extending draws nothing and stays repeatable.
        source = [i % self.noise_BCTHW.shape[2] for i in range(len(positions))]
        time_T = torch.tensor(list(positions), dtype=self.position_BT.dtype, device=self.position_BT.device)
        cap_BTHW = self.cap_BTHW.new_full((batch, len(positions), height, width), _checked_cap(cap))
        return LatentState(
            noise_BCTHW=torch.cat([self.noise_BCTHW, self.noise_BCTHW[:, :, source]], dim=2),
            clean_BCTHW=torch.cat([self.clean_BCTHW, clean_BCTHW], dim=2),
            cap_BTHW=torch.cat([self.cap_BTHW, cap_BTHW], dim=1),
            position_BT=torch.cat([self.position_BT, time_T.expand(batch, -1)], dim=1),
        )


def initial_state(
    shape: Sequence[int], *, seed: int, batch: int = 1, device: torch.device | str = "cpu", first_position: float = 0.0
) -> LatentState:
    """A state of which nothing is known, of `shape` (C, T, H, W).

    Element b of the batch draws from `seed + b`, so a batch of n is the same as n single ones; the noise is drawn on
    the CPU, so that it is the same on every device.
    """
    channels, frames, height, width = shape
    noise_BCTHW = torch.stack(
        [
            torch.randn(channels, frames, height, width, generator=torch.Generator().manual_seed(seed + b))
            for b in range(batch)
        ]
    ).to(device)
    return LatentState(
        noise_BCTHW=noise_BCTHW,
        clean_BCTHW=torch.zeros_like(noise_BCTHW),
        cap_BTHW=noise_BCTHW.new_ones(batch, frames, height, width),
        position_BT=(torch.arange(frames, dtype=torch.float32, device=device) + first_position).expand(batch, -1),
    )


def _fit(clean_BCTHW: Tensor, like_BCTHW: Tensor) -> Tensor:
    """`clean_BCTHW` in the type and place of `like_BCTHW`, one for the whole batch or one each."""
    if clean_BCTHW.ndim != 5 or clean_BCTHW.shape[1:] != like_BCTHW.shape[1:]:
        raise ShapeError(
            f"Known latents of shape {tuple(clean_BCTHW.shape)} cannot fill shape {tuple(like_BCTHW.shape)}; "
            "all axes but the batch must agree."
        )
    return clean_BCTHW.to(like_BCTHW).expand_as(like_BCTHW)


def _checked_cap(cap: float) -> float:
    if not 0.0 <= cap <= 1.0:
        raise ShapeError(f"A cell's highest noise level lies in [0, 1]; {cap} does not.")
    return cap
