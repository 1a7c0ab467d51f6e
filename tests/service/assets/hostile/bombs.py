"""Files made from nothing to cost a reader its memory or its time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from .acts import boxes
from .good import films

__all__ = ["FILM_BOMBS", "PICTURE_BOMBS"]


def png(width: int, height: int, idat: bytes, *others: tuple[bytes, bytes]) -> bytes:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *others, (b"IDAT", idat), (b"IEND", b"")]
    packed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def zeros(count: int) -> bytes:
    """`count` zero bytes, packed a thousand to one."""
    packer = zlib.compressobj(1)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(count >> 20)), packer.flush()])


def gif_of_many(frames: int) -> bytes:
    frame = (
        b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x20\0\x20\0\0\x02\x16"
        + bytes.fromhex("8c8f a9cb ed0f a39c b4da 8bb3 debc fb0f 86e2 4896 e601")
        + b"\0"
    )
    return b"GIF89a\x20\0\x20\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def tiff(*tags: tuple[int, int, int, int]) -> bytes:
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + bytes(4) + bytes(4096)


PICTURE_BOMBS: dict[str, Callable[[], bytes]] = {
    "png of 196 megapixels": lambda: png(14_000, 14_000, zeros(2**24)),
    "png of 16 megapixels, flat": lambda: png(4_000, 4_000, zeros(4_000 * 12_001 + 2**20)),
    "png that unpacks to 64 MB more than its size": lambda: png(64, 64, zeros(2**26)),
    "png of 2^31 - 1 pixels a side": lambda: png(2**31 - 1, 2**31 - 1, zeros(2**20)),
    "png of no size": lambda: png(0, 0, zeros(2**20)),
    "png with a text of 64 MB": lambda: png(64, 64, zeros(64 * 193), (b"zTXt", b"a\0\0" + zeros(2**26))),
    "png with a profile of 64 MB": lambda: png(64, 64, zeros(64 * 193), (b"iCCP", b"a\0\0" + zeros(2**26))),
    "png with 20,000 texts": lambda: (
        png(64, 64, zeros(64 * 193), *([(b"tEXt", b"a\0" + b"b" * 1000)] * 20_000))
    ),
    "apng of 2^31 frames": lambda: png(64, 64, zeros(64 * 193), (b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    "gif of 30,000 frames": lambda: gif_of_many(30_000),
    "gif of 65535 x 65535": lambda: b"GIF89a\xff\xff\xff\xff\xf0\0\0" + bytes(4000),
    "tiff of 2^31 strips": lambda: (
        tiff((256, 4, 1, 640), (257, 4, 1, 480), (273, 4, 2**31, 8), (279, 4, 2**31, 8))
    ),
    "tiff of 2^32 - 1 pixels a side": lambda: tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1)),
    "tiff that follows itself": lambda: (
        b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\x01\0\0\0\x40\0\0\0\x08\0\0\0" + bytes(64)
    ),
    "bmp of 2^31 - 1 pixels a side": lambda: (
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 70, 0, 54, 40, 2**31 - 1, -(2**31 - 1), 1, 24, *[0] * 6) + bytes(64)
    ),
    "webp of 16383 x 16383": lambda: (
        b"RIFF\x40\0\0\0WEBPVP8L\x30\0\0\0\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(60)
    ),
    "jpeg of 65535 x 65535": lambda: (
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\x01\x03\x11\x01" + bytes(200)
    ),
    "jpeg of 20,000 segments": lambda: (
        b"\xff\xd8" + b"\xff\xe1\x00\x10Exif\0\0" + bytes(8) + b"\xff\xe2\0\x04ab" * 20_000 + b"\xff\xd9"
    ),
}  # fmt: skip


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def deep(levels: int, name: bytes) -> bytes:
    body = b""
    for _ in range(levels):
        body = box(name, body)
    return FTYP + box(b"moov", body)


def changed_box(name: bytes, at: int, value: bytes) -> bytes:
    """A good film with other bytes `at` in each box of a name."""
    data = films()["mp4 h264"]
    for start, _, found in boxes(data, 0, len(data)):
        if found == name:
            data = data[: start + 8 + at] + value + data[start + 8 + at + len(value) :]
    return data


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
WORD = struct.Struct(">I").pack
FILM_BOMBS: dict[str, Callable[[], bytes]] = {
    "1,000 boxes deep": lambda: deep(1000, b"trak"),
    "4,000 boxes deep": lambda: deep(4000, b"udta"),
    "100,000 tracks": lambda: (
        FTYP + box(b"moov", box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"vide" + bytes(13)))) * 100_000)
    ),
    "100,000 empty tracks": lambda: FTYP + box(b"moov", box(b"trak", b"") * 100_000),
    "2^31 samples": lambda: changed_box(b"stsz", 4, WORD(1) + WORD(2**31)),
    "2^31 times of one tick": lambda: changed_box(b"stts", 4, WORD(1) + WORD(2**31 - 1) + WORD(1)),
    "2^32 - 1 chunks": lambda: changed_box(b"stco", 4, WORD(2**32 - 1)),
    "chunks behind the end": lambda: changed_box(b"stco", 8, WORD(2**32 - 16)),
    "0 ticks a second": lambda: changed_box(b"mdhd", 12, WORD(0)),
    "a length below zero": lambda: changed_box(b"mdhd", 16, WORD(2**31)),
    "0 ticks a second for the film": lambda: changed_box(b"mvhd", 12, WORD(0)),
    "a film of 136 years": lambda: changed_box(b"stts", 8, WORD(8) + WORD(2**31 - 1)),
    "pictures of 65535 x 65535": lambda: changed_box(b"stsd", 32, b"\xff\xff\xff\xff"),
    "sizes of 2^63": lambda: FTYP + struct.pack(">I4sQ", 1, b"moov", 2**63 - 1) + bytes(64),
    "a playlist in AVI": lambda: (
        films()["avi mpeg4"].replace(b"movi", b"movi" + b"00txGAB2\0\2\0#EXTM3U\nfile:///etc/passwd\n", 1)
    ),
    "no tracks": lambda: FTYP + box(b"moov", box(b"mvhd", bytes(100))),
    "nothing but a beginning": lambda: FTYP,
}  # fmt: skip
