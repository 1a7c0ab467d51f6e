"""Sheets of moments: a row a clip, so that the eye can judge what the numbers say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinora.core.clip import Clip

__all__ = ["draw_sheet", "strip"]

MARGIN = 4
LABEL = 40
"""Pixels at the left for the row's number and score."""


def strip(clip: Clip, *, moments: int = 6, side: int = 128) -> Image.Image:
    """Evenly spaced frames of a clip, first and last among them, side by side, each `side` pixels high."""
    frames, height, width, _ = clip.frames_FHWC.shape
    across = round(side * width / height)
    sheet = Image.new("RGB", (moments * across, side))
    for index, frame in enumerate(np.linspace(0, frames - 1, moments).round().astype(int)):
        picture = Image.fromarray(clip.frames_FHWC[frame]).resize((across, side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (index * across, 0))
    return sheet


def draw_sheet(path: Path, rows: Sequence[tuple[str, Image.Image]]) -> None:
    """Write labelled strips under one another. Labels are short and in plain ASCII: the built-in font has no more."""
    width = LABEL + max(image.width for _, image in rows) + 2 * MARGIN
    height = sum(image.height + MARGIN for _, image in rows) + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    top = MARGIN
    for label, image in rows:
        pen.multiline_text((MARGIN, top + 4), label, fill="black", font=font)
        sheet.paste(image, (LABEL + MARGIN, top))
        top += image.height + MARGIN
    sheet.save(path)
