"""Pictures that a film passes through, as known latent frames."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kinora.core.errors import ShapeError
from kinora.flow.state import LatentState

__all__ = ["know_pictures"]


def know_pictures(state: LatentState, latents: Mapping[int, Tensor], *, cap: float = 0.0) -> LatentState:
    """The state with one latent frame (B, C, 1, H, W) known at each index; none noisier than `cap`.

    Latent frame 0 is the encoded picture; a later one stands for several frames and is the encoding of the picture
    held still for as long. Raises `ShapeError` for an index outside the state, and where nothing is left to make.
    """
    frames = state.clean_BCTHW.shape[2]
    for index, latent_BC1HW in latents.items():
        if not 0 <= index < frames:
            raise ShapeError(f"Latent frame {index} lies outside a window of {frames}; choose from 0 to {frames - 1}.")
        state = state.know([index], latent_BC1HW, cap=cap)
    return state
