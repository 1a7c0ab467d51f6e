"""A picture into another shape: what is cut off or laid around, the same for pictures, masks and places.

Axes: H W pixels, 3 colours. Places are shares (x, y) of width and height from the top left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from kinora.core.conditions import FITS
from kinora.core.errors import InputError

__all__ = ["fit_frames", "fit_mask", "fit_picture", "fit_places"]

Pixels = npt.NDArray[np.uint8]
Inside = npt.NDArray[np.bool_]
Size = tuple[int, int]

BLUR = 1 / 24
"""Of the longer side: wide enough that nothing in the surround can be taken for a thing."""
DARK = 0.55
"""The surround's brightness, so that the eye stays on the picture."""


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Which part of the original goes where: both rectangles are (left, top, right, bottom) in pixels."""

    source: tuple[float, float, float, float]
    """May cut through pixels, so that a crop stays centred and in proportion."""
    target: tuple[int, int, int, int]


def fit_picture(rgb_HW3: Pixels, height: int, width: int, how: str) -> Pixels:
    """uint8 RGB of any size as uint8 RGB (height, width, 3).

    `how` is one of `FITS`: "crop" covers the new shape and cuts what sticks out, the same on both sides; "pad" shows
    the whole picture and fills the rest with a blurred, darkened copy of it. Raises `InputError` for another word.
    """
    image = Image.fromarray(rgb_HW3)
    fitted = laid(image, placing(rgb_HW3.shape[:2], (height, width), how), Image.Resampling.LANCZOS)
    if fitted.size != (width, height):
        fitted = surrounded(image, fitted, height, width)
    return np.asarray(fitted)


def fit_frames(frames_FHW3: Pixels, height: int, width: int, how: str) -> Pixels:
    """Frames (F, H, W, 3) as `fit_picture` fits each; those of the right size come back as they are."""
    if frames_FHW3.shape[1:3] == (height, width):
        return frames_FHW3
    return np.stack([fit_picture(rgb_HW3, height, width, how) for rgb_HW3 in frames_FHW3])


def fit_mask(inside_HW: Inside, height: int, width: int, how: str) -> Inside:
    """bool (H, W) as bool (height, width), as `fit_picture` moves the pixels; what is laid around is outside.

    A new pixel is inside when more than half of what it covers was. A mask may come out empty: all of it cut off.
    """
    place = placing(inside_HW.shape[:2], (height, width), how)
    left, top, right, bottom = place.target
    fitted_HW = np.zeros((height, width), dtype=np.bool_)
    image = Image.fromarray(inside_HW.astype(np.uint8) * 255)
    fitted_HW[top:bottom, left:right] = np.asarray(laid(image, place, Image.Resampling.BOX)) > 127
    return fitted_HW


def fit_places(
    points: Sequence[tuple[float, float]], from_HW: Size, to_HW: Size, how: str
) -> tuple[tuple[float, float], ...]:
    """Shares (x, y) of a picture of `from_HW` as shares of the same picture fitted to `to_HW`.

    What a crop cuts off comes out below 0 or above 1.
    """
    place = placing(from_HW, to_HW, how)
    x0, y0, x1, y1 = place.source
    left, top, right, bottom = place.target
    across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
    return tuple(
        ((left + (x * from_HW[1] - x0) * across) / to_HW[1], (top + (y * from_HW[0] - y0) * down) / to_HW[0])
        for x, y in points
    )


def placing(from_HW: Size, to_HW: Size, how: str) -> Placing:
    """The one place where the geometry is decided."""
    (h, w), (height, width) = from_HW, to_HW
    if how == "crop":
        scale = max(height / h, width / w)
        x0, y0 = (w - width / scale) / 2, (h - height / scale) / 2
        # Rounding may carry a side a hair beyond the picture, which Pillow refuses.
        x0, y0 = max(x0, 0.0), max(y0, 0.0)
        return Placing(source=(x0, y0, w - x0, h - y0), target=(0, 0, width, height))
    if how == "pad":
        scale = min(height / h, width / w)
        inner_h, inner_w = (min(max(round(side * scale), 1), most) for side, most in ((h, height), (w, width)))
        left, top = (width - inner_w) // 2, (height - inner_h) // 2
        return Placing(source=(0.0, 0.0, w, h), target=(left, top, left + inner_w, top + inner_h))
    raise InputError(f"A picture cannot be fitted by {how!r}; choose {' or '.join(FITS)}.")


def laid(image: Image.Image, place: Placing, filter_: Image.Resampling) -> Image.Image:
    """The source rectangle at the target's size."""
    left, top, right, bottom = place.target
    return image.resize((right - left, bottom - top), filter_, box=place.source)


def surrounded(image: Image.Image, inner: Image.Image, height: int, width: int) -> Image.Image:
    """`inner` where `placing` has it, in the middle of a blurred, darkened copy of `image`."""
    around = laid(image, placing((image.height, image.width), (height, width), "crop"), Image.Resampling.BILINEAR)
    around = around.filter(ImageFilter.GaussianBlur(max(height, width) * BLUR))
    around = around.point([round(value * DARK) for value in range(256)] * 3)
    left, top, _, _ = placing((image.height, image.width), (height, width), "pad").target
    around.paste(inner, (left, top))
    return around
