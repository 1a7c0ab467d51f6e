"""Films that people bring, as a player would show them: at an even rate, upright, in square pixels, in sRGB's colours.

Axes: F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, ColorTrc
from av.video.stream import VideoStream

from kinora.core.clip import Clip
from kinora.core.errors import InputError, MediaError
from kinora.core.materials import Footage
from kinora.media.film import film_stream
from kinora.media.h264 import plain

__all__ = ["MOST_BYTES", "MOST_SECONDS", "read_footage", "sound_and_rate"]

MOST_SECONDS = 600.0
MOST_BYTES = 2 * 2**30
"""Of frames in memory: 10 minutes of 16 frames a second at 480 x 312, or 20 s at 1280 x 720 and 30 a second."""
HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
HIDDEN_FRAMES = ("vp8",)
"""Codecs with packets that show nothing: only decoding tells how many frames there are."""
TICK = 0.0006
"""Seconds by which a container's rounding (Matroska counts milliseconds) may make a frame late."""

Pixels = npt.NDArray[np.uint8]
Times = npt.NDArray[np.float64]


def sound_and_rate(path: Path) -> tuple[bool, float]:
    """Whether a readable film has sound, which frames do not carry, and its own average frame rate."""
    with av.open(str(path)) as container:
        return bool(container.streams.audio), float(container.streams.video[0].average_rate or 0)


def read_footage(path: Path, frame_rate: float | None = None) -> Footage:
    """A film of any kind FFmpeg reads, as uint8 RGB frames at `frame_rate`, or at its own rate.

    Clips of constant rate come as they are. Others, and all when a `frame_rate` is given, are sampled: each new frame
    is the one a player would be showing at that moment. Rotation, pixel shape, colour matrix and range are honoured;
    10 bits become 8. Raises `MediaError` for a file without a film, damaged, HDR, longer than `MOST_SECONDS` or larger
    than `MOST_BYTES`; `InputError` for a frame rate that is none.
    """
    if frame_rate is not None and not 0 < frame_rate <= 240:
        raise InputError(f"A frame rate of {frame_rate:g} cannot be; choose one above 0, up to 240.")
    try:
        with av.open(str(path)) as container:
            check_kind(container, path)
            timing = Timing.of(moments(container, path))
        with av.open(str(path)) as container:
            stream = film_stream(container, path)
            frames_FHWC = sampled(container, stream, timing, frame_rate or timing.rate, path)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as a film ({plain(error)}).") from error
    return Footage.of(Clip(frames_FHWC=frames_FHWC, frame_rate=frame_rate or timing.rate), name=str(path))


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a film's frames are shown."""

    start: float
    """Seconds at which the first frame is shown."""
    seconds: float
    """From the first frame's beginning to the last one's end."""
    rate: float
    """Frames in a second: the constant rate, else the average."""
    constant: bool

    @classmethod
    def of(cls, shown: tuple[Times, float, float | None]) -> Timing:
        """From all times, the last frame's seconds and the rate that the file states.

        Constant is a rate at which no frame is half a frame away from where it belongs: containers round, phones
        jitter, and sampling would only double some frames and drop others.
        """
        times_F, last, stated = shown
        count = len(times_F)
        step = (times_F[-1] - times_F[0]) / (count - 1) if count > 1 else 0.0
        if step <= 0:  # one frame
            rate = stated or (1 / last if last > 0 else 1.0)
            return cls(start=float(times_F[0]), seconds=1 / rate, rate=rate, constant=True)
        for rate in (stated or 0.0, float(1 / step)):
            if np.abs((times_F - times_F[0]) * rate - np.arange(count)).max() < 0.5:
                return cls(start=float(times_F[0]), seconds=count / rate, rate=rate, constant=True)
        seconds = float(times_F[-1] - times_F[0]) + (last if last > 0 else step)
        return cls(start=float(times_F[0]), seconds=seconds, rate=count / seconds, constant=False)

    def at(self, time: float) -> float:
        """Seconds from the film's beginning at which a frame stamped `time` is shown."""
        since = time - self.start
        return round(since * self.rate) / self.rate if self.constant else since


def check_kind(container: InputContainer, path: Path) -> None:
    """Raise `MediaError` for what is refused unread: HDR, and films far too long."""
    stream = film_stream(container, path)
    refuse_hdr(stream.codec_context.color_trc, path)
    if container.duration is not None:
        check_length(container.duration / av.time_base, path)


def refuse_hdr(transfer: int, path: Path) -> None:
    if transfer in HDR:
        raise MediaError(
            f"{path} is HDR video ({HDR[ColorTrc(transfer)]}), whose brightness has no single right place in an"
            " ordinary picture. Convert it to SDR (BT.709) first, in the phone's share dialogue or an editor, where"
            " you can see the result."
        )


def check_length(seconds: float, path: Path) -> None:
    if seconds > MOST_SECONDS:
        raise MediaError(
            f"{path} lasts {seconds:.0f} s; at most {MOST_SECONDS:.0f} s are read. Cut out the part you need first."
        )


def moments(container: InputContainer, path: Path) -> tuple[Times, float, float | None]:
    """Every frame's time in order, the last one's seconds, and the rate that the file states, without decoding."""
    stream = film_stream(container, path)
    base = stream.time_base or Fraction(1, 1000)
    stated = float(stream.average_rate) if stream.average_rate else None
    # Only numbers are kept: the packets together are the whole file.
    packets = [(p.pts, p.duration, p.is_discard, p.is_corrupt) for p in container.demux(stream) if p.size]
    if not packets:
        raise MediaError(f"{path} holds no frames.")
    whole = sum(not corrupt for *_, corrupt in packets)
    if whole < stream.frames and "mp4" in container.format.name:  # only its index is sure to count right
        raise MediaError(f"{path} is damaged: {whole} of its {stream.frames} frames are whole. Copy it again.")
    stamps = sorted((pts, length or 0) for pts, length, discarded, _ in packets if pts is not None and not discarded)
    if not stamps:  # raw streams keep no times
        return np.arange(len(packets)) / (stated or 25.0), 0.0, stated or 25.0
    last = float(stamps[-1][1] * base)
    if stream.codec_context.name in HIDDEN_FRAMES:
        container.seek(0)
        stamps = sorted((frame.pts, 0) for frame in container.decode(stream) if frame.pts is not None)
    return np.array([pts for pts, _ in stamps]) * float(base), last, stated


def sampled(container: InputContainer, stream: VideoStream, timing: Timing, rate: float, path: Path) -> Pixels:
    """Frames (F, H, W, 3) at `rate`: at every moment the latest frame that has begun."""
    check_length(timing.seconds, path)
    stream.thread_type = "AUTO"
    count = max(round(timing.seconds * rate), 1)
    frames_FHWC: Pixels | None = None
    filled, latest = 0, None
    for index, (rgb_HW3, stamp) in enumerate(shown(container, stream, path)):
        if frames_FHWC is None:
            check_size(count, rgb_HW3.shape, rate, path)
            frames_FHWC = np.empty((count, *rgb_HW3.shape), dtype=np.uint8)
        begins = index / timing.rate if stamp is None else timing.at(stamp)
        while latest is not None and filled < count and filled / rate < begins - TICK:
            frames_FHWC[filled] = latest
            filled += 1
        latest = rgb_HW3
    if frames_FHWC is None or latest is None:
        raise MediaError(f"{path} holds no frames that can be decoded.")
    frames_FHWC[filled:] = latest
    return frames_FHWC


def check_size(count: int, shape_HW3: tuple[int, ...], rate: float, path: Path) -> None:
    height, width, _ = shape_HW3
    size = count * height * width * 3
    if size > MOST_BYTES:
        raise MediaError(
            f"{path} unpacks to {size / 2**30:.1f} GiB ({count} frames of {width} x {height} at {rate:g} a second); at"
            f" most {MOST_BYTES / 2**30:g} GiB are read. Cut it, make it smaller, or lower the frame rate."
        )


def shown(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[tuple[Pixels, float | None]]:
    """The frames as a player shows them, (H, W, 3), with their times in seconds."""
    for frame in container.decode(stream):
        refuse_hdr(frame.color_trc, path)
        if frame.is_corrupt:
            at = f" at {frame.time:.1f} s" if frame.pts is not None else ""
            raise MediaError(f"{path} is damaged{at}: a frame cannot be decoded. Convert or copy it again.")
        rgb_HW3 = turned(in_rgb(frame, stream.sample_aspect_ratio), frame)
        yield rgb_HW3, frame.time if frame.pts is not None else None


def in_rgb(frame: VideoFrame, pixel_shape: Fraction | None) -> Pixels:
    """uint8 RGB in square pixels, by the frame's own matrix and range."""
    width, height = frame.width, frame.height
    if pixel_shape is not None and pixel_shape > 0:
        # The side that must grow grows, so that nothing is lost.
        wide = float(pixel_shape)
        width, height = round(width * max(wide, 1.0)), round(height / min(wide, 1.0))
    if frame.format.is_rgb or frame.format.name == "pal8":
        shown_frame = frame.reformat(width=width, height=height, format="rgb24")
    else:
        full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
        shown_frame = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=matrix_of(frame),
            src_color_range="JPEG" if full else "MPEG",
            dst_color_range="JPEG",
        )
    return shown_frame.to_ndarray().astype(np.uint8, copy=False)


def matrix_of(frame: VideoFrame) -> int:
    """The frame's colour matrix; where it states none, players guess by size: BT.709 from 720 lines on."""
    stated = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601}
    stated |= {7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}
    high = frame.width >= 1280 or frame.height > 576
    return int(stated.get(int(frame.colorspace), Colorspace.ITU709 if high else Colorspace.ITU601))


def turned(rgb_HW3: Pixels, frame: VideoFrame) -> Pixels:
    """Upright, by the display matrix that phones write: 9 numbers, of which the first two rows' a b, c d turn.

    A place (x, y) is shown at (a x + c y, b x + d y) (FFmpeg, libavutil/display.h). Quarter turns and mirrors are
    followed; another angle goes to the nearest.
    """
    sides = cast("SideDataContainer", frame.side_data)
    if SideData.DISPLAYMATRIX not in sides:
        return rgb_HW3
    a, b, _, c, d = np.frombuffer(bytes(sides[SideData.DISPLAYMATRIX]), dtype=np.int32)[:5].astype(int)
    across, down = (a, d) if abs(a) >= abs(b) else (c, b)
    if abs(a) < abs(b):
        rgb_HW3 = rgb_HW3.transpose(1, 0, 2)
    if across < 0:
        rgb_HW3 = rgb_HW3[:, ::-1]
    if down < 0:
        rgb_HW3 = rgb_HW3[::-1]
    return np.ascontiguousarray(rgb_HW3)
