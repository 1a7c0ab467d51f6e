"""A clip: frames with a frame rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.errors import ShapeError
from kinora.core.shapes import PixelShape

__all__ = ["Clip"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """RGB frames, `uint8` of shape (F, H, W, 3), and how many of them pass in a second."""

    frames_FHWC: npt.NDArray[np.uint8]
    frame_rate: float

    def __post_init__(self) -> None:
        shape = self.frames_FHWC.shape
        if len(shape) != 4 or shape[-1] != 3 or self.frames_FHWC.dtype != np.uint8:
            raise ShapeError(
                f"A clip needs uint8 frames of shape (F, H, W, 3), not {self.frames_FHWC.dtype} of shape {shape}."
            )

    @property
    def shape(self) -> PixelShape:
        frames, height, width, _ = self.frames_FHWC.shape
        return PixelShape(frames=frames, height=height, width=width)

    @property
    def seconds(self) -> float:
        return self.shape.seconds(self.frame_rate)
