"""What was asked, drawn on the first picture for a sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["with_arrows", "with_mask", "with_path"]

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

PINK = (255, 0, 200)
CYAN = (0, 255, 255)


def with_path(picture_HW3: Picture, mask_HW: npt.NDArray[np.bool_], path_K2: Array) -> Picture:
    """A mask tinted and a path (shares of width and height) from the mask's middle, a ring at its end."""
    height, width = mask_HW.shape
    image = Image.fromarray(with_mask(picture_HW3, mask_HW))
    row_N, column_N = np.nonzero(mask_HW)
    start_2 = np.array([column_N.mean(), row_N.mean()])
    place_K2 = start_2 + (path_K2 - path_K2[0]) * [width, height]
    pen = ImageDraw.Draw(image)
    pen.line([(float(x), float(y)) for x, y in place_K2], fill=PINK, width=3)
    _ring(pen, place_K2[-1])
    return np.asarray(image)


def with_mask(picture_HW3: Picture, mask_HW: npt.NDArray[np.bool_]) -> Picture:
    """A mask laid over a picture."""
    tinted = picture_HW3.copy()
    tinted[mask_HW] = (0.6 * tinted[mask_HW] + 0.4 * np.array(PINK)).astype(np.uint8)
    return tinted


def with_arrows(picture_HW3: Picture, starts_P2: Array, ends_P2: Array, *, most: int = 24) -> Picture:
    """Where points of the picture should go, pixels."""
    image = Image.fromarray(picture_HW3)
    pen = ImageDraw.Draw(image)
    for start_2, end_2 in _some(list(zip(starts_P2, ends_P2, strict=True)), most):
        if np.isfinite(end_2).all():
            pen.line([(float(start_2[0]), float(start_2[1])), (float(end_2[0]), float(end_2[1]))], fill=CYAN, width=2)
            _ring(pen, end_2)
    return np.asarray(image)


def _some(pairs: Sequence[tuple[Array, Array]], most: int) -> Sequence[tuple[Array, Array]]:
    return pairs[:: max(1, len(pairs) // most)]


def _ring(pen: ImageDraw.ImageDraw, at_2: Array) -> None:
    x, y = float(at_2[0]), float(at_2[1])
    pen.ellipse((x - 4, y - 4, x + 4, y + 4), outline=PINK, width=2)
