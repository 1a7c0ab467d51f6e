"""Sketching: a few moments of a window are imagined before all of it.

A model that was taught a few moments of each clip composes those well. Asked at once for all the moments of a window,
it has so many cells that agree about the background that the prompt's bodies fade into it (docs/log.md). So the moments
it knows how to compose come first, far apart, and all of them after, near those.

Axes: B batch, C channels, T latent frames of the window, K those of the sketch, H W grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinora.flow.state import LatentState
from kinora.transformer.conditions import Conditions

__all__ = ["Sketch"]

PER_FRAME = ("pose_BT12", "mouth_BTS", "face_BTHW")
"""Conditions that are told frame by frame, in axis 1."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """Which latent frames of a window come first, and how near the others stay to them."""

    places: tuple[int, ...]
    """In the window, from its first latent frame to its last."""
    frames: int
    """Latent frames of the window; whatever stands after them (references) is seen by the sketch too."""
    cap: float
    """Highest noise level of every frame afterwards, each beginning as the nearest one of the sketch."""

    @classmethod
    def of(cls, frames: int, count: int, cap: float) -> Sketch:
        """`count` places spread evenly over a window of `frames`."""
        steps = torch.linspace(0, frames - 1, count).round().int()
        return cls(places=tuple(steps.tolist()), frames=frames, cap=cap)

    def state(self, state: LatentState) -> LatentState:
        """The window's state at the sketch's places."""
        rows = self._rows(state.position_BT.shape[1])
        return LatentState(
            noise_BCTHW=state.noise_BCTHW[:, :, rows],
            clean_BCTHW=state.clean_BCTHW[:, :, rows],
            cap_BTHW=state.cap_BTHW[:, rows],
            position_BT=state.position_BT[:, rows],
        )

    def conditions(self, conditions: Conditions) -> Conditions:
        """What is told of the window's frames, of those of the sketch."""
        told = {name: getattr(conditions, name) for name in PER_FRAME}
        thinned = {name: value[:, self._rows(value.shape[1])] for name, value in told.items() if value is not None}
        control_BCTHW = conditions.control_BCTHW
        if control_BCTHW is not None:
            thinned["control_BCTHW"] = control_BCTHW[:, :, self._rows(control_BCTHW.shape[2])]
        return replace(conditions, **thinned)

    @property
    def nearest_T(self) -> Tensor:
        """For every frame of the window, which moment of the sketch is nearest."""
        return (torch.arange(self.frames)[:, None] - torch.tensor(self.places)).abs().argmin(dim=1)

    def follow(self, state: LatentState, sketched_BCKHW: Tensor) -> LatentState:
        """The window's state with every frame known roughly, as the nearest moment of the sketch."""
        clean_BCTHW, cap_BTHW = state.clean_BCTHW.clone(), state.cap_BTHW.clone()
        clean_BCTHW[:, :, : self.frames] = sketched_BCKHW[:, :, self.nearest_T.to(sketched_BCKHW.device)]
        cap_BTHW[:, : self.frames] = self.cap
        return state.know_up_to(clean_BCTHW, torch.minimum(cap_BTHW, state.cap_BTHW))

    def _rows(self, total: int) -> Sequence[int]:
        return [*self.places, *range(self.frames, total)]
