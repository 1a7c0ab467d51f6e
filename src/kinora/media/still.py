"""Pictures that people bring, as they expect to see them: upright, in sRGB, eight bits, on white paper."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from kinora.core.errors import MediaError
from kinora.core.materials import Still
from kinora.media.picture import opened

__all__ = ["LEAST_SIDE", "apart", "read_still", "upright"]

LEAST_SIDE = 16
"""Pixels; below this there is nothing for a model to see."""
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation: what makes a picture upright (CIPA DC-008, tag 0x0112)."""


def read_still(path: Path) -> Still:
    """Any picture Pillow reads, as uint8 RGB; of an animation, the first frame.

    EXIF orientation is honoured, an embedded colour profile is converted to sRGB, 16 bits are scaled to 8, and
    transparency is laid over white. Raises `MediaError` for a file that is no picture, is damaged, has a side under
    `LEAST_SIDE` pixels or more than `picture.MOST_PIXELS`.
    """
    image = upright(opened(path))
    if min(image.size) < LEAST_SIDE:
        raise MediaError(
            f"{path} is {image.width} x {image.height} pixels; each side needs at least {LEAST_SIDE}."
            " Bring a larger picture."
        )
    colour, alpha_HW = apart(image)
    rgb_HW3 = np.array(in_srgb(colour, path))
    if alpha_HW is not None:
        rgb_HW3 = over_white(rgb_HW3, alpha_HW)
    return Still.of(rgb_HW3, name=str(path))


def upright(image: Image.Image) -> Image.Image:
    """The picture as its camera was held; what the file says besides (colour profile, transparency) is kept."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, KeyError, TypeError, OSError):
        return image  # broken EXIF: viewers show the pixels as they lie
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = dict(image.info)
    return turned


def apart(image: Image.Image) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """Colours without transparency, and the opacity (H, W) where the picture has one. Deep greys come out as 8 bits."""
    if image.mode in DEEP_MODES:
        return Image.fromarray(eight_bits(np.asarray(image), image.mode)), None
    if not image.has_transparency_data:
        return (image.convert("RGB") if image.mode == "P" else image), None
    full = image.convert("RGBA")
    # A grey picture must stay grey: its profile, if any, speaks of grey.
    grey = image.mode in ("1", "L", "LA", "La")
    colour = full.convert("RGB")
    return (colour.convert("L") if grey else colour), np.asarray(full.getchannel("A"))


def eight_bits(values_HW: npt.NDArray[np.generic], mode: str) -> npt.NDArray[np.uint8]:
    """Greys of more than 8 bits over the whole range of 8; Pillow's own conversion would clip them at 255."""
    grey_HW = np.nan_to_num(values_HW.astype(np.float64))
    # Integers are 16-bit samples whatever Pillow keeps them in; floats go to 1 by the custom of their formats.
    full = 65535.0 if mode != "F" else 1.0 if grey_HW.max() <= 1.0 else 255.0
    return np.clip(np.rint(grey_HW * (255.0 / full)), 0, 255).astype(np.uint8)


def in_srgb(image: Image.Image, path: Path) -> Image.Image:
    """RGB as a browser would show it: through the embedded profile where there is one that fits."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        converted = by_profile(image, profile)
        if converted is not None:
            return converted
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise MediaError(
            f"{path} has colours of the kind {image.mode}, which cannot be shown; save it as RGB."
        ) from error


def by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture converted to sRGB; None when it is sRGB already or the profile is damaged or of another kind."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None  # converting would only round
        return ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def over_white(rgb_HW3: npt.NDArray[np.uint8], alpha_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Transparent pictures are mostly drawings, logos and cut-outs made for a page. On white they look as their owner
    knows them; on black dark lines would vanish, and the colours under full transparency are accidents of the tool.
    """
    share_HW1 = alpha_HW[..., None].astype(np.float32) / 255
    return np.rint(rgb_HW3 * share_HW1 + 255 * (1 - share_HW1)).astype(np.uint8)
