"""Was only the region made anew, and is the new thing there?

Outside the mask the film is compared with the footage, pixel by pixel: what was to be kept is kept when the ratio is
high (a film that copies its footage there has 120 dB). Inside, the mean difference says whether anything changed at
all, and the reader whether the body asked for is now seen.

What fools it: a body replaced by one much like it changes little; and a reader that does not see what is there.

Axes: F frames, H W pixels, 3 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError
from kinora.core.slots import BodySlots
from kinora.measure.model import Judge

__all__ = ["RegionFigures", "measure_region"]


@dataclass(frozen=True, kw_only=True)
class RegionFigures:
    """One film whose region was made anew."""

    outside: float
    """Peak signal-to-noise ratio against the footage outside the mask, dB, peak 255."""
    inside: float
    """Mean absolute difference from the footage inside the mask, levels of 255."""
    asked: float
    """1 when the reader sees a body of the colour and shape asked for, else 0."""


def measure_region(
    clip: Clip, footage: Clip, mask_HW: npt.NDArray[np.bool_], wanted: BodySlots, judge: Judge
) -> RegionFigures:
    """Raises `ShapeError` when clip, footage and mask differ in size, or the mask leaves nothing outside."""
    if clip.frames_FHWC.shape[1:3] != footage.frames_FHWC.shape[1:3] or mask_HW.shape != clip.frames_FHWC.shape[1:3]:
        raise ShapeError("A film is compared with footage and mask of its own size.")
    if mask_HW.all() or not mask_HW.any():
        raise ShapeError("A region must leave something outside and have something inside.")
    frames = min(len(clip.frames_FHWC), len(footage.frames_FHWC))
    apart = clip.frames_FHWC[:frames].astype(np.int16) - footage.frames_FHWC[:frames]
    error = float((apart[:, ~mask_HW].astype(np.float64) ** 2).mean())
    seen = judge.read(clip).bodies
    return RegionFigures(
        outside=10.0 * float(np.log10(255.0**2 / max(error, 255.0**2 * 1e-12))),
        inside=float(np.abs(apart[:, mask_HW]).mean()),
        asked=float(any(body.colour == wanted.colour and body.shape == wanted.shape for body in seen)),
    )
