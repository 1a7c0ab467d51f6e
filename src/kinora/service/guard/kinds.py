"""What a file is, by its first bytes. Names and headers that came with it say nothing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from kinora.service.errors import Invalid

__all__ = ["HEAD", "TAKEN", "WANTS", "Kind", "Want", "kind_of", "sniff"]

HEAD = 1024
"""Bytes from the beginning that `sniff` looks at."""

Family = Literal["picture", "film", "sound", "track"]
Want = Literal["image", "mask", "video", "audio", "speech"]
WANTS: dict[str, tuple[Family, ...]] = {
    "image": ("picture",),
    "mask": ("picture",),
    "video": ("film",),
    "audio": ("sound", "film"),  # M4A is MP4 without pictures: only the inside tells
    "speech": ("track",),
}
"""What a caller may want, and the families of files that may hold it."""
TAKEN = {
    "image": "pictures as PNG, JPEG, WebP, GIF, BMP or TIFF",
    "mask": "masks as PNG, JPEG, WebP, GIF, BMP or TIFF",
    "video": "films as MP4, MOV, WebM, MKV or AVI",
    "audio": "sound as WAV, MP3 or M4A",
    "speech": "speech tracks as JSON",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file that is taken."""

    name: str
    """As people call it."""
    family: Family
    reader: str
    """Pillow's or FFmpeg's name of the one reader that may look at it."""


PNG = Kind(name="PNG", family="picture", reader="PNG")
JPEG = Kind(name="JPEG", family="picture", reader="JPEG")
WEBP = Kind(name="WebP", family="picture", reader="WEBP")
GIF = Kind(name="GIF", family="picture", reader="GIF")
BMP = Kind(name="BMP", family="picture", reader="BMP")
TIFF = Kind(name="TIFF", family="picture", reader="TIFF")
MP4 = Kind(name="MP4", family="film", reader="mov")
MATROSKA = Kind(name="WebM or MKV", family="film", reader="matroska")
AVI = Kind(name="AVI", family="film", reader="avi")
WAV = Kind(name="WAV", family="sound", reader="wav")
MP3 = Kind(name="MP3", family="sound", reader="mp3")
JSON = Kind(name="JSON", family="track", reader="json")

BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\x1aE\xdf\xa3", MATROSKA),
    (b"ID3", MP3),
)
RIFFS = {b"WEBP": WEBP, b"AVI ": AVI, b"WAVE": WAV}
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What QuickTime files, which may have no `ftyp`, begin with."""
STILL_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
REFUSED = (
    (re.compile(rb"(?is)\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg"), "an SVG drawing"),
    (re.compile(rb"(?i)\s*(<!DOCTYPE html|<html|<script|<body|<head)"), "a web page"),
    (re.compile(rb"#EXTM3U"), "a playlist"),
    (re.compile(rb"ffconcat version"), "a list of files"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b"), "an archive"),
    (re.compile(rb"\x7fELF|MZ|#!"), "a program"),
    (re.compile(rb"(?i)<\?xml|<MPD"), "an XML file"),
    (re.compile(rb"OggS"), "an Ogg file"),
    (re.compile(rb"fLaC"), "a FLAC file"),
    (re.compile(rb"8BPS"), "a Photoshop file"),
)


def sniff(head: bytes) -> Kind | None:
    """The kind of a file that begins with `head`; None for what is not taken."""
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF":
        return RIFFS.get(head[8:12])
    if head[4:8] in BOXES:
        return None if head[4:8] == b"ftyp" and head[8:12] in STILL_BRANDS else MP4
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return BMP
    if _is_mpeg_audio(head):
        return MP3
    return JSON if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else None


def kind_of(head: bytes, want: Collection[str]) -> Kind:
    """The kind, if the caller wants such a one; raises `Invalid` that says what it is and what is taken."""
    kind = sniff(head)
    if kind is not None and any(kind.family in WANTS[one] for one in want):
        return kind
    if kind is not None:
        what = f"a {kind.family} ({kind.name})" if kind.family != "track" else "JSON"
    else:
        what = _known(head)
    raise Invalid(f"The file is {what}. Taken here are {', '.join(TAKEN[one] for one in want)}.")


def _known(head: bytes) -> str:
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF picture"
    found = (name for pattern, name in REFUSED if pattern.match(head.removeprefix(b"\xef\xbb\xbf")))
    return next(found, "of an unknown kind")


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame's header: sync, layer 3, a bit rate and a sampling rate that exist (ISO/IEC 11172-3, 2.4.1.3)."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return False
    return head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
