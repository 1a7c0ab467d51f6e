"""The visible label: a few words in a corner that say who made the picture.

Light text on a dark plate, so that it is legible on any ground; in the top left corner, where readers begin and where
players lay no controls over the first seconds.

Axes: F frames, H height, W width, 3 red, green, blue.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kinora.core.errors import InputError, ShapeError
from kinora.media.fonts import find_font

__all__ = ["Label", "draw_label", "draw_label_on_picture", "label_for", "labelled_frames"]

LEAST_SECONDS = 2.0
LEAST_SHARE = 0.05
"""What GB 45438-2025 asks for: at least 2 s, and 5 % of the short side."""
MOST_SHARE = 0.25
READABLE = 12
"""Pixels of height that strokes of Chinese characters need; small pictures get so much where it fits and where it is
no more than a sixth of them.
"""
PLATE = 0.72
"""How dark the plate is: on white it leaves 28 %, 9.6 to 1 against white text."""
SOLID = 208
"""Of 255, from where on a row of pixels counts as covered."""
WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
TOKEN = re.compile(f"[{WIDE}]|[^\\s{WIDE}]+")
"""What no line break parts: a Chinese character, or a word."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is written, how long and how large. Raises `InputError` for less than the rules ask for."""

    text: str
    seconds: float = LEAST_SECONDS
    """From the first frame on."""
    share: float = LEAST_SHARE
    """Height of a capital letter, of the picture's short side; Chinese characters are higher."""
    throughout: bool = False
    """On every frame, whatever `seconds` says."""

    def __post_init__(self) -> None:
        if not self.text.strip() or not self.text.isprintable():
            raise InputError(f"A label needs a line of text; {self.text!r} is none.")
        if not LEAST_SECONDS <= self.seconds < math.inf:
            raise InputError(
                f"A label of {self.seconds:g} s is too short; it must stand {LEAST_SECONDS:g} s or longer."
            )
        if not LEAST_SHARE <= self.share <= MOST_SHARE:
            raise InputError(
                f"A label's height of {self.share:.1%} of the short side cannot be; choose {LEAST_SHARE:.0%} to"
                f" {MOST_SHARE:.0%}."
            )


def label_for(language: str) -> Label:
    """The label that a reader of `language` ("zh", "en", with or without a country) is owed."""
    return Label(text="AI生成" if language.lower().startswith("zh") else "AI generated")


def draw_label(frames_FHW3: Pixels, first_frame: int, frame_rate: float, label: Label) -> Pixels:
    """The frames with the label on those that are owed it; the first is number `first_frame` of its film (from 0).

    Films that come in pieces are given piece by piece. The given array stays as it is, and is returned itself when
    none of its frames carries the label. Raises `ShapeError` when the label does not fit, `MediaError` without a font.
    """
    assert frames_FHW3.dtype == np.uint8
    assert frames_FHW3.ndim == 4
    assert frames_FHW3.shape[3] == 3
    count = len(frames_FHW3) if label.throughout else labelled_frames(frame_rate, label) - first_frame
    if count <= 0 or not len(frames_FHW3):
        return frames_FHW3
    tile = tile_for(label.text, label.share, frames_FHW3.shape[1], frames_FHW3.shape[2])
    drawn_FHW3 = frames_FHW3.copy()
    tile.paste(drawn_FHW3[:count])
    return drawn_FHW3


def draw_label_on_picture(rgb_HW3: Pixels, label: Label) -> Pixels:
    """A picture with the label; as `draw_label`."""
    return draw_label(rgb_HW3[None], 0, 1.0, label)[0]


def labelled_frames(frame_rate: float, label: Label) -> int:
    """How many frames from the first on carry a label that does not stand throughout: its seconds, rounded up."""
    assert frame_rate > 0
    return math.ceil(round(label.seconds * frame_rate, 6))  # 24.000000001 frames a second are 24


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A label ready to be laid over pictures of one size: what is left of the ground, in 256ths, and what is added."""

    top: int
    left: int
    keep_HW3: npt.NDArray[np.uint16]
    add_HW3: npt.NDArray[np.uint16]

    def paste(self, frames_FHW3: Pixels) -> None:
        height, width, _ = self.keep_HW3.shape
        ground_FHW3 = frames_FHW3[:, self.top : self.top + height, self.left : self.left + width]
        # 255 * 256 at most and a half: fits 16 bits.
        ground_FHW3[...] = (ground_FHW3 * self.keep_HW3 + self.add_HW3) >> 8


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A text broken into lines that fit, in a font of a size."""

    font: ImageFont.FreeTypeFont
    lines: tuple[str, ...]
    rise: int
    """Pixels from the top of the first line's ink to its base line."""
    step: int
    """Pixels from base line to base line."""
    height: int
    width: int


@lru_cache(maxsize=32)
def tile_for(text: str, share: float, height: int, width: int) -> Tile:
    short = min(height, width)
    margin = max(2, round(short * 0.02))
    least = math.ceil(round(share * short, 6))
    for letter in range(max(least, min(READABLE, short // 6)), least - 1, -1):
        padding = max(2, round(letter * 0.4))
        around = 2 * (margin + padding)
        lines = fit(text, letter, height - around, width - around)
        if lines is not None:
            return tile_of(lines, margin, padding)
    raise ShapeError(
        f"The label {text!r} does not fit into a picture of {width} x {height}, where its letters must be {least}"
        " pixels high. Shorten the label, or make the picture larger."
    )


def fit(text: str, letter: int, height: int, width: int) -> Lines | None:
    """The text in lines of capital letters of `letter` pixels; None when that is more than `height` x `width`."""
    font = font_of(text, letter)
    lines = broken(text, font, width)
    if lines is None:
        return None
    boxes = [font.getbbox(line, anchor="ls") for line in lines]
    rise = -math.floor(min(box[1] for box in boxes))
    fall = math.ceil(max(box[3] for box in boxes))
    step = rise + fall + max(1, round(letter * 0.25))
    whole = Lines(
        font=font,
        lines=lines,
        rise=rise,
        step=step,
        height=rise + fall + step * (len(lines) - 1),
        width=math.ceil(max(box[2] for box in boxes)),
    )
    return whole if whole.height <= height else None


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> tuple[str, ...] | None:
    """Lines of at most `width` pixels; None when a word alone is wider."""
    lines: list[str] = []
    end = 0
    for token in TOKEN.finditer(text):
        gap, end = text[end : token.start()], token.end()
        longer = (lines[-1] + gap if lines else "") + token.group()
        if font.getbbox(longer, anchor="ls")[2] <= width:
            lines[-1:] = [longer]
        elif font.getbbox(token.group(), anchor="ls")[2] <= width:
            lines.append(token.group())
        else:
            return None
    return tuple(lines)


@lru_cache(maxsize=64)
def font_of(text: str, letter: int) -> ImageFont.FreeTypeFont:
    """The font in the size at which a capital (without one: the text) is `letter` pixels high or a little more."""
    face = find_font(text)
    sample = "H" if face.has(ord("H")) else text
    size = letter
    while True:
        font = ImageFont.truetype(face.path, size, index=face.index, layout_engine=ImageFont.Layout.BASIC)
        if ink_height(font, sample) >= letter:
            return font
        size += 1


def ink_height(font: ImageFont.FreeTypeFont, sample: str) -> int:
    """Rows that a sample's ink nearly covers: half covered ones do not survive a film's compression."""
    size = round(font.size)
    image = Image.new("L", (2 * size * (len(sample) + 1), 4 * size))
    ImageDraw.Draw(image).text((size, 3 * size), sample, fill=255, font=font, anchor="ls")
    return int((np.asarray(image).max(axis=1) >= SOLID).sum())


def tile_of(lines: Lines, margin: int, padding: int) -> Tile:
    size = (lines.width + 2 * padding, lines.height + 2 * padding)
    plate, ink = Image.new("L", size), Image.new("L", size)
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=padding / 2, fill=255)
    pen = ImageDraw.Draw(ink)
    for index, line in enumerate(lines.lines):
        pen.text((padding, padding + lines.rise + index * lines.step), line, fill=255, font=lines.font, anchor="ls")
    text_HW = np.round(np.asarray(ink) / 255 * 256)
    keep_HW = np.round((256 - text_HW) * (1 - PLATE * (np.asarray(plate) / 255)))
    return Tile(
        top=margin,
        left=margin,
        keep_HW3=in_colours(keep_HW),
        add_HW3=in_colours(text_HW * 255 + 128 * (keep_HW < 256)),
    )


def in_colours(values_HW: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """The same for red, green and blue: three times the memory, and half the time of laying it over a picture."""
    return np.ascontiguousarray(np.repeat(values_HW.astype(np.uint16)[..., None], 3, axis=2))
