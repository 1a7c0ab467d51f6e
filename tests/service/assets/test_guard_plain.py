"""What strangers' files become: as their owners see them, and nothing beside it."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from kinora.core.materials import Mask
from kinora.media.footage import read_footage
from kinora.media.mask import read_mask
from kinora.media.still import read_still
from kinora.service.errors import Invalid
from kinora.service.guard import Guard, Limits, Plain

Made = tuple[Plain, Path]
Make = Callable[..., Made]


@pytest.fixture
def made(guard: Guard, tmp_path: Path) -> Make:
    """Make content plain: what is told of it, and the file."""

    def make(content: bytes, *want: str, limits: Limits | None = None) -> Made:
        (tmp_path / "sent").write_bytes(content)
        target = tmp_path / "plain"
        target.unlink(missing_ok=True)
        return (Guard(limits) if limits else guard).make_plain(tmp_path / "sent", target, want), target

    return make


def test_pictures_come_out_as_the_reader_of_stills_shows_them(hostile: ModuleType, made: Make, tmp_path: Path) -> None:
    for name, content in hostile.pictures().items():
        plain, path = made(content, "image")
        still = read_still(tmp_path / "sent")
        assert np.array_equal(still.rgb_HW3, read_still(path).rgb_HW3), name
        assert (plain.height, plain.width) == still.rgb_HW3.shape[:2]
        assert plain == Plain(kind="image", width=plain.width, height=plain.height, frames=1)


def test_a_plain_picture_holds_pixels_alone(made: Make) -> None:
    secret = b"a place, a name and a time"
    image = Image.fromarray(np.full((40, 30, 3), 77, dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    exif[0x0112] = 8
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sent = io.BytesIO()
    image.save(sent, "JPEG", exif=exif, comment=secret, icc_profile=profile)
    plain, path = made(sent.getvalue() + b"<script>alert(1)</script>" + secret, "image")
    kept = path.read_bytes()
    with Image.open(path) as shown:
        assert shown.info == {}
        assert shown.getexif() == {}
        assert (shown.size, shown.mode) == ((40, 30), "RGB")  # turned by its orientation
    assert secret not in kept
    assert b"script" not in kept
    assert (plain.width, plain.height) == (40, 30)


def test_a_mask_keeps_what_is_inside(made: Make) -> None:
    inside = np.zeros((32, 48), dtype=bool)
    inside[4:20, 8:40] = True
    opacity = np.zeros((32, 48, 4), dtype=np.uint8)
    opacity[..., 3] = inside * 255
    for pixels in (opacity, np.where(inside, 255, 0).astype(np.uint8)):
        sent = io.BytesIO()
        Image.fromarray(pixels).save(sent, "PNG")
        _, path = made(sent.getvalue(), "mask")
        mask = read_mask(path, (32, 48))
        assert mask.digest == Mask.of(inside).digest
        with Image.open(path) as shown:
            assert shown.mode == "L"
    sent = io.BytesIO()
    Image.fromarray(opacity).save(sent, "PNG")
    white = made(sent.getvalue(), "image")[1]
    assert read_still(white).rgb_HW3[0, 0].tolist() == [255, 255, 255]


def header(width: int, height: int) -> bytes:
    """A PNG of this size as far as its header goes."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_large_pictures_are_refused_by_their_header(made: Make, hostile: ModuleType) -> None:
    with pytest.raises(Invalid, match=r"^The picture is 14000 x 14000, 196 megapixels; at most 40 are taken\."):
        made(hostile.PICTURE_BOMBS["png of 196 megapixels"](), "image")
    with pytest.raises(Invalid, match=r"^The picture is 60000 x 60000, 3600 megapixels; at most 40 are taken\."):
        made(header(60_000, 60_000), "image")
    with pytest.raises(Invalid, match=r"at most 0.001 are taken"):
        made(hostile.pictures()["png rgb"], "image", limits=Limits(image_pixels=1000))
    with pytest.raises(Invalid, match=r"The file has 0 MB; at most 0.00\d* are taken"):
        made(hostile.pictures()["png rgb"], "image", limits=Limits(upload_bytes=9000))
    small = io.BytesIO()
    Image.new("RGB", (200, 15)).save(small, "PNG")
    with pytest.raises(Invalid, match=r"The picture is 200 x 15 pixels; each side needs at least 16"):
        made(small.getvalue(), "image")


def test_films_come_out_even_upright_and_silent(hostile: ModuleType, made: Make, tmp_path: Path) -> None:
    for name, content in hostile.films().items():
        if name in ("m4a", "wav", "mp3"):
            continue
        plain, path = made(content, "video")
        assert (plain.kind, plain.width, plain.height, plain.frames) == ("video", 64, 48, 8), name
        assert plain.frame_rate == pytest.approx(8.0)
        (tmp_path / "sent.film").write_bytes(content)
        before, after = read_footage(tmp_path / "sent.film").clip, read_footage(path).clip
        assert np.abs(before.frames_FHWC.astype(int) - after.frames_FHWC.astype(int)).mean() < 4, name
        with av.open(str(path)) as container:
            assert [stream.type for stream in container.streams] == ["video"]
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        kept = path.read_bytes()
        assert kept.index(b"moov") < kept.index(b"mdat")  # plays while it loads


def test_a_phones_film_is_turned_and_odd_sides_are_cut(hostile: ModuleType, made: Make) -> None:
    content = hostile.films()["mp4 mpeg4"]
    matrix = content.index(b"tkhd") + 4 + 40
    turn = b"".join(int(v).to_bytes(4, "big", signed=True) for v in (0, 65536, 0, -65536, 0, 0, 0, 0, 2**30))
    plain, path = made(content[:matrix] + turn + content[matrix + 36 :], "video")
    assert (plain.width, plain.height) == (48, 64)
    first = read_footage(path).clip.frames_FHWC[4]
    assert first[:20].mean(axis=(0, 1))[0] > 120  # what was at the left is at the top
    assert first[-20:].mean(axis=(0, 1))[0] < 120


def test_large_and_fast_films_are_made_smaller(hostile: ModuleType, made: Make) -> None:
    plain, _ = made(hostile.films()["mp4 h264"], "video", limits=Limits(film_side=34))
    assert (plain.width, plain.height, plain.frames) == (34, 26, 8)
    sent = hostile.film("mp4", "mpeg4", frames=100, rate=100)
    plain, path = made(sent, "video")
    assert (plain.frames, plain.frame_rate) == (60, 60.0)
    assert read_footage(path).clip.shape.frames == 60


def test_films_beyond_their_bounds_are_refused(hostile: ModuleType, made: Make) -> None:
    with pytest.raises(Invalid, match=r"The film lasts 1 s; at most 0.5 s are taken"):
        made(hostile.films()["mp4 h264"], "video", limits=Limits(film_seconds=0.5))
    with pytest.raises(Invalid, match=r"The film is 64 x 48; a side has at least 16 pixels, and a frame at most 0.003"):
        made(hostile.films()["mp4 h264"], "video", limits=Limits(film_pixels=3000))
    with pytest.raises(Invalid, match=r"holds sound but no moving pictures; bring a film"):
        made(hostile.films()["m4a"], "video")
    with pytest.raises(Invalid, match=r"takes too long to read"):
        made(hostile.film("mp4", "mpeg4", frames=1000, rate=100), "video", limits=Limits(film_patience=0.1))


def test_sound_becomes_one_channel_of_16_khz(hostile: ModuleType, made: Make) -> None:
    for name in ("m4a", "wav", "mp3"):
        plain, path = made(hostile.films()[name], "audio")
        assert (plain.kind, plain.media_type) == ("audio", "audio/wav")
        with wave.open(str(path)) as heard:
            assert (heard.getnchannels(), heard.getsampwidth(), heard.getframerate()) == (1, 2, 16_000)
            samples = np.frombuffer(heard.readframes(heard.getnframes()), dtype=np.int16)
        assert len(samples) == plain.frames
        assert len(samples) == pytest.approx(8_000, abs=1700)  # codecs put silence around it
        spectrum = np.abs(np.fft.rfft(samples[1500:6500]))
        loudest = spectrum.argmax() * 16_000 / 5000
        assert loudest == pytest.approx(48_000 / 20 / (2 * np.pi), abs=10), name  # the tone that was played
    with pytest.raises(Invalid, match=r"lasts longer than 0.25 s"):
        made(hostile.films()["wav"], "audio", limits=Limits(film_seconds=0.05))


def test_a_film_with_sound_is_wanted_as_either(hostile: ModuleType, made: Make) -> None:
    assert made(hostile.films()["mp4 h264"], "video", "audio")[0].kind == "video"
    assert made(hostile.films()["mp4 h264"], "audio")[0].kind == "audio"
    assert made(hostile.films()["m4a"], "video", "audio")[0].kind == "audio"
    with pytest.raises(Invalid, match=r"holds no sound"):
        made(hostile.films()["mp4 mpeg4"], "audio")


def test_speech_tracks_are_checked_and_written_anew(made: Make) -> None:
    track = {"frame_rate": 25, "frames": [[0, 0.5, 0.25, 1], {"openness": 1, "width": 0, "rounding": 0, "teeth": 0}]}
    plain, path = made(json.dumps(track).encode(), "speech")
    assert (plain.kind, plain.frames, plain.frame_rate, plain.media_type) == ("file", 2, 25.0, "application/json")
    assert json.loads(path.read_text()) == {"frame_rate": 25.0, "frames": [[0, 0.5, 0.25, 1], [1, 0, 0, 0]]}
    for sent, said in (
        (b"[[0, 0, 0, 2]]", r"Frame 0 of the speech track has teeth=2"),
        (b'{"frames": []}', r"no speech track"),
        (b"[" * 100_000, r"it is no JSON"),
        (b'{"frames": [[0,0,0,NaN]]}', r"no speech track"),
        (b'{"frames": [[0,0,0,0]], "html": "<script>"}', r"no speech track"),
        (b'{"\xff', r"it is no JSON"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=said):
            made(sent, "speech")
