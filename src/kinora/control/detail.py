"""Detail that the codec cannot carry.

A codec that keeps one number in sixty-four blurs grain, letters and a mouth that moves within four frames. Where a
guide is to be trusted, the guide's own pixels are known, so what the codec loses of them is known too, and can be
added to what was made. Axes: F pixel frames, H W pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.control.guide import Guide
from kinora.core.errors import ShapeError

__all__ = ["TRUSTED", "restore_detail"]

Frames = npt.NDArray[np.uint8]

TRUSTED = 0.5
"""Cap from which on nothing of a guide's detail is added; below it the share grows evenly, up to all of it at cap 0.
Noise of that level hides everything finer than a cell from the model, so finer detail would not fit what it made."""


def restore_detail(made_FHW3: Frames, guide: Guide, coded_FHW3: Frames) -> Frames:
    """The frames made, with what the codec has lost of the guide; `coded_FHW3` is the guide encoded and decoded.

    Where the guide is exact and nothing was changed, these are the guide's own pixels.
    """
    if not made_FHW3.shape == guide.frames_FHW3.shape == coded_FHW3.shape:
        raise ShapeError(
            f"Detail of a guide of shape {guide.frames_FHW3.shape} does not fit frames of shape {made_FHW3.shape}."
        )
    result_FHW3 = made_FHW3.copy()
    for f, cap_HW in enumerate(guide.cap_FHW):
        if cap_HW.min() >= TRUSTED:
            continue
        share_HW1 = np.clip(1.0 - cap_HW / TRUSTED, 0.0, 1.0)[:, :, None]
        lost_HW3 = guide.frames_FHW3[f].astype(np.float32) - coded_FHW3[f]
        result_FHW3[f] = np.rint(np.clip(made_FHW3[f] + share_HW1 * lost_HW3, 0.0, 255.0))
    return result_FHW3
