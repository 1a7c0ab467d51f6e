"""Does the mouth open when the track says so?

Lips, teeth, tongue and the dark inside of a mouth all differ from skin. In the box around the mouth the skin's colour
is taken from the box's two sides (the median of each frame), and every pixel's distance from it counts, at most as
much as is usual for a mouth in this clip. Their mean over the columns in the mouth's middle is how tall the mouth is:
it grows with openness whatever fills the opening. That series is compared with the track's openness: by correlation,
and by the lag at which the correlation is highest.

What fools it: a face that is not where it should be, or turned away (nothing mouthlike in the box: the correlation
falls, rightly); a head that nods by more than the box forgives; and a mouth only a few pixels wide.

Axes: F frames, H W pixels of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError

__all__ = ["SpeechFigures", "best_lag", "measure_speech", "mouth_heights"]

Array = npt.NDArray[np.float64]

MOUTH_DOWN = 0.45
"""How far below a face's middle its mouth is, in radii."""
BOX_ACROSS, BOX_UP = 0.55, 0.36
"""Half the box's width and height, in radii."""
MIDDLE = 0.4
"""Share of the box's width, about its middle, whose columns are measured."""
MOST_LAG = 4
"""Frames by which the mouth may be early or late and still be found."""


@dataclass(frozen=True, kw_only=True)
class SpeechFigures:
    """How well a mouth follows its track."""

    correlation: float
    """At lag 0; in [-1, 1]."""
    best: float
    """At the best lag."""
    lag: int
    """Frames by which the mouth comes after the track; negative when early."""


def measure_speech(clip: Clip, openness_F: npt.NDArray[np.floating], face_F3: Array) -> SpeechFigures:
    """`openness_F` of the track at every frame; `face_F3`: x, y in shares of width and height, radius in shares of the
    shorter side. Raises `ShapeError` when the clip is shorter than five lags.
    """
    frames = min(len(clip.frames_FHWC), len(openness_F))
    if frames < 5 * MOST_LAG:
        raise ShapeError(f"A mouth cannot be compared over {frames} frames; at least {5 * MOST_LAG} are needed.")
    height_F = mouth_heights(clip.frames_FHWC[:frames], face_F3[:frames])
    asked_F = np.asarray(openness_F[:frames], dtype=np.float64)
    best, lag = best_lag(height_F, asked_F)
    return SpeechFigures(correlation=_correlation(height_F, asked_F), best=best, lag=lag)


def mouth_heights(frames_FHW3: npt.NDArray[np.uint8], face_F3: Array) -> Array:
    """How tall the mouth is in every frame, as a share of the box's height."""
    apart = [_apart_from_skin(frame, face_3) for frame, face_3 in zip(frames_FHW3, face_F3, strict=True)]
    # A mouth's own distance from skin, over the whole clip: a few pixels of every frame are surely lips.
    usual = max(float(np.median([np.quantile(one, 0.97) for one in apart])), 8.0)
    heights = []
    for one in apart:
        wide = one.shape[1]
        middle = one[:, round(wide * (0.5 - MIDDLE / 2)) : max(round(wide * (0.5 + MIDDLE / 2)), 1)]
        heights.append(float(np.clip(middle / (0.6 * usual), 0.0, 1.0).mean()))
    return np.array(heights)


def best_lag(measured_F: Array, asked_F: Array) -> tuple[float, int]:
    """The highest correlation over lags of -4 to 4 frames, and its lag (positive: the measured series comes later)."""
    found = []
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        later, sooner = measured_F[max(lag, 0) :], asked_F[max(-lag, 0) :]
        length = min(len(later), len(sooner))
        found.append((_correlation(later[:length], sooner[:length]), lag))
    # Of equal ones the nearest to none: a mouth that never moves has no lag.
    return max(found, key=lambda one: (round(one[0], 9), -abs(one[1])))


def _correlation(a_F: Array, b_F: Array) -> float:
    """Pearson's; 0 where either does not change."""
    a_F, b_F = a_F - a_F.mean(), b_F - b_F.mean()
    scale = float(np.sqrt((a_F**2).sum() * (b_F**2).sum()))
    return float((a_F * b_F).sum()) / scale if scale > 1e-9 else 0.0


def _apart_from_skin(frame_HW3: npt.NDArray[np.uint8], face_3: Array) -> Array:
    """Distance in levels of 255 of every pixel in the mouth's box from the skin around the mouth."""
    height, width, _ = frame_HW3.shape
    radius = float(face_3[2]) * min(height, width)
    x, y = float(face_3[0]) * width, float(face_3[1]) * height + MOUTH_DOWN * radius
    top, bottom = (int(np.clip(round(y + sign * BOX_UP * radius), 0, height)) for sign in (-1, 1))
    left, right = (int(np.clip(round(x + sign * BOX_ACROSS * radius), 0, width)) for sign in (-1, 1))
    if bottom - top < 3 or right - left < 3:
        raise ShapeError(
            f"A face of {radius:.1f} pixels at ({x:.0f}, {y:.0f}) shows no mouth in a picture of {width} x {height}."
        )
    box_HW3 = frame_HW3[top:bottom, left:right].astype(np.float64)
    rim = max(1, (right - left) // 8)
    sides_N3 = np.concatenate([box_HW3[:, :rim].reshape(-1, 3), box_HW3[:, -rim:].reshape(-1, 3)])
    return np.asarray(np.linalg.norm(box_HW3 - np.median(sides_N3, axis=0), axis=2))
