"""In the child: any picture to a PNG of 8 bits: upright, in sRGB, without metadata."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from kinora.media.still import LEAST_SIDE, apart, in_srgb, over_white, upright
from kinora.service.guard.job import LABEL, Job, Plain, Unfit
from kinora.service.guard.png import write_png

__all__ = ["plain_picture"]

Pixels = npt.NDArray[np.uint8]

BAND = 2**20
"""Pixels that are laid over white at a time; the whole of a large picture would take gigabytes."""


def plain_picture(job: Job) -> Plain:
    """Write the first frame. Transparency is laid over white; of a mask it is kept as the mask (see `mask_of`)."""
    image = upright(_opened(job))
    if min(image.size) < LEAST_SIDE:
        raise Unfit(
            f"The picture is {image.width} x {image.height} pixels; each side needs at least {LEAST_SIDE}."
            " Bring a larger one."
        )
    masks = "mask" in job.want and "image" not in job.want
    plain = mask_of(image) if masks else on_white(image)
    write_png(Path(job.target), plain)
    return Plain(kind="image", width=plain.shape[1], height=plain.shape[0], frames=1)


def _opened(job: Job) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = job.most_pixels
    try:
        with warnings.catch_warnings(), Path(job.source).open("rb") as file:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=(job.reader,))
            if image.width * image.height > job.most_pixels:
                raise Image.DecompressionBombError
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unfit(
            f"The picture has more than {job.most_pixels / 1e6:g} megapixels, which is the most. Make it smaller first."
        ) from error
    except UnidentifiedImageError as error:
        raise Unfit(f"The file begins like a {job.reader} picture but is none. Save the picture again.") from error
    return image


def on_white(image: Image.Image) -> Pixels:
    """RGB (H, W, 3) as a page would show it."""
    colour, alpha_HW = apart(image)
    rgb = in_srgb(colour, LABEL)
    if alpha_HW is None:
        return np.asarray(rgb)
    rgb_HW3 = np.array(rgb)
    rows = max(BAND // rgb.width, 1)
    for top in range(0, rgb.height, rows):
        band = slice(top, top + rows)
        rgb_HW3[band] = over_white(rgb_HW3[band], alpha_HW[band])
    return rgb_HW3


def mask_of(image: Image.Image) -> Pixels:
    """Grey (H, W) that `media.mask.read_mask` reads as it would have read the picture: opacity where it varies, else
    brightness.
    """
    colour, alpha_HW = apart(image)
    varies = alpha_HW is not None and alpha_HW.min() != alpha_HW.max()
    return alpha_HW if alpha_HW is not None and varies else np.asarray(colour.convert("L"))
