"""What is done to good files: an act takes a file, a generator and the edges of its boxes, and returns a worse one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["ACTS", "BOX_ACTS", "boxes", "edges"]

Rng = np.random.Generator
Edge = tuple[int, int, bytes]
"""Where a box or chunk begins, its bytes, its name."""

NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8)


def edges(data: bytes) -> list[Edge]:
    """The boxes, chunks or segments of a file, those inside others too."""
    if data[:4] == b"\x89PNG":
        return list(walked(data, 8, ">", length_first=True, around=12))
    if data[:4] == b"RIFF":
        return list(walked(data, 12, "<", length_first=False, around=8))
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return list(boxes(data, 0, len(data)))
    step = max(len(data) // 40, 1)
    return [(place, 4, data[place : place + 4]) for place in range(0, len(data) - 8, step)]


def walked(data: bytes, place: int, order: str, *, length_first: bool, around: int) -> Iterator[Edge]:
    while place + 8 <= len(data):
        first, second = data[place : place + 4], data[place + 4 : place + 8]
        size, name = (first, second) if length_first else (second, first)
        length = struct.unpack(order + "I", size)[0] + around
        yield place, length, name
        place += max(length, 8)


HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf", b"mvex", b"udta")


def boxes(data: bytes, start: int, end: int) -> Iterator[Edge]:
    place = start
    while place + 8 <= end:
        size, name = struct.unpack(">I4s", data[place : place + 8])
        size = size if size >= 8 else end - place
        yield place, min(size, end - place), name
        if name in HOLDERS:
            yield from boxes(data, place + 8, min(place + size, end))
        place += size


def cut(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """End at the edge of a box, or somewhere."""
    if places and rng.random() < 0.6:
        start, size, _ = places[int(rng.integers(len(places)))]
        return data[: max(start + int(rng.choice([0, 4, 8, size, size - 1])), 16)]
    return data[: int(rng.integers(16, len(data)))] if len(data) > 16 else data


def flip(data: bytes, rng: Rng, _: list[Edge]) -> bytes:
    """Other bytes here and there, behind what tells the kind."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 33))):
        if len(changed) > 12:
            changed[int(rng.integers(12, len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def number(data: bytes, rng: Rng, _: list[Edge]) -> bytes:
    """A number that means trouble in the first kilobyte, where sizes and counts are."""
    length = int(rng.choice([2, 4, 8]))
    if len(data) < 24:
        return data
    place = int(rng.integers(8, min(len(data) - 8, 1024)))
    value = int(rng.choice(np.array(NUMBERS, dtype=np.int64))) % 2 ** (8 * length)
    return data[:place] + value.to_bytes(length, str(rng.choice(["big", "little"]))) + data[place + length :]


def lie(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """A box or chunk that is longer or shorter than it says."""
    if not places:
        return data
    start, size, _ = places[int(rng.integers(len(places)))]
    value = int(rng.choice([0, 1, 7, 8, 16, size - 1, size + 1, 2 * size, 2**31 - 1, 2**31, 2**32 - 1])) % 2**32
    at = start + 4 if data[:4] == b"RIFF" else start
    return data[:at] + struct.pack("<I" if data[:4] == b"RIFF" else ">I", value) + data[at + 4 :]


def double(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """A box or chunk once or many times more."""
    if not places:
        return data
    start, size, _ = places[int(rng.integers(len(places)))]
    times = int(rng.choice([1, 1, 2, 100])) if size < 4096 else 1
    return data[: start + size] + data[start : start + size] * times + data[start + size :]


def drop(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """A box or chunk less."""
    if len(places) < 2:
        return data
    start, size, _ = places[int(rng.integers(1, len(places)))]
    return data[:start] + data[start + size :]


def swap(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """Two boxes in each other's place."""
    if len(places) < 3:
        return data
    one, other = sorted(int(i) for i in rng.choice(np.arange(1, len(places)), 2, replace=False))
    (a, n, _), (b, m, _) = places[one], places[other]
    if a + n > b:
        return data
    return data[:a] + data[b : b + m] + data[a + n : b] + data[a : a + n] + data[b + m :]


def noise(data: bytes, rng: Rng, _: list[Edge]) -> bytes:
    """Bytes put in, or wiped."""
    place = int(rng.integers(8, len(data))) if len(data) > 8 else 0
    count = int(rng.integers(1, 400))
    return data[:place] + rng.bytes(count) + data[place:] if rng.random() < 0.5 else (
        data[:place] + bytes(count) + data[place + count :]
    )  # fmt: skip


def mend(data: bytes, rng: Rng, _: list[Edge]) -> bytes:
    """After other changes: PNG's sums made right again, so that the lie behind them is reached."""
    changed = flip(data, rng, []) if rng.random() < 0.5 else number(data, rng, [])
    if data[:4] != b"\x89PNG":
        return changed
    out, fixed = bytearray(changed), edges(changed)
    for start, size, _ in fixed:
        if start + size <= len(out):
            out[start + size - 4 : start + size] = struct.pack(
                ">I", zlib.crc32(bytes(out[start + 4 : start + size - 4]))
            )
    return bytes(out)


def box_size(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """Sizes 0, 1 (a longer size follows), 2^32 - 1, 2^63."""
    if not places:
        return data
    start, _, name = places[int(rng.integers(len(places)))]
    if rng.random() < 0.4:
        large = int(rng.choice(np.array([0, 8, 16, 2**31, 2**62, 2**63 - 1], dtype=np.int64)))
        return data[:start] + struct.pack(">I4sQ", 1, name, large) + data[start + 16 :]
    return data[:start] + struct.pack(">I", int(rng.choice([0, 1, 2, 7, 2**31, 2**32 - 1]))) + data[start + 4 :]


TABLES = {b"stco", b"co64", b"stsz", b"stts", b"stsc", b"ctts", b"stss", b"trun", b"elst", b"stsd", b"tfhd", b"trex"}
CLOCKS = {b"mvhd", b"mdhd", b"tkhd", b"elst", b"mehd"}


def table(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """Counts and places in sample tables beyond all that is there: 2^31 samples, chunks behind the end."""
    return _in_box(data, rng, [place for place in places if place[2] in TABLES])


def clock(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    """Times that cannot be: 0 ticks a second, lengths below zero, films of centuries; matrices that squash."""
    return _in_box(data, rng, [place for place in places if place[2] in CLOCKS])


def _in_box(data: bytes, rng: Rng, places: list[Edge]) -> bytes:
    if not places:
        return data
    start, size, _ = places[int(rng.integers(len(places)))]
    for _ in range(int(rng.integers(1, 4))):
        at = start + 8 + 4 * int(rng.integers(0, max(size // 4 - 2, 1)))
        value = int(rng.choice(np.array(NUMBERS, dtype=np.int64)))
        data = data[:at] + struct.pack(">I", value) + data[at + 4 :]
    return data


ACTS: list[Callable[[bytes, Rng, list[Edge]], bytes]] = [cut, flip, number, lie, double, drop, swap, noise, mend]
BOX_ACTS = [box_size, table, clock, box_size, table, clock]
