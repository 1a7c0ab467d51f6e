"""What a file is, and how large it says it is, by its first bytes."""

from __future__ import annotations

import io
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from kinora.service.errors import Invalid
from kinora.service.guard.headers import picture_size
from kinora.service.guard.kinds import HEAD, kind_of, sniff

READERS = {"png": "PNG", "apng": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF"}


def test_good_files_are_known_by_their_content(hostile: ModuleType) -> None:
    for name, content in hostile.pictures().items():
        kind = sniff(content[:HEAD])
        assert kind is not None, name
        assert (kind.family, kind.reader) == ("picture", READERS[name.split()[0]])
    readers = {name: sniff(content[:HEAD]).reader for name, content in hostile.films().items()}
    assert readers == {
        "mp4 h264": "mov", "mp4 mpeg4": "mov", "mp4 fragments": "mov", "mov mjpeg": "mov", "m4a": "mov",
        "webm vp9": "matroska", "webm vp8": "matroska", "mkv h264": "matroska", "avi mpeg4": "avi",
        "wav": "wav", "mp3": "mp3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><svg>", "an SVG drawing"),
        (b"  <!DOCTYPE html><html>", "a web page"),
        (b"<script>", "a web page"),
        (b"#EXTM3U\n#EXT-X", "a playlist"),
        (b"ffconcat version 1.0", "a list of files"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "an archive"),
        (b"\x7fELF\x02", "a program"),
        (b"\0\0\0\x18ftypheic", "a HEIC or AVIF picture"),
        (b"\0\0\0\x18ftypavif", "a HEIC or AVIF picture"),
        (b"OggS\0", "an Ogg file"),
        (b"RIFF\x10\0\0\0CDXA", "of an unknown kind"),
        (b"BM but not a bitmap at all......", "of an unknown kind"),
        (b"\xff\xfb\xf0\0", "of an unknown kind"),
        (b"words", "of an unknown kind"),
    ],
)
def test_others_are_refused_by_their_name(head: bytes, what: str) -> None:
    with pytest.raises(Invalid) as refused:
        kind_of(head, ("image", "video"))
    assert refused.value.message == (
        f"The file is {what}. Taken here are pictures as PNG, JPEG, WebP, GIF, BMP or TIFF, films as MP4, MOV, WebM,"
        " MKV or AVI."
    )


def test_only_what_is_wanted(hostile: ModuleType) -> None:
    wav, png, mp4 = hostile.films()["wav"][:HEAD], hostile.pictures()["png rgb"][:HEAD], hostile.films()["m4a"][:HEAD]
    assert kind_of(wav, ("audio",)).name == "WAV"
    assert kind_of(mp4, ("audio",)).name == "MP4"
    assert kind_of(png, ("mask",)).name == "PNG"
    assert kind_of(b'\xef\xbb\xbf [{"a": 1}]', ("speech",)).name == "JSON"
    for head, want, word in (
        (wav, "image", "a sound (WAV)"),
        (png, "video", "a picture (PNG)"),
        (b"{}", "image", "JSON"),
    ):
        with pytest.raises(Invalid, match=r"^The file is ") as refused:
            kind_of(head, (want,))
        assert word in refused.value.message


@pytest.mark.parametrize("size", [(16, 24), (300, 17), (65_500, 1)])
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_sizes_are_read_as_a_decoder_reads_them(size: tuple[int, int], mode: str) -> None:
    image = Image.fromarray(np.zeros(size[::-1], dtype=np.uint8)).convert(mode)
    for reader, options in (
        ("PNG", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {}), ("TIFF", {"big_tiff": True}),
        ("JPEG", {}), ("JPEG", {"progressive": True, "exif": b"Exif\0\0" + bytes(60_000)}),
        ("WEBP", {"lossless": True}), ("WEBP", {"lossless": False}), ("WEBP", {"exif": b"Exif\0\0MM\0*" + bytes(90)}),
    ):  # fmt: skip
        if reader == "WEBP" and max(size) > 16_383:
            continue
        if reader == "JPEG" and mode == "1":
            continue
        out = io.BytesIO()
        image.save(out, format=reader, **options)
        assert picture_size(reader, out) == size, (reader, options)


@pytest.mark.parametrize("reader", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_headers_that_are_none_have_no_size(reader: str, hostile: ModuleType) -> None:
    rng = np.random.default_rng(5)
    whole = next(data for name, data in hostile.pictures().items() if READERS[name.split()[0]] == reader)
    for length in range(30):
        picture_size(reader, io.BytesIO(whole[:length]))  # never raises
    for _ in range(200):
        noise = bytearray(whole[:64] + rng.bytes(64))
        for place in rng.integers(0, 64, 8):
            noise[place] = rng.integers(256)
        size = picture_size(reader, io.BytesIO(bytes(noise)))
        assert size is None or min(size) > 0
    assert picture_size(reader, io.BytesIO(b"")) is None
