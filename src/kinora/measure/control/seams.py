"""Can one see where a film was continued?

A jump shows as a frame that differs from the one before it more than frames usually do. The figure is the mean absolute
difference over the seam, divided by a median: of all pairs of frames that are no seam, and of those pairs alone that
lie where one latent frame meets the next (there every film of this codec changes a little more, so this second figure
is what the continuation itself adds). The reader then tells whether the things before the seam are those after it.

What fools it: a film that hardly moves (its median is next to nothing, so a harmless seam looks large), and something
that moves suddenly just there. A slow drift is no jump: see `long`.

Axes: F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError
from kinora.core.slots import SceneSlots
from kinora.measure.model import Judge
from kinora.measure.score import score

__all__ = ["LASTING", "SeamFigures", "differences", "kept", "lasting_slots", "measure_seams", "part_of"]

LASTING = ("colour", "shape", "size", "material", "hair", "clothes", "ground", "sky", "backdrop")
"""Slots that nothing in a film should change; what things do may change."""
SPAN_SECONDS = 2.0
"""Of film, on either side of a seam, that the reader is shown."""


@dataclass(frozen=True, kw_only=True)
class SeamFigures:
    """Ratios are means over the film's seams."""

    jump: float
    """Difference over a seam over the median of all other pairs of frames."""
    jump_latent: float
    """The same over the median of the other pairs at which latent frames meet."""
    worst: float
    """The largest `jump` of the film's seams."""
    slots_kept: float | None
    """Share of the lasting slots that the reader names alike on both sides; None without a judge."""


def measure_seams(clip: Clip, seams: Sequence[int], judge: Judge | None = None) -> SeamFigures:
    """`seams`: the first frame of each new part. Raises `ShapeError` for seams outside the film."""
    frames = clip.shape.frames
    if not seams or min(seams) < 1 or max(seams) >= frames:
        raise ShapeError(f"Seams {list(seams)} do not lie inside a film of {frames} frames; the first may be 1.")
    change_F = differences(clip.frames_FHWC)
    at_seam = np.array(sorted(seams)) - 1
    inside_F = np.ones(len(change_F), dtype=bool)
    inside_F[at_seam] = False
    # Frame 0 stands alone; then four frames a latent frame, so latent frames meet before frames 1, 5, 9, ...
    meets_F = inside_F & (np.arange(len(change_F)) % 4 == 0)
    usual, usual_latent = (max(float(np.median(change_F[chosen])), 1e-6) for chosen in (inside_F, meets_F))
    over = change_F[at_seam]
    return SeamFigures(
        jump=float(over.mean()) / usual,
        jump_latent=float(over.mean()) / usual_latent,
        worst=float(over.max()) / usual,
        slots_kept=None if judge is None else float(np.mean([_kept_over(clip, seam, judge) for seam in seams])),
    )


def differences(frames_FHW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean absolute difference of each frame from the one before it (F - 1), in levels of 255."""
    return np.array(
        [
            np.abs(now.astype(np.int16) - before).mean()
            for before, now in zip(frames_FHW3[:-1].astype(np.int16), frames_FHW3[1:], strict=True)
        ]
    )


def kept(before: SceneSlots, after: SceneSlots) -> float:
    """Share of the lasting slots of `before` (and the counts of things) that `after` names alike; 1 when there are
    none.
    """
    counted = score(lasting_slots(before), lasting_slots(after)).values()
    asked = sum(count for _, count in counted)
    return sum(right for right, _ in counted) / asked if asked else 1.0


def lasting_slots(slots: SceneSlots) -> SceneSlots:
    """Only what should not change."""
    return SceneSlots(
        bodies=tuple(replace(body, action=None, direction=None, speed=None) for body in slots.bodies),
        figures=tuple(replace(figure, action=None, direction=None) for figure in slots.figures),
        ground=slots.ground,
        sky=slots.sky,
        backdrop=slots.backdrop,
    )


def part_of(clip: Clip, start: int, stop: int) -> Clip:
    """Frames from `start` on and before `stop`, as many as the reader takes (4n + 1)."""
    start, stop = max(0, start), min(stop, clip.shape.frames)
    count = 1 + 4 * ((stop - start - 1) // 4)
    return replace(clip, frames_FHWC=clip.frames_FHWC[start : start + count])


def _kept_over(clip: Clip, seam: int, judge: Judge) -> float:
    span = round(SPAN_SECONDS * clip.frame_rate)
    return kept(judge.read(part_of(clip, seam - span, seam)), judge.read(part_of(clip, seam, seam + span)))
