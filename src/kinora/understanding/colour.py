"""A second judge that never learnt anything: it finds bodies by their saturated colour and follows them through the
clip.

It knows eight colours by their hue alone, and nothing of the world. What it says is little but owes nothing to
training: how many saturated bodies there are, of what colour, where each one goes and whether it stays. Brown, grey,
black and white bodies escape it, and so may glass ones; hence it is used to compare a generated clip with a true
render, not as an absolute.

Axes: F pixel frames, H W picture, N bodies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from kinora.core.clip import Clip
from kinora.understanding.components import Patch, find_patches, patch_areas
from kinora.understanding.moments import shrink

__all__ = ["HUES", "ColourBody", "ColourReading", "classify_hues", "read_by_colour"]

HUES: dict[str, tuple[float, float]] = {
    "red": (345.0, 14.0),
    "orange": (14.0, 41.0),
    "yellow": (41.0, 72.0),
    "green": (72.0, 155.0),
    "cyan": (155.0, 202.0),
    "blue": (202.0, 250.0),
    "purple": (250.0, 304.0),
    "pink": (304.0, 345.0),
}
"""Where each name begins and ends on the circle of hues, degrees."""

SIZE = 128
"""Side of the square it looks at, pixels."""
LEAST_SATURATION, LEAST_CHROMA = 0.42, 0.22
FAINT = 0.45
"""A faint pixel has at least this share of both. Where a saturated patch goes over into a far larger faint one, it is a
stronger tuft of grass or a glow in the sky, and no body: bodies have edges."""
SPREAD = 2.5
"""How many times larger that is."""
LEAST_AREA, MOST_AREA = 0.0012, 0.2
"""Of a body, in shares of the picture."""
GATE = 0.1
"""How far from where it is awaited a body may be found in the next frame, in picture sides."""
MOVES = 0.035
"""Way across, in picture sides, or change of distance, as a share, that counts as motion."""
FOCAL = 1.33
"""Focal length in picture sides of a camera that sees 41 degrees: turns ways across the picture into shares of the
distance.
"""
STILL = 0.03
"""Median change of the picture's rim, in [0, 1], up to which the camera counts as still."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ColourBody:
    """One body followed by its colour; NaN in frames in which it was not found."""

    colour: str
    x_F: npt.NDArray[np.float64]
    """Middle, in picture sides from the left."""
    y_F: npt.NDArray[np.float64]
    """Middle, in picture sides from the top."""
    area_F: npt.NDArray[np.float64]
    """Share of the picture."""
    width_F: npt.NDArray[np.float64]
    """From its left end to its right, in picture sides; unlike the area it does not mind highlights."""
    direction: str | None
    """none, left, right, toward or away; None where the camera's motion hides it."""

    @property
    def seen_F(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.x_F)

    @property
    def left_the_picture(self) -> bool:
        """Whether it was last seen at the rim (going out is no failure to last)."""
        last = int(np.flatnonzero(self.seen_F)[-1])
        reach = 1.5 * math.sqrt(self.area_F[last] / math.pi) + 0.04
        return min(self.x_F[last], self.y_F[last], 1 - self.x_F[last], 1 - self.y_F[last]) < reach


@dataclass(frozen=True, kw_only=True)
class ColourReading:
    """What the judge of colours saw."""

    bodies: tuple[ColourBody, ...]
    camera_still: bool

    @property
    def permanence(self) -> float:
        """Share of (body, frame) in which a body of the first frame is found, counting those that left through the
        rim.
        """
        if not self.bodies:
            return 1.0
        shares = []
        for body in self.bodies:
            last = int(np.flatnonzero(body.seen_F)[-1])
            frames = last + 1 if body.left_the_picture else len(body.x_F)
            shares.append(float(body.seen_F[:frames].mean()))
        return float(np.mean(shares))


def read_by_colour(clip: Clip) -> ColourReading:
    """Find the saturated bodies of the first frame and follow them."""
    pixels_FHW3 = shrink(torch.from_numpy(np.ascontiguousarray(clip.frames_FHWC))[None], SIZE)[0].add(1).div(2)
    frames_FHW3 = pixels_FHW3.permute(0, 2, 3, 1).numpy().astype(np.float64)
    patches = [_bodylike(frame) for frame in frames_FHW3]
    first = [patch for patch in patches[0] if not patch.touches_edge]
    still = _camera_still(frames_FHW3)
    return ColourReading(bodies=tuple(_follow(patch, patches, still) for patch in first), camera_still=still)


def classify_hues(rgb_HW3: npt.NDArray[np.float64], *, strength: float = 1.0) -> npt.NDArray[np.int64]:
    """Index into `HUES` of every saturated pixel (sRGB in [0, 1]), -1 elsewhere; `strength` scales what saturated
    means.
    """
    brightest, chroma = rgb_HW3.max(-1), np.ptp(rgb_HW3, axis=-1)
    safe = np.maximum(chroma, 1e-9)
    red, green, blue = np.moveaxis(rgb_HW3, -1, 0)
    sixth = np.where(
        brightest == red,
        ((green - blue) / safe) % 6,
        np.where(brightest == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = 60.0 * sixth
    kind = np.full(hue.shape, -1, dtype=np.int64)
    for index, (low, high) in enumerate(HUES.values()):
        inside = (hue >= low) & (hue < high) if low < high else (hue >= low) | (hue < high)
        kind[inside] = index
    kind[(chroma < strength * LEAST_CHROMA) | (chroma < strength * LEAST_SATURATION * brightest)] = -1
    return kind


def _bodylike(rgb_HW3: npt.NDArray[np.float64]) -> list[Patch]:
    """Patches of one hue that are compact, have an edge, and are neither tiny nor as large as a sky; largest first."""
    pixels = SIZE * SIZE
    faint_HW = patch_areas(classify_hues(rgb_HW3, strength=FAINT))
    found: list[Patch] = []
    strong = find_patches(classify_hues(rgb_HW3), least_area=int(LEAST_AREA * pixels))
    for patch in sorted(strong, key=lambda patch: -patch.area):
        long, short = max(patch.width, patch.height), min(patch.width, patch.height)
        compact = patch.area > 0.4 * long * short and long < 2.6 * short and patch.area < MOST_AREA * pixels
        edged = faint_HW[patch.pixel] < SPREAD * patch.area + 40
        if compact and edged and not any(_piece_of(patch, larger) for larger in found):
            found.append(patch)
    return found


def _piece_of(patch: Patch, larger: Patch) -> bool:
    """Whether a patch is but a piece of a larger one's body, cut off by a highlight or a reflection."""
    reach = 0.75 * max(larger.width, larger.height)
    return patch.kind == larger.kind and math.hypot(patch.x - larger.x, patch.y - larger.y) < reach


def _follow(start: Patch, patches: Sequence[Sequence[Patch]], still: bool) -> ColourBody:
    path_F4 = np.full((len(patches), 4), np.nan)
    last, step = start, (0.0, 0.0)
    missed = 0
    for frame, candidates in enumerate(patches):
        awaited = (last.x + step[0] * (missed + 1), last.y + step[1] * (missed + 1)) if frame else (last.x, last.y)
        found = _nearest(candidates, last, awaited, reach=GATE * SIZE * (1 + 0.5 * missed))
        if found is None:
            missed += 1
            continue
        if frame:
            step = ((found.x - last.x) / (missed + 1), (found.y - last.y) / (missed + 1))
        last, missed = found, 0
        path_F4[frame] = found.x / SIZE, found.y / SIZE, found.area / SIZE**2, found.width / SIZE
    x_F, y_F, area_F, width_F = path_F4.T
    direction = _direction(x_F, area_F) if still else None
    return ColourBody(
        colour=list(HUES)[start.kind], x_F=x_F, y_F=y_F, area_F=area_F, width_F=width_F, direction=direction
    )


def _nearest(candidates: Sequence[Patch], like: Patch, awaited: tuple[float, float], reach: float) -> Patch | None:
    def distance(patch: Patch) -> float:
        return math.hypot(patch.x - awaited[0], patch.y - awaited[1])

    alike = [c for c in candidates if c.kind == like.kind and 0.4 < c.area / like.area < 2.5 and distance(c) < reach]
    return min(alike, key=distance, default=None)


def _direction(x_F: npt.NDArray[np.float64], area_F: npt.NDArray[np.float64]) -> str:
    """Across the picture or in depth, whichever is farther in shares of the distance."""
    seen = np.flatnonzero(np.isfinite(x_F))
    whole = [f for f in seen if min(x_F[f], 1 - x_F[f]) > 1.1 * math.sqrt(area_F[f] / math.pi)] or [seen[0]]
    across = x_F[whole[-1]] - x_F[whole[0]]
    nearer = 1.0 - math.sqrt(area_F[whole[0]] / area_F[whole[-1]])
    if max(abs(across), abs(nearer) / 2) < MOVES:
        return "none"
    if abs(across) / FOCAL >= abs(nearer):
        return "right" if across > 0 else "left"
    return "toward" if nearer > 0 else "away"


def _camera_still(frames_FHW3: npt.NDArray[np.float64]) -> bool:
    """Whether the picture's rim stays as it is. Bodies seldom cover half of it."""
    rim_HW = np.ones(frames_FHW3.shape[1:3], dtype=bool)
    width = SIZE // 12
    rim_HW[width:-width, width:-width] = False
    later = frames_FHW3[[len(frames_FHW3) // 2, -1]][:, rim_HW]
    return float(np.median(np.abs(later - frames_FHW3[0][rim_HW]).max(-1))) <= STILL
