"""Guides: rough films drawn in pixels that denoising starts from.

A guide says two things of every pixel: what is roughly to be seen there, and how far that is to be trusted, as the
highest noise level it may have (its cap). Encoded, every latent cell starts to be denoised only when the schedule has
come down to its cap: where the guide is exact the cell never changes, where it is rough the model redraws what is
finer than the noise and keeps what is coarser, where it is wrong the model is free. So a picture cut and dragged, or
seen from a camera that moved, steers a model that was never taught to be steered (SDEdit, Meng et al. 2021; with
levels that differ by region: Time-to-Move, Singer et al. 2025).

Axes: F pixel frames, H W pixels, B batch, C channels, T latent frames (then H W is the latent grid).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression, PixelShape
from kinora.flow.state import LatentState

__all__ = ["Guide", "cell_caps", "follow_guide"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """What is roughly known of every pixel of a film."""

    frames_FHW3: npt.NDArray[np.uint8]
    cap_FHW: npt.NDArray[np.float32]
    """Highest noise level of each pixel, in [0, 1]: 0 = exactly this, 1 = anything."""

    def __post_init__(self) -> None:
        shape = self.frames_FHW3.shape
        if len(shape) != 4 or shape[-1] != 3 or self.frames_FHW3.dtype != np.uint8:
            raise ShapeError(
                f"A guide needs uint8 frames of shape (F, H, W, 3), not {self.frames_FHW3.dtype} of {shape}."
            )
        if self.cap_FHW.shape != shape[:3]:
            raise ShapeError(f"A guide's caps must have its frames' shape {shape[:3]}, not {self.cap_FHW.shape}.")

    @classmethod
    def still(cls, picture_HW3: npt.NDArray[np.uint8], *, frames: int = 1, cap: float = 0.3) -> Self:
        """A picture that stands for `frames` frames. At the default cap its things may still change a little."""
        shape = (frames, *picture_HW3.shape)
        return cls(
            frames_FHW3=np.broadcast_to(picture_HW3, shape).copy(),
            cap_FHW=np.full(shape[:3], cap, dtype=np.float32),
        )


def cell_caps(cap_FHW: npt.NDArray[np.float32], compression: Compression) -> Tensor:
    """The cap (T, H, W) of every latent cell: the mean over the pixels and frames that it stands for.

    The least of them would freeze what is wrong in a cell together with what is right: the edge of uncovered ground
    would keep its blurred filling. The greatest would let a single free pixel free a whole cell, and a thing of a
    cell's size, which rarely lies in one cell, would be lost. The mean gives each its share, as the cell's one noise
    level must, and leaves cells that are wholly exact at 0 and cells that are wholly free at 1.

    Raises `ShapeError` for sizes that the codec's grid cannot hold.
    """
    frames, height, width = cap_FHW.shape
    compression.latent(PixelShape(frames=frames, height=height, width=width))
    cell_FHW = functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(cap_FHW))[:, None], compression.space)[:, 0]
    later_THW = cell_FHW[1:].reshape(-1, compression.time, *cell_FHW.shape[1:]).mean(dim=1)
    return torch.cat([cell_FHW[:1], later_THW])


def follow_guide(state: LatentState, latent_BCTHW: Tensor, cap_THW: Tensor) -> LatentState:
    """The state with every cell known up to the guide's cap; what it already knows as well or better stays.

    `latent_BCTHW` is the encoded guide, `cap_THW` its `cell_caps`. They cover the state's first T frames: frames that
    stand beside the clip (references) come after them and stay as they are.
    """
    frames, guided = state.clean_BCTHW.shape[2], cap_THW.shape[0]
    beside = frames - guided
    if beside < 0:
        raise ShapeError(f"A guide of {guided} latent frames is longer than the {frames} of the state it is to lead.")
    latent_BCTHW = functional.pad(latent_BCTHW, (0, 0, 0, 0, 0, beside))
    cap_BTHW = functional.pad(cap_THW, (0, 0, 0, 0, 0, beside), value=1.0)[None]
    return state.know_up_to(latent_BCTHW, cap_BTHW)
