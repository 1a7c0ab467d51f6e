"""A speech track: the shape of a mouth at each pixel frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError

__all__ = ["MOUTH_AXES", "VisemeTrack"]

MOUTH_AXES = ("openness", "width", "rounding", "teeth")


@dataclass(frozen=True, kw_only=True, eq=False)
class VisemeTrack:
    """Mouth shapes, float32 of shape (F, 4) in [0, 1], axes as in `MOUTH_AXES`; all zero is a closed mouth."""

    mouth_F4: npt.NDArray[np.float32]
    frame_rate: float

    def __post_init__(self) -> None:
        if self.mouth_F4.ndim != 2 or self.mouth_F4.shape[1] != 4:
            raise InputError(f"A speech track has shape (frames, 4), not {self.mouth_F4.shape}.")
        if self.mouth_F4.size and not (self.mouth_F4.min() >= 0 and self.mouth_F4.max() <= 1):
            raise InputError(
                f"Mouth shapes lie in [0, 1]; this track runs from {self.mouth_F4.min():g} to {self.mouth_F4.max():g}."
            )
