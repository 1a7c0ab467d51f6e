"""A motion brush: painted areas of a picture, cut out and dragged along paths.

Axes: F frames, H W pixels, h w a box of pixels, P points of a path, 2 (x, y) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from kinora.control.fill import clone_hole, fill_holes, fill_level
from kinora.control.guide import Guide
from kinora.core.errors import InputError, ShapeError

__all__ = ["BrushLevels", "DrawnBrush", "along_path", "brush_guide"]

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MARGIN = 4
"""Pixels around a mask that belong to its cut-out: the soft edge that goes along, and the halo that is repainted."""
EDGE = 3.0
"""Pixels that an area must have gone before the ground behind it is wholly repainted."""


@dataclass(frozen=True, kw_only=True)
class BrushLevels:
    """How noisy each kind of pixel may get. A model redraws what is finer than the noise and keeps what is coarser.

    Judged by eye on films of the bundled model: at 0.9 it drew blocks of the thing itself where it had been, at 0.12
    grain came over walls that stand still; a better model can bear higher levels.
    """

    dragged: float = 0.25
    """Enough to mend cut edges, shading and reflections; too little to lose the thing or its place."""
    uncovered: float = 0.5
    """The filling is a guess: its detail is redrawn, its colours are kept."""
    stays: float = 0.02
    """What is not brushed stays; what is left is no more than the codec's own error."""
    static: float = 0.0
    """What must stay, to the pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnBrush:
    """Strokes in pixels of the picture: which area, and the way it goes (x, y), evenly timed over the film."""

    strokes: tuple[tuple[Bools, npt.NDArray[np.floating]], ...]
    """(inside_HW, path_P2); later strokes lie over earlier ones."""
    static_HW: Bools | None = None


def brush_guide(
    picture_HW3: npt.NDArray[np.uint8], brush: DrawnBrush, frames: int, *, levels: BrushLevels | None = None
) -> Guide:
    """`frames` frames of the picture with its brushed areas carried along their paths. Frame 0 is the picture.

    Areas move by what their path differs from its first point. The ground they leave is filled from around it and
    nearly free; what leaves the picture is gone; what is static lies over everything.
    """
    levels = levels or BrushLevels()
    strokes = [_CutOut.of(picture_HW3, inside_HW, along_path(path_P2, frames)) for inside_HW, path_P2 in brush.strokes]
    ground_HW3 = _ground(picture_HW3, strokes)
    guide = Guide.still(picture_HW3, frames=frames, cap=levels.stays)
    for frame in range(1, frames):
        canvas_HW3, cap_HW = picture_HW3.astype(np.float32), guide.cap_FHW[frame]
        for stroke in strokes:
            stroke.uncover(canvas_HW3, cap_HW, ground_HW3, frame, levels.uncovered)
        for stroke in strokes:
            stroke.lay(canvas_HW3, cap_HW, frame, levels.dragged)
        guide.frames_FHW3[frame] = np.rint(canvas_HW3)
    guide.cap_FHW[0] = 0.0
    if brush.static_HW is not None:
        guide.frames_FHW3[:, brush.static_HW] = picture_HW3[brush.static_HW]
        guide.cap_FHW[1:, brush.static_HW] = levels.static
    return guide


def along_path(path_P2: npt.NDArray[np.floating], frames: int) -> npt.NDArray[np.float64]:
    """Displacement (F, 2) from the path's first point at each frame: smooth, and through every point on time.

    A Catmull-Rom spline over time (cubic between points, the velocity at a point that of its neighbours' chord), so
    velocity never jumps. A velocity is at most three times the slower of the two steps beside it, the bound within
    which a cubic does not overshoot (Fritsch and Carlson, 1980), taken of the vector's length so that it does not
    depend on the axes: circles stay round, and where two points coincide the area truly waits.
    """
    points_P2 = np.asarray(path_P2, dtype=np.float64)
    if points_P2.ndim != 2 or points_P2.shape[1] != 2 or len(points_P2) < 2:
        raise InputError(f"A path needs at least 2 points (x, y), not an array of shape {points_P2.shape}.")
    step_S2 = np.diff(points_P2, axis=0)
    length_S = np.linalg.norm(step_S2, axis=1)
    velocity_P2 = np.concatenate([step_S2[:1], 0.5 * (step_S2[1:] + step_S2[:-1]), step_S2[-1:]])
    bound_P = 3.0 * np.minimum(np.append(length_S[:1], length_S), np.append(length_S, length_S[-1:]))
    speed_P = np.linalg.norm(velocity_P2, axis=1)
    velocity_P2 *= (np.minimum(speed_P, bound_P) / np.maximum(speed_P, 1e-12))[:, None]
    time_F = np.linspace(0.0, len(step_S2), frames)
    s_F = np.minimum(time_F.astype(np.int64), len(step_S2) - 1)
    u_F1 = (time_F - s_F)[:, None]
    start_F2, rest_F1 = points_P2[s_F] - points_P2[0], 1.0 - u_F1
    return np.asarray(
        start_F2
        + u_F1**2 * (3.0 - 2.0 * u_F1) * step_S2[s_F]
        + u_F1 * rest_F1**2 * velocity_P2[s_F]
        - u_F1**2 * rest_F1 * velocity_P2[s_F + 1]
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _CutOut:
    """A brushed area with a soft edge, and where it goes."""

    top: int
    left: int
    """The first row and column of its box; the box has `MARGIN` around the mask and may reach out of the picture."""
    patch_hw4: Array
    """Its colours, and how far each pixel goes along: 1 inside the mask, falling to 0 within `MARGIN`."""
    hole_hw: Array
    """What it leaves behind: a little more than what goes along, or its rim would stay as a ghost."""
    path_F2: npt.NDArray[np.float64]

    @classmethod
    def of(cls, picture_HW3: npt.NDArray[np.uint8], inside_HW: Bools, path_F2: npt.NDArray[np.float64]) -> Self:
        if inside_HW.shape != picture_HW3.shape[:2]:
            raise ShapeError(f"A mask of shape {inside_HW.shape} does not fit a picture of {picture_HW3.shape[:2]}.")
        rows, columns = np.flatnonzero(inside_HW.any(axis=1)), np.flatnonzero(inside_HW.any(axis=0))
        if not rows.size:
            raise InputError("A stroke's mask is empty; paint what is to move.")
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        around = ((MARGIN, MARGIN), (MARGIN, MARGIN))
        mask_hw = np.pad(inside_HW[box], around)
        # Its soft edge has its own colours, taken outwards: the picture's would drag a rim of old ground along.
        patch_hw3 = _filled(np.pad(picture_HW3[box], (*around, (0, 0))), mask_hw)
        alpha_hw, hole_hw = _soft(mask_hw)
        return cls(
            top=int(rows[0]) - MARGIN,
            left=int(columns[0]) - MARGIN,
            patch_hw4=np.concatenate([patch_hw3, alpha_hw[:, :, None]], axis=2),
            hole_hw=hole_hw,
            path_F2=path_F2,
        )

    def _gone(self, frame: int) -> float:
        """0 where it was, 1 as soon as it is well away: at rest nothing changes at all, not even its rim."""
        return min(float(np.linalg.norm(self.path_F2[frame])) / EDGE, 1.0)

    def uncover(self, canvas_HW3: Array, cap_HW: Array, ground_HW3: Array, frame: int, cap: float) -> None:
        """Paint the ground where the area was."""
        here, there = _overlap(self.hole_hw.shape, self.top, self.left, cap_HW.shape)
        share_hw = self._gone(frame) * self.hole_hw[there]
        canvas_HW3[here] += share_hw[:, :, None] * (ground_HW3[here] - canvas_HW3[here])
        cap_HW[here] += share_hw * (cap - cap_HW[here])

    def lay(self, canvas_HW3: Array, cap_HW: Array, frame: int, cap: float) -> None:
        """Lay the area where it is by now, between pixels by bilinear interpolation."""
        x, y = self.path_F2[frame]
        right, down = int(np.floor(x)), int(np.floor(y))
        patch_hw4 = self.patch_hw4.copy()
        patch_hw4[:, :, 3][patch_hw4[:, :, 3] < 1.0] *= self._gone(frame)
        patch_hw4 = _shifted(patch_hw4, x - right, y - down)
        here, there = _overlap(patch_hw4.shape[:2], self.top + down, self.left + right, cap_HW.shape)
        share_hw = patch_hw4[there][:, :, 3]
        canvas_HW3[here] += share_hw[:, :, None] * (patch_hw4[there][:, :, :3] - canvas_HW3[here])
        cap_HW[here] += share_hw * (cap - cap_HW[here])


def _soft(inside_hw: Bools) -> tuple[Array, Array]:
    """How far pixels go along with a mask, and how far the ground behind them is repainted. Both are 1 on the mask."""
    mask_11hw = torch.from_numpy(inside_hw).float()[None, None]
    edge_11hw = torch.maximum(mask_11hw, functional.avg_pool2d(mask_11hw, 3, 1, 1))
    wide_11hw = functional.max_pool2d(mask_11hw, 5, 1, 2)
    hole_11hw = torch.maximum(wide_11hw, (2.0 * functional.avg_pool2d(wide_11hw, 3, 1, 1)).clamp(max=1.0))
    return edge_11hw[0, 0].numpy(), hole_11hw[0, 0].numpy()


def _ground(picture_HW3: npt.NDArray[np.uint8], strokes: list[_CutOut]) -> Array:
    """The picture without its brushed areas: each hole takes a piece from elsewhere, where none reaches a filling."""
    holes = []
    for stroke in strokes:
        hole_HW = np.zeros(picture_HW3.shape[:2], dtype=np.bool_)
        here, there = _overlap(stroke.hole_hw.shape, stroke.top, stroke.left, hole_HW.shape)
        hole_HW[here] = stroke.hole_hw[there] > 0.0
        holes.append(hole_HW)
    known_HW = ~np.any(holes, axis=0) if holes else np.ones(picture_HW3.shape[:2], dtype=np.bool_)
    if not known_HW.any():
        return picture_HW3.astype(np.float32)
    ground_HW3 = _filled(picture_HW3, known_HW)
    fill_level(ground_HW3, known_HW)
    for hole_HW in holes:
        clone_hole(ground_HW3, hole_HW, known_HW)
    return ground_HW3


def _filled(picture_hw3: npt.NDArray[np.uint8], known_hw: Bools) -> Array:
    """A picture with what is not known filled from around it."""
    picture_13hw = torch.from_numpy(picture_hw3).permute(2, 0, 1)[None].float()
    filled_13hw = fill_holes(picture_13hw, torch.from_numpy(known_hw).float()[None, None])
    filled_hw3: Array = filled_13hw[0].permute(1, 2, 0).contiguous().numpy()
    return filled_hw3


def _shifted(patch_hw4: Array, x: float, y: float) -> Array:
    """A patch moved right and down by less than a pixel, one row and column larger."""
    wide_hw4 = np.pad(patch_hw4, ((0, 1), (1, 1), (0, 0)), mode="edge")
    wide_hw4[:, [0, -1], 3] = wide_hw4[-1, :, 3] = 0.0
    across_hw4 = (1.0 - x) * wide_hw4[:, 1:] + x * wide_hw4[:, :-1]
    above_hw4 = np.concatenate([across_hw4[:1], across_hw4[:-1]])
    above_hw4[0, :, 3] = 0.0
    return np.asarray((1.0 - y) * across_hw4 + y * above_hw4, dtype=np.float32)


def _overlap(
    box: tuple[int, ...], top: int, left: int, whole: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a box at (top, left) that lies in the picture: as slices of the picture, and of the box."""
    here, there = [], []
    for size, start, limit in zip(box, (top, left), whole, strict=True):
        first, last = min(max(start, 0), limit), min(max(start + size, 0), limit)
        here.append(slice(first, last))
        there.append(slice(first - start, max(last, first) - start))
    return (here[0], here[1]), (there[0], there[1])
