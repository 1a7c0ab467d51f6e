"""In the child: any film to H.264 in MP4, and any sound to WAV. One forced reader, and decoders from a short list."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from kinora.media.film import film_stream
from kinora.media.footage import TICK, Timing, matrix_of, moments, refuse_hdr, turned
from kinora.media.h264 import check_count, encoder, opened_film, rate_of
from kinora.media.still import LEAST_SIDE
from kinora.service.guard.job import LABEL, Job, Plain, Unfit

__all__ = ["plain_film", "plain_sound"]

FILM_CODECS = frozenset({
    "h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "msmpeg4", "mjpeg", "prores",
    "mpeg2video", "mpeg1video", "h263", "png", "rawvideo",
})  # fmt: skip
SOUND_CODECS = frozenset({
    "aac", "mp3", "mp3float", "alac", "opus", "libopus", "vorbis", "flac", "ac3", "pcm_s16le", "pcm_s16be", "pcm_s24le",
    "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw", "adpcm_ima_wav", "adpcm_ms",
})  # fmt: skip
FASTEST_RATE, SLOWEST_RATE = 60.0, 1.0
"""Frames a second of a plain film; a faster one is thinned, a slower one repeats its frames."""
PRESET, THREADS = "veryfast", 2
"""x264's; the plain film is read by us, at the same crf as our own films. The threads are fixed since its bytes depend
on them.
"""
SOUND_RATE = 16_000
SOUND_FACTOR = 5

Pixels = npt.NDArray[np.uint8]


def plain_film(job: Job) -> Plain:
    """Write the moving pictures at an even rate: upright, in square pixels, without sound, data or chapters.

    A file without moving pictures is written as sound where that is wanted.
    """
    with _opened(job) as container:
        if "video" not in job.want or _silent_pictures(container):
            if "audio" in job.want:
                return _sound(container, job)
            raise Unfit("The file holds sound but no moving pictures; bring a film.")
        stream = _checked(container, job)
        timing = Timing.of(moments(container, LABEL))
    if not 0 < timing.seconds <= job.most_seconds:
        raise Unfit(
            f"The film lasts {timing.seconds:.4g} s; at most {job.most_seconds:g} s are taken. Cut out the part you"
            " need first."
        )
    rate = float(rate_of(min(max(timing.rate, SLOWEST_RATE), FASTEST_RATE)))
    with _opened(job) as container:
        stream = _checked(container, job)
        return _written(job, _evenly(_shown(container, stream, job), timing, rate), rate)


def plain_sound(job: Job) -> Plain:
    """Write the sound as 16 bits, one channel, 16 kHz."""
    with _opened(job) as container:
        return _sound(container, job)


def _opened(job: Job) -> InputContainer:
    options = {
        # Nothing beside this file: no second file or address, no reader or decoder found by guessing.
        "protocol_whitelist": "file,pipe",
        "format_whitelist": FORMATS[job.reader],
        "codec_whitelist": ",".join(sorted(FILM_CODECS | SOUND_CODECS)),
        "max_streams": "100",
    }
    # Titles in old encodings are not read, so they need not be right.
    return av.open(job.source, format=job.reader, options=options, metadata_errors="replace")


FORMATS = {
    "mov": "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska": "matroska,webm",
    "avi": "avi",
    "wav": "wav",
    "mp3": "mp3",
}


def _silent_pictures(container: InputContainer) -> bool:
    """Whether there is sound and nothing that moves (a cover picture does not)."""
    moving = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    return not moving and bool(container.streams.audio)


def _checked(container: InputContainer, job: Job) -> VideoStream:
    """The film's stream, its header within bounds."""
    stream = film_stream(container, LABEL)
    context = stream.codec_context
    if context is None or context.name not in FILM_CODECS:
        name = "unknown" if context is None else context.name
        raise Unfit(f"The film is encoded as {name}, which is not taken; save it as H.264 in MP4.")
    stream.thread_type = "NONE"
    stream.thread_count = 1
    if min(stream.width, stream.height) < LEAST_SIDE or stream.width * stream.height > job.most_pixels:
        raise Unfit(
            f"The film is {stream.width} x {stream.height}; a side has at least {LEAST_SIDE} pixels, and a frame at"
            f" most {job.most_pixels / 1e6:g} megapixels."
        )
    refuse_hdr(context.color_trc, LABEL)
    seconds = (container.duration or 0) / av.time_base
    if seconds > job.most_seconds:
        raise Unfit(
            f"The film lasts {seconds:.4g} s; at most {job.most_seconds:g} s are taken. Cut out the part you need"
            " first."
        )
    return stream


def _shown(container: InputContainer, stream: VideoStream, job: Job) -> Iterator[tuple[Pixels, float | None]]:
    """Frames as a player shows them, (H, W, 3), not larger than asked, with their times in seconds."""
    size: tuple[int, int] | None = None
    for frame in container.decode(stream):
        refuse_hdr(frame.color_trc, LABEL)
        if frame.is_corrupt:
            raise Unfit("The film is damaged: a frame cannot be decoded. Convert or copy it again.")
        if frame.width * frame.height > job.most_pixels:
            raise Unfit(f"A frame of the film is {frame.width} x {frame.height}, which is more than is taken.")
        size = size or _fitted(frame, stream.sample_aspect_ratio, job.most_side)
        yield turned(_in_rgb(frame, size), frame), frame.time if frame.pts is not None else None


def _fitted(frame: VideoFrame, pixel_shape: Fraction | None, most: int) -> tuple[int, int]:
    """Width and height in square pixels, the longer side at most `most`."""
    wide = float(pixel_shape) if pixel_shape is not None and pixel_shape > 0 else 1.0
    width, height = frame.width * max(wide, 1.0), frame.height / min(wide, 1.0)
    share = min(most / max(width, height), 1.0)
    width, height = round(width * share), round(height * share)
    if min(width, height) < LEAST_SIDE:
        raise Unfit(f"The film comes out as {width} x {height}; a side has at least {LEAST_SIDE} pixels.")
    return width, height


def _in_rgb(frame: VideoFrame, size: tuple[int, int]) -> Pixels:
    """uint8 RGB of this width and height, by the frame's own matrix and range."""
    width, height = size
    if frame.format.is_rgb or frame.format.name == "pal8":
        shown = frame.reformat(width=width, height=height, format="rgb24", threads=1)
        return shown.to_ndarray().astype(np.uint8, copy=False)
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    shown = frame.reformat(
        width=width, height=height, format="rgb24", src_colorspace=matrix_of(frame),
        src_color_range="JPEG" if full else "MPEG", dst_color_range="JPEG", threads=1,
    )  # fmt: skip
    return shown.to_ndarray().astype(np.uint8, copy=False)


def _evenly(shown: Iterator[tuple[Pixels, float | None]], timing: Timing, rate: float) -> Iterator[Pixels]:
    """At every moment of the new rate the latest frame that has begun, even sides."""
    count = max(round(timing.seconds * rate), 1)
    filled = 0
    latest: Pixels | None = None
    for index, (rgb_HW3, stamp) in enumerate(shown):
        begins = index / timing.rate if stamp is None else timing.at(stamp)
        while latest is not None and filled < count and filled / rate < begins - TICK:
            yield latest
            filled += 1
        if latest is not None and filled >= count:
            return
        latest = rgb_HW3[: rgb_HW3.shape[0] // 2 * 2, : rgb_HW3.shape[1] // 2 * 2]
    if latest is None:
        raise Unfit("The film holds no frames that can be decoded.")
    for _ in range(filled, count):
        yield latest


def _written(job: Job, frames: Iterator[Pixels], rate: float) -> Plain:
    path = Path(job.target)
    first = next(frames)
    height, width, _ = first.shape
    count = 0
    with opened_film(path, {}) as container:
        stream = encoder(container, (height, width), rate)
        stream.options = {**stream.options, "preset": PRESET}
        stream.codec_context.thread_count = THREADS
        for rgb_HW3 in _with(first, frames):
            if rgb_HW3.shape != first.shape:
                raise Unfit("The film changes its orientation half-way. Convert it first.")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HW3), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", threads=1)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    check_count(path, count, LABEL)
    return Plain(kind="video", width=width, height=height, frames=count, frame_rate=rate)


def _with(first: Pixels, others: Iterator[Pixels]) -> Iterator[Pixels]:
    yield first
    yield from others


def _sound(container: InputContainer, job: Job) -> Plain:
    if not container.streams.audio:
        raise Unfit("The file holds no sound; bring one that does.")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or context.name not in SOUND_CODECS:
        raise Unfit("The sound is encoded in a way that is not taken; save it as WAV, MP3 or M4A.")
    context.thread_count = 1
    most = round(job.most_seconds * SOUND_FACTOR * SOUND_RATE)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SOUND_RATE)
    count = 0
    with wave.open(job.target, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SOUND_RATE)
        for frame in _heard(container, resampler):
            samples = frame.to_ndarray().astype("<i2", copy=False).reshape(-1)
            count += len(samples)
            if count > most:
                raise Unfit(f"The sound lasts longer than {most / SOUND_RATE:g} s. Cut out the part you need first.")
            out.writeframes(samples.tobytes())
    if not count:
        raise Unfit("The file holds no sound that can be decoded.")
    return Plain(kind="audio", frames=count, frame_rate=0.0)


def _heard(container: InputContainer, resampler: av.AudioResampler) -> Iterator[av.AudioFrame]:
    for frame in container.decode(container.streams.audio[0]):
        frame.pts = None  # its times may jump; what is heard follows on
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
