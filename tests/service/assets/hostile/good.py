"""Good pictures and films, small, of each kind that is taken."""

from __future__ import annotations

import functools
import io
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

__all__ = ["film", "films", "pictures", "saved"]

SEED = 20261123


@functools.cache
def pictures() -> dict[str, bytes]:
    """Small good pictures, by kind and mode."""
    rng = np.random.default_rng(SEED)
    rgba = Image.fromarray(rng.integers(0, 255, (24, 40, 4), dtype=np.uint8)).resize((80, 48))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [rgb.rotate(30 * turn).convert("P") for turn in range(3)]
    several = {"save_all": True, "append_images": frames[1:]}
    return {
        "png rgb": saved(rgb, "PNG"), "png rgba": saved(rgba, "PNG"), "png palette": saved(frames[0], "PNG"),
        "png deep": saved(deep, "PNG"), "png 1 bit": saved(grey.convert("1"), "PNG"),
        "apng": saved(frames[0], "PNG", **several),
        "jpeg": saved(rgb, "JPEG", exif=exif), "jpeg progressive": saved(rgb, "JPEG", progressive=True),
        "jpeg cmyk": saved(rgb.convert("CMYK"), "JPEG"), "jpeg grey": saved(grey, "JPEG"),
        "webp": saved(rgb, "WEBP"), "webp lossless": saved(rgba, "WEBP", lossless=True),
        "webp animated": saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "gif": saved(frames[0], "GIF"), "gif animated": saved(frames[0], "GIF", **several, loop=0),
        "bmp": saved(rgb, "BMP"), "bmp palette": saved(frames[0], "BMP"),
        "tiff": saved(rgb, "TIFF"), "tiff lzw": saved(rgba, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": saved(rgb, "TIFF", compression="jpeg"), "tiff big": saved(rgb, "TIFF", big_tiff=True),
        "tiff deflate": saved(deep, "TIFF", compression="tiff_deflate"),
        "tiff fax": saved(grey.convert("1"), "TIFF", compression="group4"),
    }  # fmt: skip


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


@functools.cache
def films() -> dict[str, bytes]:
    """Good films of a second, by container and codec, some with sound, and sound alone."""
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    return {
        "mp4 h264": film("mp4", "libx264", "aac"),
        "mp4 mpeg4": film("mp4", "mpeg4"),
        "mp4 fragments": film("mp4", "libx264", options=fragments),
        "mov mjpeg": film("mov", "mjpeg", "pcm_s16le"),
        "webm vp9": film("webm", "libvpx-vp9", "libopus"),
        "webm vp8": film("webm", "libvpx"),
        "mkv h264": film("matroska", "libx264", "aac"),
        "avi mpeg4": film("avi", "mpeg4", "pcm_s16le"),
        "m4a": film("mp4", "", "aac"),
        "wav": film("wav", "", "pcm_s16le"),
        "mp3": film("mp3", "", "libmp3lame"),
    }


def film(
    kind: str, video: str, audio: str = "", *, options: dict[str, str] | None = None, frames: int = 8, rate: int = 8
) -> bytes:
    """A film of 64 x 48, every frame another."""
    with tempfile.NamedTemporaryFile(suffix=".film") as file:
        with av.open(file.name, "w", format=kind, options=options or {}) as container:
            if video:
                pictured = container.add_stream(video, rate=Fraction(rate))
                pictured.width, pictured.height = 64, 48
                pictured.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
                pictured.codec_context.thread_count = 1
            if audio:
                heard = container.add_stream(audio, rate=48_000)
                heard.layout = "mono"
            for index in range(frames if video else 0):
                pixels = np.full((48, 64, 3), 20 * index % 256, dtype=np.uint8)
                pixels[:, : 6 * index] = (200, 40, 90)
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    format=pictured.pix_fmt, threads=1
                )
                container.mux(pictured.encode(picture))
            if video:
                container.mux(pictured.encode(None))
            if audio:
                wave = (9_000 * np.sin(np.arange(24_000) / 20)).astype(np.int16)
                sound = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
                sound.rate = 48_000
                container.mux(heard.encode(sound))
                container.mux(heard.encode(None))
        return Path(file.name).read_bytes()
