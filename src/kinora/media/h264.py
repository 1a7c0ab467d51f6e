"""H.264 in MP4: frames encoded, and finished files joined without encoding anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from kinora.core.errors import MediaError, OutputError
from kinora.media.recipe import Recipe

__all__ = ["ENCODER", "check_even", "count_frames", "encode", "film_notes", "join", "plain", "renoted", "size_of"]

CRF = 17
"""x264's constant rate factor: 17 is held to be visually lossless; small clips stay under a few hundred kB."""
THREADS = 4
"""Fixed, because x264's bytes depend on their number, and a film is finished on whatever machine has it then."""
REORDER = 2
"""Frames by which x264's medium preset decodes ahead of showing: its pyramid of B frames is two deep."""
ENCODER = f"libx264 of libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}, medium, crf {CRF}"
"""What decides the bytes besides the frames."""
PLAIN_NOTES = frozenset({"comment", "title"})
"""Notes that MP4 has boxes of their own for; any other is written under its name, and these with it."""
BRANDS = frozenset({"major_brand", "minor_version", "compatible_brands"})
"""What FFmpeg reports among the notes of a file, and is none."""


def film_notes(recipe: Recipe | None, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What a film says about itself: players show the title; the comment is for `read_film_recipe`; and `more`."""
    own = {} if recipe is None else {"comment": recipe.to_json(), "title": recipe.request.prompt}
    return {**own, **more}


def encode(
    path: Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    size_HW: tuple[int, int],
    *,
    frame_rate: float,
    notes: Mapping[str, str],
    name: Path,
) -> int:
    """Write frames (H, W, 3) of even sizes to `path` as they come, check that all are there (H.264 high, yuv420p,
    BT.709, index in front), and return their number.

    Messages call the file `name`. Raises `MediaError` for odd sizes and what FFmpeg refuses, `OutputError` when frames
    are missing, `OSError` for the file system's troubles, and whatever `frames` raises.
    """
    check_even(size_HW)
    count = 0
    reformatter = VideoReformatter()  # one for all frames: making it takes longer than its work on a small frame
    try:
        with opened_film(path, notes) as container:
            stream = encoder(container, size_HW, frame_rate)
            for rgb_HW3 in frames:
                container.mux(stream.encode(as_yuv(rgb_HW3, reformatter)))
                count += 1
            container.mux(stream.encode(None))
        check_count(path, count, name)
    except av.FFmpegError as error:
        raise as_output_error(error, name) from error
    return count


def join(path: Path, parts: Sequence[Path], *, frame_rate: float, notes: Mapping[str, str], name: Path) -> None:
    """Write the parts, each from `encode` at this rate and one size, one after the other, packets untouched.

    Raises as `encode` does; `MediaError` when a part's H.264 parameters differ from the first's.
    """
    try:
        with opened_film(path, notes) as container, av.open(str(parts[0])) as first:
            stream = container.add_stream_from_template(first.streams.video[0])
            stream.time_base = 1 / rate_of(frame_rate)
            frames = 0
            for part in parts:
                for packet in moved_packets(part, first.streams.video[0], frames, frame_rate):
                    packet.stream = stream
                    container.mux(packet)
                frames += count_frames(part)
        check_count(path, frames, name)
    except av.FFmpegError as error:
        raise as_output_error(error, name) from error


def renoted(source: Path, path: Path, more: Mapping[str, str]) -> None:
    """Write the film `source`, pictures and sound untouched, to `path` with more notes beside its own.

    Raises `MediaError` when `source` is no film or a damaged one, `OutputError` when frames are missing afterwards,
    `OSError` for the file system's troubles.
    """
    try:
        with av.open(str(source)) as old:
            frames = old.streams.video[0].frames if old.streams.video else 0
            if not frames:
                raise MediaError(f"{source} holds no frames.")
            notes = {key: value for key, value in old.metadata.items() if key not in BRANDS}
            with opened_film(path, {**notes, **more}) as new:
                streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
                for packet in old.demux():
                    if packet.dts is not None:  # FFmpeg ends each stream with an empty one
                        packet.stream = streams[packet.stream.index]
                        new.mux(packet)
        check_count(path, frames, source)
    except av.FFmpegError as error:
        raise as_output_error(error, source) from error


def moved_packets(part: Path, like: VideoStream, frames: int, frame_rate: float) -> Iterator[Packet[VideoStream]]:
    """A part's packets, `frames` frames later, counted in frames.

    Decoding times are counted anew: a part of one or two frames lacks the lead that B frames need, and times that
    stand still or go back would make players drop frames.
    """
    rate = rate_of(frame_rate)
    with av.open(str(part)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.extradata != like.codec_context.extradata:
            raise MediaError(f"{part} was encoded in another way than the parts before it; delete its folder.")
        step = 1 / (rate * (stream.time_base or 1))
        for index, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            packet.pts = frames + round((packet.pts or 0) / step)
            packet.dts = frames + index - REORDER
            packet.duration = 1
            packet.time_base = 1 / rate
            yield packet


def opened_film(path: Path, notes: Mapping[str, str]) -> OutputContainer:
    flags = "+faststart" if notes.keys() <= PLAIN_NOTES else "+faststart+use_metadata_tags"
    # bitexact keeps the muxer's version string out.
    options = {"movflags": flags, "fflags": "+bitexact"}
    container = av.open(str(path), "w", format="mp4", options=options)
    container.metadata.update(notes)
    return container


def as_yuv(rgb_HW3: npt.NDArray[np.uint8], reformatter: VideoReformatter) -> av.VideoFrame:
    """A frame as `encoder` takes it: yuv420p, BT.709, studio swing."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HW3), format="rgb24")
    return reformatter.reformat(
        frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )


def encoder(container: OutputContainer, size_HW: tuple[int, int], frame_rate: float) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate_of(frame_rate))
    stream.height, stream.width = size_HW
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": str(CRF), "preset": "medium"}
    context = stream.codec_context
    context.thread_count = THREADS
    context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709, and said so
    context.color_range = 1  # studio swing, as players expect of H.264
    return stream


def rate_of(frame_rate: float) -> Fraction:
    """The rate as broadcasters write it: 23.976 is 24000/1001."""
    return Fraction(frame_rate).limit_denominator(1001)


def check_even(size_HW: tuple[int, int]) -> None:
    height, width = size_HW
    if height % 2 or width % 2:
        raise MediaError(f"H.264 needs even sizes; this clip is {width} x {height}.")


def check_count(path: Path, frames: int, name: Path) -> None:
    """A full disk does not always raise; the file's own index tells."""
    written = count_frames(path)
    if written != frames:
        raise OutputError(f"{name} came out with {written} of {frames} frames; is the disk full?")


def count_frames(path: Path) -> int:
    """How many frames the index of a finished file lists."""
    with av.open(str(path)) as container:
        return container.streams.video[0].frames


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of a finished file."""
    with av.open(str(path)) as container:
        return container.streams.video[0].height, container.streams.video[0].width


def as_output_error(error: av.FFmpegError, path: Path) -> Exception:
    """FFmpeg's trouble while writing, as ours."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror)  # `whole_file` words it
    return MediaError(f"{path} could not be encoded ({plain(error)}).")


def plain(error: Exception) -> str:
    """The system's or FFmpeg's own few words."""
    return str(getattr(error, "strerror", None) or error).lower()
