"""Every decoder's modules imported, by way of small files of our own: a child that may open no file can import none."""

from __future__ import annotations

import codecs
import json
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import ExifTags, Image, ImageCms

from kinora.service.guard.child import attempt
from kinora.service.guard.job import Job

__all__ = ["job_for", "warm"]

SIDE = 32
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
ENCODINGS = ("ascii", "latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "idna")
"""That metadata is read with."""


def warm() -> None:
    """Make one file of each kind plain in this process; they are ours."""
    Image.init()
    for name in ENCODINGS:
        codecs.lookup(name)
    with tempfile.TemporaryDirectory(prefix="kinora-warm-") as folder:
        path, target = Path(folder, "source"), Path(folder, "target")
        for reader in PICTURES:
            write_picture(path, reader)
            try_one(job_for(path, target, "picture", reader, ("image",)))
            try_one(job_for(path, target, "picture", reader, ("mask",)))
        write_film(path)
        try_one(job_for(path, target, "film", "mov", ("video",)))
        write_sound(path)
        try_one(job_for(path, target, "sound", "wav", ("audio",)))
        path.write_text(json.dumps({"frame_rate": 16, "frames": [[0, 0.5, 0.25, 1]]}))
        try_one(job_for(path, target, "track", "json", ("speech",)))


def job_for(path: Path, target: Path, family: str, reader: str, want: tuple[str, ...]) -> Job:
    """A job with bounds that a small file of our own keeps."""
    return Job(
        source=str(path), target=str(target), family=family, reader=reader, want=want, seconds=60.0, memory=2**31,
        most_bytes=2**24, most_pixels=2**20, most_seconds=60.0, most_side=64,
    )  # fmt: skip


def try_one(job: Job) -> None:
    said = attempt(job)
    assert "plain" in said, (job, said)


def write_picture(path: Path, reader: str) -> None:
    """A picture with what makes Pillow import more: transparency, a profile, an orientation, words."""
    image = Image.fromarray(np.full((SIDE, SIDE, 4), 90, dtype=np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if reader in ("JPEG", "BMP"):
        image = image.convert("RGB")
    with path.open("wb") as file:
        image.save(file, format=reader, exif=exif, icc_profile=profile, comment=b"words")


def write_film(path: Path) -> None:
    """Eight frames of MPEG-4 in MP4."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(8))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for value in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), value * 30, dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", threads=1)))
        container.mux(stream.encode(None))


def write_sound(path: Path) -> None:
    """A hundredth of a second of silence."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(bytes(4 * 441))
