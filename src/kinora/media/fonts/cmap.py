"""Which characters a font file has: the `cmap` table of TrueType and OpenType, read without a font library.

Formats 4 and 12 (OpenType 1.9, "cmap"): they are what fonts use for the Basic Multilingual Plane and all of Unicode.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Face", "faces_of"]

MOST_FACES = 64
"""More than any collection has; a damaged count ends here."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """One font of a file: collections (.ttc) hold several."""

    path: Path
    index: int
    ranges: tuple[tuple[int, int], ...]
    """First and last code point of each run of characters that it has."""

    def missing(self, text: Iterable[str]) -> str:
        """The characters of `text` that it has no glyph for, each once, sorted; white space needs none."""
        wanted = {character for character in text if not character.isspace()}
        return "".join(sorted(one for one in wanted if not self.has(ord(one))))

    def has(self, point: int) -> bool:
        return any(first <= point <= last for first, last in self.ranges)


def faces_of(path: Path) -> list[Face]:
    """The faces with outlines in a font file; none when it is damaged, cannot be read, or is made of bitmaps."""
    try:
        data = path.read_bytes()
        offsets = [0]
        if data[:4] == b"ttcf":
            count = min(struct.unpack_from(">I", data, 8)[0], MOST_FACES)
            offsets = list(struct.unpack_from(f">{count}I", data, 12))
        found = []
        for index, offset in enumerate(offsets):
            tables = table_offsets(data, offset)
            if "cmap" in tables and tables.keys() & {"glyf", "CFF ", "CFF2"}:
                found.append(Face(path=path, index=index, ranges=tuple(runs(data, tables["cmap"]))))
        return found
    except (OSError, struct.error):
        return []


def table_offsets(data: bytes, offset: int) -> dict[str, int]:
    count = struct.unpack_from(">H", data, offset + 4)[0]
    records = (struct.unpack_from(">4sIII", data, offset + 12 + 16 * index) for index in range(count))
    return {tag.decode("latin-1"): start for tag, _, start, _ in records}


def runs(data: bytes, cmap: int) -> Iterator[tuple[int, int]]:
    """The runs of the best Unicode subtable."""
    count = struct.unpack_from(">H", data, cmap + 2)[0]
    subtables = {}
    for index in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", data, cmap + 4 + 8 * index)
        kind = struct.unpack_from(">H", data, cmap + offset)[0]
        if (platform == 0 or (platform == 3 and encoding in (1, 10))) and kind in (4, 12):
            subtables[kind] = cmap + offset
    if 12 in subtables:
        yield from runs_12(data, subtables[12])
    elif 4 in subtables:
        yield from runs_4(data, subtables[4])


def runs_12(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    count = struct.unpack_from(">I", data, start + 12)[0]
    for index in range(count):
        first, last, _ = struct.unpack_from(">III", data, start + 16 + 12 * index)
        yield first, last


def runs_4(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    double = struct.unpack_from(">H", data, start + 6)[0]
    count = double // 2
    lasts = struct.unpack_from(f">{count}H", data, start + 14)
    firsts = struct.unpack_from(f">{count}H", data, start + 16 + double)
    for first, last in zip(firsts, lasts, strict=True):
        if first <= last != 0xFFFF:
            yield first, last
