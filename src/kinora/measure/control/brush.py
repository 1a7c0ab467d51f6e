"""Did what was brushed go along its path, and did everything else stay?

The brushed object's pixels are cut out of the first frame and looked for in later ones by normalised correlation over
its mask (so background in the cut-out's corners does not count), at three sizes, over the whole picture; the best place
is then refined to parts of a pixel. `end_error` and `path_error` come from that search over the whole picture: an
object that has vanished, or that was left standing where it was, is found far from where it should be, and counts so.
`near_error` looks only around the asked place; it is the kinder figure, and the two agree where the object is plain to
see. What is not brushed is followed by `tracking`: its motion, in pixels, is the leakage.

What fools it: an object that turns and shows another side, a second object of the same look, and (for leakage) shadows
and mirror images, which rightly go along with what casts them.

Axes: F frames, S strokes, H W pixels, C colours, 2 = (x right, y down).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.measure.control.tracking import corners, follow

__all__ = ["BrushFigures", "Cutout", "asked_places", "find_cutout", "leakage", "measure_brush"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Frames = npt.NDArray[np.uint8]

EVERY = 4
"""A frame in so many is looked at: the last one of each latent frame."""
SIZES = (0.85, 1.0, 1.18)
NEAR = 0.12
"""Share of the width around the asked place that counts as near."""
LOST = 0.5
"""Correlation under which the object is not there at all."""
MARGIN = 0.05
"""Share of the width around brushed places that leakage leaves out: shadows, and edges drawn anew."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cutout:
    """An object in the first frame."""

    rgb_CHW: Tensor
    """In [0, 1]."""
    inside_HW: Tensor
    """1 inside the mask, 0 outside."""
    middle_2: Array
    """Middle of its box, pixels."""

    @classmethod
    def of(cls, picture_HW3: Frames, inside_HW: Bools) -> Cutout:
        """The box around the mask, an odd number of pixels wide and high."""
        row, column = np.nonzero(inside_HW)
        top, bottom, left, right = row.min(), row.max() + 1, column.min(), column.max() + 1
        bottom += (bottom - top + 1) % 2
        right += (right - left + 1) % 2
        rgb = np.pad(picture_HW3, ((0, 1), (0, 1), (0, 0)), mode="edge")[top:bottom, left:right]
        inside = np.pad(inside_HW, ((0, 1), (0, 1)))[top:bottom, left:right]
        return cls(
            rgb_CHW=torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().div(255),
            inside_HW=torch.from_numpy(inside.copy()).float(),
            middle_2=np.array([0.5 * (left + right), 0.5 * (top + bottom)]),
        )

    def sized(self, share: float) -> Cutout:
        """The same, larger or smaller about its middle."""
        size = [2 * max(1, round(share * side / 2 - 0.5)) + 1 for side in self.inside_HW.shape]
        both = torch.cat([self.rgb_CHW, self.inside_HW[None]])[None]
        grown = functional.interpolate(both, size=size, mode="bilinear", align_corners=False, antialias=True)[0]
        return Cutout(rgb_CHW=grown[:3], inside_HW=(grown[3] > 0.5).float(), middle_2=self.middle_2)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a cut-out is in one frame: its middle, pixels, and how well it correlates there."""

    place_2: tuple[float, float]
    alike: float


@dataclass(frozen=True, kw_only=True)
class BrushFigures:
    """Errors are shares of the picture's width, means over strokes."""

    path_error: float
    """Mean over the frames looked at."""
    end_error: float
    """At the last frame."""
    near_error: float
    """As `path_error`, looked for only near the asked place."""
    lost: float
    """Share of the frames in which nothing like the object was found anywhere."""
    leakage: float | None
    """Pixels, the median over points and frames that nothing was asked of; None without points."""


def measure_brush(frames_FHW3: Frames, masks: list[Bools], paths: list[Array]) -> BrushFigures:
    """`masks`: each stroke's pixels in the first frame; `paths`: (F, 2) shares, where the stroke's pixels should go,
    as `asked_places` gives them.
    """
    height, width = frames_FHW3.shape[1:3]
    per_stroke = [_stroke(frames_FHW3, mask, path_F2) for mask, path_F2 in zip(masks, paths, strict=True)]
    path, end, near, lost = np.mean(per_stroke, axis=0)
    free_HW = ~swept(masks, paths, height, width)
    return BrushFigures(
        path_error=float(path), end_error=float(end), near_error=float(near), lost=float(lost),
        leakage=leakage(frames_FHW3, free_HW),
    )  # fmt: skip


def asked_places(points_K2: Array, frames: int) -> Array:
    """A stroke's points, evenly spaced in time, at every frame (F, 2)."""
    time_F, time_K = np.linspace(0.0, 1.0, frames), np.linspace(0.0, 1.0, len(points_K2))
    return np.column_stack([np.interp(time_F, time_K, axis) for axis in points_K2.T])


def swept(masks: list[Bools], paths: list[Array], height: int, width: int) -> Bools:
    """Pixels that any stroke covers at any frame, and a margin around them."""
    swept_HW = np.zeros((height, width), dtype=bool)
    for mask, path_F2 in zip(masks, paths, strict=True):
        row_N, column_N = np.nonzero(mask)
        for x, y in np.rint((path_F2 - path_F2[0]) * [width, height]).astype(np.int64):
            inside = (row_N + y >= 0) & (row_N + y < height) & (column_N + x >= 0) & (column_N + x < width)
            swept_HW[row_N[inside] + y, column_N[inside] + x] = True
    reach = 2 * round(MARGIN * width) + 1
    grown = functional.max_pool2d(torch.from_numpy(swept_HW)[None].float(), reach, stride=1, padding=reach // 2)[0]
    return np.asarray(grown.numpy() > 0)


def leakage(frames_FHW3: Frames, free_HW: Bools) -> float | None:
    """Median motion in pixels, against the first frame, of points where nothing should move."""
    points_P2 = corners(frames_FHW3[0], free_HW, count=120)
    if len(points_P2) < 3:
        return None
    followed = follow(frames_FHW3, points_P2)
    moved_FP = np.linalg.norm(followed.pixels_FP2 - followed.pixels_FP2[0], axis=2)
    sure_FP = followed.sure_FP[EVERY::EVERY]
    return float(np.median(moved_FP[EVERY::EVERY][sure_FP])) if sure_FP.any() else None


@torch.inference_mode()
def find_cutout(frame_HW3: Frames, cutout: Cutout, near_2: Array, reach: float) -> tuple[Found, Found]:
    """The place where a cut-out correlates best with a frame, and the best one within `reach` pixels of `near_2`."""
    image_CHW = _halved(torch.from_numpy(frame_HW3.copy()).permute(2, 0, 1).float().div(255))
    maps = [_correlation(image_CHW, cutout.sized(0.5 * share)) for share in SIZES]
    away_HW = _farther(maps[0], near_2 / 2, reach / 2)
    found = [_peak(alike_HW) for alike_HW in maps]
    near = [_peak(alike_HW.masked_fill(away_HW, -2.0)) for alike_HW in maps]
    return max(found, key=lambda one: one.alike), max(near, key=lambda one: one.alike)


# Inside


def _halved(image_CHW: Tensor) -> Tensor:
    """Half the picture: an eighth of the work, and a place is still found to a fraction of a pixel."""
    return functional.avg_pool2d(image_CHW[None], 2)[0]


def _stroke(frames_FHW3: Frames, mask: Bools, path_F2: Array) -> tuple[float, float, float, float]:
    """Path error, end error, error near by, share lost."""
    height, width = frames_FHW3.shape[1:3]
    cutout = Cutout.of(frames_FHW3[0], mask)
    errors, near_errors, lost = [], [], []
    for frame in range(EVERY, len(frames_FHW3), EVERY):
        asked_2 = cutout.middle_2 + (path_F2[frame] - path_F2[0]) * [width, height]
        found, near = find_cutout(frames_FHW3[frame], cutout, asked_2, NEAR * width)
        errors.append(float(np.linalg.norm(found.place_2 - asked_2)) / width)
        near_errors.append(float(np.linalg.norm(near.place_2 - asked_2)) / width)
        lost.append(float(found.alike < LOST))
    return float(np.mean(errors)), errors[-1], float(np.mean(near_errors)), float(np.mean(lost))


def _correlation(image_CHW: Tensor, cutout: Cutout) -> Tensor:
    """Normalised correlation (H, W) of the masked cut-out laid with its middle on every pixel; beyond the rim, grey.

    All sums over the mask are correlations with it, done by Fourier transform.
    """
    height, width = image_CHW.shape[1:]
    high, wide = cutout.inside_HW.shape
    # Where the cut-out reaches beyond the rim only what lies inside the picture is compared.
    padded_CHW = functional.pad(torch.cat([image_CHW, torch.ones_like(image_CHW[:1])]), (wide, wide, high, high))
    size = [32 * -(-side // 32) for side in padded_CHW.shape[1:]]  # lengths that the transform likes
    weight_HW = cutout.inside_HW

    def over(kernels: Tensor) -> Tensor:
        return torch.fft.rfft2(kernels, s=size).conj()

    image, inside = padded_CHW[:3], padded_CHW[3]
    weight_f, colour_f, square_f = (
        over(weight_HW),
        over(weight_HW * cutout.rgb_CHW),
        over(weight_HW * cutout.rgb_CHW**2),
    )
    image_f, inside_f, image_square_f = (torch.fft.rfft2(x, s=size) for x in (image, inside, image**2))
    sums = torch.fft.irfft2(
        torch.cat([image_f * colour_f, image_f * weight_f, image_square_f * weight_f, inside_f * colour_f,
                   inside_f * square_f, (inside_f * weight_f)[None]]), s=size
    )  # fmt: skip
    cross, a, a_square, b, b_square = sums[:-1].unflatten(0, (5, 3))
    count = sums[-1].clamp(min=1.0)
    spread_a, spread_b = (x_square - x**2 / count for x_square, x in ((a_square, a), (b_square, b)))
    alike = (cross - a * b / count).sum(0) / (spread_a.clamp(min=0).sum(0) * spread_b.clamp(min=0).sum(0) + 1e-3).sqrt()
    alike = alike.masked_fill(count < 0.35 * weight_HW.sum(), -1.0)
    # A flat object has no pattern to correlate: how far the mean colours differ counts as well.
    alike = alike - ((a - b) / count).norm(dim=0)
    top, left = high - high // 2, wide - wide // 2
    return alike[top : top + height, left : left + width]


def _farther(alike_HW: Tensor, near_2: Array, reach: float) -> Tensor:
    height, width = alike_HW.shape
    row_H1, column_W = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    return (row_H1 - float(near_2[1])) ** 2 + (column_W - float(near_2[0])) ** 2 > reach**2


def _peak(alike_HW: Tensor) -> Found:
    """The highest place, between pixels by a parabola along each axis."""
    width = alike_HW.shape[1]
    row, column = divmod(int(alike_HW.argmax()), width)

    def between(line: Tensor, index: int) -> float:
        if not 0 < index < len(line) - 1:
            return 0.0
        before, here, after = (float(value) for value in line[index - 1 : index + 2])
        bend = before - 2 * here + after
        return (
            float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
            if bend < -1e-9 and min(before, after) > -1
            else 0.0
        )

    x, y = (2 * (at + 0.5 + part) for at, part in (
        (column, between(alike_HW[row], column)), (row, between(alike_HW[:, column], row))
    ))  # fmt: skip
    return Found(place_2=(x, y), alike=float(alike_HW[row, column]))
