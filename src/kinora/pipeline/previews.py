"""How a film under way looks: one frame, drawn from what the model takes the clean latents to be.

Axes: B batch, C channels, T latent frames, H W grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from kinora.codec import START, frames_from_video
from kinora.flow.solvers import Velocity
from kinora.pipeline.residency import Placing
from kinora.pipeline.resident import Resident

__all__ = ["Guess", "Previews"]


@dataclass(frozen=True, kw_only=True)
class Previews:
    """Who wants to see a film under way."""

    every: int
    """Steps between two looks, at least 1."""
    show: Callable[[npt.NDArray[np.uint8]], None]
    """Sees a picture (H, W, 3) from the middle of what is being made."""

    def look(self, steps: int, total: int, guess: Guess, place: int, resident: Resident) -> None:
        """Show latent frame `place` if it is time. A codec that is not there all the time is not brought for it."""
        due = steps % self.every == 0 and steps < total
        if not due or resident.rung.placings.get("codec", Placing()).stays != "always":
            return
        clean_BCTHW = guess.clean_BCTHW[:, :, place : place + 1]
        with resident.use("codec") as codec:
            # Alone, the frame is drawn as if it stood still: near enough, and all there is to look at.
            video_BCFHW, _ = codec.decode_chunk(clean_BCTHW, START)
        self.show(frames_from_video(video_BCFHW)[0, 0].cpu().numpy())


class Guess:
    """A velocity that remembers what it last took the clean latents to be: x - sigma v."""

    def __init__(self, velocity: Velocity) -> None:
        self._velocity = velocity
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        v_BCTHW = self._velocity(x_BCTHW, sigma_BTHW, position_BT)
        self._last = x_BCTHW, sigma_BTHW, v_BCTHW
        return v_BCTHW

    @property
    def clean_BCTHW(self) -> Tensor:
        """Only after it was asked."""
        assert self._last is not None
        x_BCTHW, sigma_BTHW, v_BCTHW = self._last
        return x_BCTHW - sigma_BTHW[:, None] * v_BCTHW
