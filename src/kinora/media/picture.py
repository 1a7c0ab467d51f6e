"""Pictures: PNG with the recipe inside, and contact sheets of many frames."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from kinora.core.clip import Clip
from kinora.core.errors import MediaError
from kinora.media.output import check_output, whole_file
from kinora.media.recipe import Recipe

__all__ = [
    "MOST_PIXELS",
    "PICTURE_SUFFIXES",
    "contact_sheet",
    "film_strip",
    "opened",
    "read_picture",
    "read_picture_recipe",
    "write_picture",
]

PICTURE_SUFFIXES = (".png",)
MOST_PIXELS = 50_000_000
"""Beyond any camera that people carry, and 600 MB while it is worked on."""
Pixels = npt.NDArray[np.uint8]


def write_picture(
    path: Path,
    rgb_HW3: Pixels,
    *,
    recipe: Recipe | None = None,
    source: str = "",
    notes: Mapping[str, str] = MappingProxyType({}),
    force: bool = False,
) -> None:
    """Write uint8 RGB of shape (H, W, 3) as PNG, with a word on its source for what no recipe makes, and more notes
    as text chunks under their names; raises `OutputError` when it cannot be written.
    """
    check_output(path, suffixes=PICTURE_SUFFIXES, force=force)
    chunks = PngInfo()
    if recipe is not None:
        chunks.add_text("Comment", recipe.to_json())
    if source:
        chunks.add_text("Source", source)
    for name, text in notes.items():
        chunks.add_itxt(name, text)
    with whole_file(path, force=force) as part:
        Image.fromarray(rgb_HW3).save(part, format="PNG", pnginfo=chunks, optimize=False)


def read_picture(path: Path) -> Pixels:
    """Any picture Pillow can read, as uint8 RGB (H, W, 3); raises `MediaError` when it cannot."""
    return np.asarray(opened(path).convert("RGB"))


def read_picture_recipe(path: Path) -> Recipe:
    """The recipe inside a PNG; raises `MediaError` when there is none."""
    comment = opened(path).info.get("Comment")
    if not isinstance(comment, str):
        raise MediaError(f"{path} carries no recipe: it was not made by Kinora, or a tool has stripped its metadata.")
    return Recipe.from_json(comment)


def opened(path: Path) -> Image.Image:
    """The picture, read whole; a damaged or far too large file is found here and not later."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            image = Image.open(file)
            check_pixels(image, path)
            image.load()
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{path} is far too large; at most {MOST_PIXELS // 10**6} megapixels are read. Make it smaller first."
        ) from error
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{path} is no picture of a kind that can be read; save it as PNG or JPEG (iPhone's HEIC too)."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(
            f"{path} cannot be read as a picture ({getattr(error, 'strerror', None) or error})."
        ) from error
    return image


def check_pixels(image: Image.Image, path: Path) -> None:
    """Raise `MediaError` beyond `MOST_PIXELS`, before the pixels are unpacked."""
    if image.width * image.height > MOST_PIXELS:
        raise MediaError(
            f"{path} is {image.width} x {image.height}, {image.width * image.height / 1e6:.0f} megapixels; at most"
            f" {MOST_PIXELS // 10**6} are read. Make it smaller first."
        )


def contact_sheet(pictures: Sequence[Pixels], *, columns: int, gap: int = 4, grey: int = 24) -> Pixels:
    """Pictures (H, W, 3) of one size laid out in rows of `columns`, `gap` pixels of `grey` between and around them."""
    if not pictures or columns < 1:
        raise MediaError("A contact sheet needs at least one picture and one column.")
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // columns)
    sheet_HW3 = np.full((gap + rows * (height + gap), gap + columns * (width + gap), 3), grey, dtype=np.uint8)
    for index, picture_HW3 in enumerate(pictures):
        if picture_HW3.shape != (height, width, 3):
            raise MediaError(f"Picture {index} is {picture_HW3.shape}, the first is {(height, width, 3)}.")
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet_HW3[top : top + height, left : left + width] = picture_HW3
    return sheet_HW3


def film_strip(clip: Clip, *, moments: int) -> Pixels:
    """`moments` frames of a clip, evenly spaced from its first to its last, side by side."""
    chosen = np.linspace(0, clip.shape.frames - 1, moments).round().astype(int)
    return contact_sheet([clip.frames_FHWC[index] for index in chosen], columns=moments)
