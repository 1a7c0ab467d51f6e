"""Masks from pictures and from polygons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.core.materials import Mask
from kinora.media.picture import opened
from kinora.media.still import apart, upright

__all__ = ["polygon_mask", "read_mask"]


def read_mask(path: Path, like_HW: tuple[int, int]) -> Mask:
    """A picture of the same size as the one it belongs to: white is inside, or opaque where opacity varies.

    Raises `MediaError` when it cannot be read, `InputError` when it has another size or nothing lies inside.
    """
    image = upright(opened(path))
    height, width = like_HW
    if image.size != (width, height):
        raise InputError(
            f"The mask {path} is {image.width} x {image.height} pixels, the picture it belongs to {width} x {height};"
            f" paint it on that picture, or resize it to {width} x {height}."
        )
    colour, alpha_HW = apart(image)
    if alpha_HW is not None and alpha_HW.min() != alpha_HW.max():
        return Mask.of(alpha_HW > 127, name=str(path))
    return Mask.of(np.asarray(colour.convert("L")) > 127, name=str(path))


def polygon_mask(points: Sequence[tuple[float, float]], height: int, width: int) -> Mask:
    """What lies inside a polygon, as a mask of (height, width).

    `points` are at least 3 corners (x, y) in shares of width and height; a pixel is inside when its centre is. Raises
    `InputError` for fewer points, for points outside the picture, and for a polygon too thin to hold a pixel.
    """
    if len(points) < 3:
        raise InputError(f"A polygon of {len(points)} points has no inside; give at least 3.")
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
            raise InputError(
                f"The polygon's point ({x:g}, {y:g}) lies outside the picture; x and y are shares of its width and"
                " height, from 0 to 1."
            )
    return Mask.of(filled(points, height, width), name=f"polygon of {len(points)} points")


def filled(points: Sequence[tuple[float, float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """bool (height, width) by the even-odd rule at pixel centres. Pillow's polygons also paint their whole outline,
    which makes a small mask a pixel too large on two sides.
    """
    toggles_HW = np.zeros((height, width + 1), dtype=np.int64)
    centre_H = np.arange(height) + 0.5
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        top, bottom = y0 * height, y1 * height
        rows = np.flatnonzero((centre_H >= min(top, bottom)) & (centre_H < max(top, bottom)))
        cut = (x0 + (centre_H[rows] - top) / (bottom - top) * (x1 - x0)) * width if rows.size else centre_H[rows]
        # From its cut on, every edge turns a row's inside out.
        np.add.at(toggles_HW, (rows, np.clip(np.ceil(cut - 0.5), 0, width).astype(np.int64)), 1)
    return np.cumsum(toggles_HW, axis=1)[:, :width] % 2 == 1
