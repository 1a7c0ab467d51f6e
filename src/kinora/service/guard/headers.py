"""How large a picture says it is, from a few hundred bytes, before anybody unpacks it. Plain integers, no decoder.

Sources: PNG (W3C) 11.2.2, JPEG (ITU-T T.81) B.2.2, GIF89a 18, RFC 9649 (WebP), TIFF 6.0 section 2, BITMAPINFOHEADER.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["picture_size"]

MOST_SEGMENTS = 2000
"""Of a JPEG, before its size is told; a large profile and a preview take some hundred."""
MOST_JUNK = 65_536
"""Bytes between two of them, which some programs leave."""
MOST_TAGS = 4096
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WIDTH, HEIGHT = 256, 257
"""TIFF's tags."""

Size = tuple[int, int]


def picture_size(reader: str, file: BinaryIO) -> Size | None:
    """Width and height as a picture's header states them; None where it has none that can be read."""
    file.seek(0)
    try:
        size = READERS[reader](file)
    except (struct.error, OverflowError, ValueError, OSError):
        return None  # cut short, or a place before the beginning
    return size if size is not None and min(size) > 0 else None


def _png(file: BinaryIO) -> Size | None:
    head = file.read(24)
    width, height = struct.unpack(">II", head[16:24])
    return (width, height) if head[12:16] == b"IHDR" else None


def _jpeg(file: BinaryIO) -> Size | None:
    file.seek(2)
    for _ in range(MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # alone, without a length
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in FRAME_MARKERS:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        if marker in (0xD9, 0xDA) or length < 2:
            return None
        file.seek(length - 2, 1)
    return None


def _next_marker(file: BinaryIO) -> int:
    """The byte behind the next 0xFF that is neither filling nor data; decoders, too, pass over what lies before it."""
    mark = marker = 0
    for _ in range(MOST_JUNK):
        mark, (marker,) = marker, struct.unpack("B", file.read(1))
        if mark == 0xFF and marker not in (0x00, 0xFF):
            return marker
    raise ValueError("no marker")


def _gif(file: BinaryIO) -> Size | None:
    width, height = struct.unpack("<HH", file.read(10)[6:10])
    return width, height


def _bmp(file: BinaryIO) -> Size | None:
    head = file.read(26)
    (length,) = struct.unpack("<I", head[14:18])
    if length == 12:
        width, height = struct.unpack("<HH", head[18:22])
    else:
        width, height = struct.unpack("<ii", head[18:26])
    return abs(width), abs(height)  # a negative height: rows from above


def _webp(file: BinaryIO) -> Size | None:
    head = file.read(30)
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(file: BinaryIO) -> Size | None:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    count_as, place_as, tag_length = ("Q", "Q", 20) if big else ("H", "I", 12)
    (place,) = struct.unpack(order + place_as, head[8:16] if big else head[4:8])
    file.seek(place)
    (count,) = struct.unpack(order + count_as, file.read(struct.calcsize(order + count_as)))
    found: dict[int, int] = {}
    for _ in range(min(count, MOST_TAGS)):
        tag = file.read(tag_length)
        number, kind = struct.unpack(order + "HH", tag[:4])
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if number in (WIDTH, HEIGHT) and form is not None:
            value = tag[12:20] if big else tag[8:12]
            found[number] = struct.unpack(order + form, value[: struct.calcsize(form)])[0]
    return (found[WIDTH], found[HEIGHT]) if len(found) == 2 else None


READERS: dict[str, Callable[[BinaryIO], Size | None]] = {
    "PNG": _png, "JPEG": _jpeg, "GIF": _gif, "BMP": _bmp, "WEBP": _webp, "TIFF": _tiff,
}  # fmt: skip
