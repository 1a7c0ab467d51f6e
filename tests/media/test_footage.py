"""Films of every kind, written here the real way."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from kinora.core.clip import Clip
from kinora.core.errors import InputError, MediaError
from kinora.media import footage
from kinora.media.film import read_film, write_film
from kinora.media.footage import read_footage

RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)
MILLISECOND = Fraction(1, 1000)


def numbered(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Red, green and blue quarters; the fourth is grey and tells the frame: 20 times its number."""
    rgb_HW3 = np.empty((height, width, 3), dtype=np.uint8)
    rgb_HW3[: height // 2, : width // 2] = RED
    rgb_HW3[: height // 2, width // 2 :] = GREEN
    rgb_HW3[height // 2 :, : width // 2] = BLUE
    rgb_HW3[height // 2 :, width // 2 :] = 20 * index
    return rgb_HW3


def written(
    path: Path,
    *,
    frames: int = 8,
    rate: int = 16,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    prepare: Callable[[VideoStream], None] | None = None,
    matrix: str = "ITU709",
    swing: str = "MPEG",
    size_HW: tuple[int, int] = (48, 64),
) -> Path:
    """A film of numbered frames, at an even rate or at `times` in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        (stream.height, stream.width), stream.pix_fmt = size_HW, pixels
        if matrix == "ITU709":
            stream.codec_context.colorspace = 1
        if prepare:
            prepare(stream)
        if times:
            stream.codec_context.time_base = stream.time_base = MILLISECOND
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(index, *size_HW), format="rgb24")
            frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=swing)
            frame.pts = times[index] if times else index
            frame.time_base = MILLISECOND if times else Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(clip: Clip) -> list[int]:
    """Which of the numbered frames are shown."""
    _, height, width, _ = clip.frames_FHWC.shape
    return [round(int(value) / 20) for value in clip.frames_FHWC[:, 3 * height // 4, 3 * width // 4, 1]]


def quarters(rgb_HW3: np.ndarray) -> list[tuple[int, ...]]:
    """The four quarters' middles: top left, top right, bottom left, bottom right."""
    height, width, _ = rgb_HW3.shape
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    places += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(rgb_HW3[place].tolist()) for place in places]


def assert_colours(found: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= 4, f"{found} instead of {expected}"


def test_our_own_film_is_read_as_read_film_reads_it(tmp_path: Path) -> None:
    frames_FHWC = np.stack([numbered(index) for index in range(7)])
    write_film(tmp_path / "a.mp4", Clip(frames_FHWC=frames_FHWC, frame_rate=16.0))
    read = read_footage(tmp_path / "a.mp4")
    assert read.clip.frame_rate == 16.0
    assert read.name == str(tmp_path / "a.mp4")
    assert (read.clip.frames_FHWC == read_film(tmp_path / "a.mp4").frames_FHWC).all()


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mkv", "libx264", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.mov", "mjpeg", "yuvj420p"),
    ],
)
def test_constant_rates_come_as_they_are(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    path = written(tmp_path / name, codec=codec, pixels=pixels, swing="JPEG" if "j" in pixels else "MPEG")
    clip = read_footage(path).clip
    assert clip.frame_rate == pytest.approx(16.0, rel=1e-3)
    assert numbers(clip) == list(range(8))


def test_a_stream_without_times_is_read_in_order(tmp_path: Path) -> None:
    clip = read_footage(written(tmp_path / "a.h264")).clip
    assert numbers(clip) == list(range(8))


def test_jitter_is_no_variable_rate(tmp_path: Path) -> None:
    times = [0, 68, 120, 190, 255, 306, 381, 437]  # 62.5 ms apart, a few off
    clip = read_footage(written(tmp_path / "a.mp4", times=times)).clip
    assert numbers(clip) == list(range(8))
    assert clip.frame_rate == pytest.approx(16.0, rel=0.03)


TIMES = [0, 10, 20, 500, 510, 700, 800, 1200]


def held(times: Sequence[int], rate: float, count: int) -> list[int]:
    """The frame a player shows at every moment."""
    return [max(index for index, time in enumerate(times) if time <= 1000 * k / rate + 0.6) for k in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_is_sampled_by_time(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"a{suffix}", times=TIMES)
    clip = read_footage(path, frame_rate=10.0).clip
    assert clip.frame_rate == 10.0
    assert 12 <= len(clip.frames_FHWC) <= 13  # the last frame's length is the container's word
    assert numbers(clip) == held(TIMES, 10.0, len(clip.frames_FHWC))
    average = read_footage(path).clip
    assert len(average.frames_FHWC) == 8, "as many frames as there were, in the same time"
    assert numbers(average) == held(TIMES, average.frame_rate, 8)
    assert average.seconds == pytest.approx(1.25, abs=0.06)


def test_a_rate_that_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4")
    assert numbers(read_footage(path, frame_rate=8.0).clip) == [0, 2, 4, 6]
    assert numbers(read_footage(path, frame_rate=32.0).clip) == [k // 2 for k in range(16)]
    assert numbers(read_footage(path, frame_rate=24.0).clip) == [2 * k // 3 for k in range(12)]
    assert numbers(read_footage(written(tmp_path / "a.mkv", rate=30), frame_rate=60.0).clip) == [
        k // 2 for k in range(16)
    ]
    for rate in (0.0, -3.0, float("nan"), 1000.0):
        with pytest.raises(InputError, match="frame rate"):
            read_footage(path, frame_rate=rate)


@pytest.mark.parametrize(
    ("degrees", "order"), [(90, (1, 3, 0, 2)), (-90, (2, 0, 3, 1)), (180, (3, 2, 1, 0)), (0, (0, 1, 2, 3))]
)
def test_rotation_is_applied(tmp_path: Path, degrees: int, order: tuple[int, ...]) -> None:
    """Counterclockwise, as FFmpeg counts."""
    path = written(tmp_path / "a.mp4", prepare=lambda stream: stream.set_display_rotation(degrees))
    rgb_HW3 = read_footage(path).clip.frames_FHWC[4]
    assert rgb_HW3.shape == ((64, 48, 3) if degrees in (90, -90) else (48, 64, 3))
    colours = [RED, GREEN, BLUE, (80, 80, 80)]
    assert_colours(quarters(rgb_HW3), [colours[index] for index in order])


def test_a_telephone_held_upright(tmp_path: Path) -> None:
    """Its camera writes the matrix (0 1, -1 0) into the track's header (ISO 14496-12, 8.3.2): turn clockwise."""
    content = bytearray(written(tmp_path / "a.mp4").read_bytes())
    straight = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    place = content.index(straight, content.index(b"tkhd"))
    content[place : place + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    (tmp_path / "a.mp4").write_bytes(content)
    rgb_HW3 = read_footage(tmp_path / "a.mp4").clip.frames_FHWC[4]
    assert rgb_HW3.shape == (64, 48, 3)
    assert_colours(quarters(rgb_HW3), [BLUE, RED, (80, 80, 80), GREEN])


def test_a_mirrored_film_is_mirrored_back(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", prepare=lambda stream: stream.set_display_rotation(0, hflip=True))
    assert_colours(quarters(read_footage(path).clip.frames_FHWC[4]), [GREEN, RED, (80, 80, 80), BLUE])


@pytest.mark.parametrize(("shape", "size"), [(Fraction(4, 3), (48, 85)), (Fraction(3, 4), (64, 64))])
def test_pixels_become_square(tmp_path: Path, shape: Fraction, size: tuple[int, int]) -> None:
    def prepare(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = shape

    rgb_HW3 = read_footage(written(tmp_path / "a.mp4", prepare=prepare)).clip.frames_FHWC[4]
    assert rgb_HW3.shape == (*size, 3)
    assert_colours(quarters(rgb_HW3), [RED, GREEN, BLUE, (80, 80, 80)])


def test_pixels_become_square_before_the_turn(tmp_path: Path) -> None:
    def prepare(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        stream.set_display_rotation(-90)

    assert read_footage(written(tmp_path / "a.mp4", prepare=prepare)).clip.frames_FHWC.shape[1:] == (128, 48, 3)


COLOURS = {
    "BT.709": (1, 1, "ITU709", "MPEG", "yuv420p"),
    "BT.601": (6, 1, "ITU601", "MPEG", "yuv420p"),
    "full range": (1, 2, "ITU709", "JPEG", "yuv420p"),
    "full range by name": (5, 2, "ITU601", "JPEG", "yuvj420p"),
    "unsaid, small": (2, 0, "ITU601", "MPEG", "yuv420p"),
    "10 bits": (1, 1, "ITU709", "MPEG", "yuv420p10le"),
    "10 bits, BT.2020": (9, 1, "BT2020", "MPEG", "yuv420p10le"),
    "4:4:4": (1, 1, "ITU709", "MPEG", "yuv444p"),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_matrix_range_and_depth_are_honoured(tmp_path: Path, kind: str) -> None:
    space, swing, matrix, range_, pixels = COLOURS[kind]

    def prepare(stream: VideoStream) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = space, swing

    path = written(tmp_path / "a.mp4", prepare=prepare, matrix=matrix, swing=range_, pixels=pixels)
    assert_colours(quarters(read_footage(path).clip.frames_FHWC[4]), [RED, GREEN, BLUE, (80, 80, 80)])


def test_a_large_film_that_says_nothing_is_bt709(tmp_path: Path) -> None:
    def silent(stream: VideoStream) -> None:
        stream.codec_context.colorspace = 2

    path = written(tmp_path / "a.mp4", prepare=silent, frames=2, size_HW=(720, 64))
    assert_colours(quarters(read_footage(path).clip.frames_FHWC[0])[:3], [RED, GREEN, BLUE])


def test_odd_sizes_are_fine(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", pixels="yuv444p", size_HW=(47, 63))
    assert read_footage(path).clip.frames_FHWC.shape == (8, 47, 63, 3)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_the_remedy(tmp_path: Path, transfer: int, name: str) -> None:
    def prepare(stream: VideoStream) -> None:
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9

    path = written(tmp_path / "a.mp4", prepare=prepare, pixels="yuv420p10le", matrix="BT2020", frames=2)
    with pytest.raises(MediaError, match=rf"a\.mp4 is HDR video \({name}\).*Convert it to SDR"):
        read_footage(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    with pytest.raises(MediaError, match=r"a\.wav holds sound but no pictures"):
        read_footage(tmp_path / "a.wav")


def test_a_songs_cover_is_no_film(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        (cover.height, cover.width), cover.pix_fmt = (48, 64), "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24").reformat(format="yuvj420p")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16_000
        for stream, frame in ((sound, samples), (sound, None), (cover, None)):
            container.mux(stream.encode(frame))
    with pytest.raises(MediaError, match="sound but no pictures"):
        read_footage(tmp_path / "a.m4a")


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(MediaError, match=r"a\.mkv (holds no frames|cannot be read)"):
        read_footage(tmp_path / "a.mkv")


def test_a_film_cut_off_is_refused(tmp_path: Path) -> None:
    noise_FHWC = np.random.default_rng(3).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    write_film(tmp_path / "whole.mp4", Clip(frames_FHWC=noise_FHWC, frame_rate=16.0))
    content = (tmp_path / "whole.mp4").read_bytes()
    for share in (0.02, 0.3, 0.6, 0.95, 0.999):
        (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(MediaError, match=r"cut\.mp4"):
            read_footage(tmp_path / "cut.mp4")


def test_damage_is_refused_or_read_but_never_crashes(tmp_path: Path) -> None:
    noise_FHWC = np.random.default_rng(3).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    write_film(tmp_path / "whole.mp4", Clip(frames_FHWC=noise_FHWC, frame_rate=16.0))
    content = (tmp_path / "whole.mp4").read_bytes()
    dice, told = np.random.default_rng(5), []
    for _ in range(12):
        spoiled = bytearray(content)
        place = int(dice.integers(len(content) - 200))
        spoiled[place : place + 200] = dice.bytes(200)
        (tmp_path / "spoiled.mp4").write_bytes(spoiled)
        try:
            assert read_footage(tmp_path / "spoiled.mp4").clip.frames_FHWC.shape[0] == 9
        except MediaError as error:
            told.append(str(error))
    assert len(told) >= 3, "what the decoder notices is refused"
    assert all("spoiled.mp4" in words for words in told)


def test_what_is_no_film_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("a.mp4", "empty.mp4", "missing.mp4"):
        with pytest.raises(MediaError, match=name):
            read_footage(tmp_path / name)


def test_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", times=[0, 100, 700_000], frames=3)
    with pytest.raises(MediaError, match=r"lasts 700 s; at most 600 s"):
        read_footage(path)


def test_too_much_is_refused_with_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.mp4")
    monkeypatch.setattr(footage, "MOST_BYTES", 6 * 48 * 64 * 3)
    with pytest.raises(MediaError, match=r"8 frames of 64 x 48 at 16 a second.*lower the frame rate"):
        read_footage(path)
    assert len(read_footage(path, frame_rate=8.0).clip.frames_FHWC) == 4
