"""Going on from what exists.

A continuation is a clip that begins a little earlier than it has to: its first latent frame is the picture at that
moment, encoded anew (only a clip's first latent frame stands for a single picture), the next ones are the latents
that exist, and the rest is free. So the model meets what it met in training, a clip from its start, however long the
film has become.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.core.errors import ShapeError
from kinora.flow.state import LatentState

__all__ = ["know_history"]


def know_history(state: LatentState, anchor_BCTHW: Tensor, history_BCTHW: Tensor, *, cap: float) -> LatentState:
    """The state with its first 1 + K latent frames known, none noisier than `cap`.

    `anchor_BCTHW` is the one latent frame (T = 1) of the picture just before the history, `history_BCTHW` the K
    latent frames that follow it. Raises `ShapeError` when they leave nothing free.
    """
    known_BCTHW = torch.cat([anchor_BCTHW, history_BCTHW], dim=2)
    known, frames = known_BCTHW.shape[2], state.clean_BCTHW.shape[2]
    if anchor_BCTHW.shape[2] != 1 or known >= frames:
        raise ShapeError(f"{known} known latent frames leave nothing to make in a window of {frames}.")
    return state.know(range(known), known_BCTHW, cap=cap)
