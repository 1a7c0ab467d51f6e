"""Films: clips as H.264 in MP4, playable in any browser, with their recipe inside."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from kinora.core.clip import Clip
from kinora.core.errors import MediaError, OutputError
from kinora.media.output import check_output, whole_file
from kinora.media.recipe import Recipe

__all__ = ["FILM_SUFFIXES", "read_film", "read_film_recipe", "write_film"]

FILM_SUFFIXES = (".mp4",)
CRF = 17
"""x264's constant rate factor: 17 is held to be visually lossless; small clips stay under a few hundred kB."""


def write_film(path: Path, clip: Clip, *, recipe: Recipe | None = None, force: bool = False) -> None:
    """Write `clip` to `path` (H.264 high, yuv420p, BT.709, index in front so that it plays while it loads).

    Width and height must be even. The same clip and recipe give the same bytes. Raises `OutputError` when the file
    cannot be written, and leaves nothing half-written.
    """
    check_output(path, suffixes=FILM_SUFFIXES, force=force)
    if clip.shape.height % 2 or clip.shape.width % 2:
        raise MediaError(f"H.264 needs even sizes; this clip is {clip.shape.width} x {clip.shape.height}.")
    with whole_file(path, force=force) as part:
        try:
            encode(part, clip, recipe)
            written = count_frames(part)
        except av.FFmpegError as error:
            raise as_output_error(error, path) from error
        if written != clip.shape.frames:
            raise OutputError(f"{path} came out with {written} of {clip.shape.frames} frames; is the disk full?")


def encode(path: Path, clip: Clip, recipe: Recipe | None) -> None:
    """Encode and multiplex; raises `av.FFmpegError` or `OSError`."""
    rate = Fraction(clip.frame_rate).limit_denominator(1001)
    # bitexact keeps the muxer's version string out.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        if recipe is not None:
            container.metadata["comment"] = recipe.to_json()
            container.metadata["title"] = recipe.request.prompt
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = clip.shape.width, clip.shape.height, "yuv420p"
        stream.options = {"crf": str(CRF), "preset": "medium"}
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709, and said so
        context.color_range = 1  # studio swing, as players expect of H.264
        for rgb_HWC in clip.frames_FHWC:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_film(path: Path) -> Clip:
    """The first video stream of a file as a clip; raises `MediaError` when it cannot be read."""
    try:
        with av.open(str(path)) as container:
            stream = first_video(container, path)
            frames = [
                frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
                for frame in container.decode(stream)
            ]
            rate = float(stream.average_rate or 0)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as a film ({plain(error)}).") from error
    if not frames or rate <= 0:
        raise MediaError(f"{path} holds no frames.")
    return Clip(frames_FHWC=np.stack(frames), frame_rate=rate)


def read_film_recipe(path: Path) -> Recipe:
    """The recipe inside a film; raises `MediaError` when there is none."""
    try:
        with av.open(str(path)) as container:
            comment = container.metadata.get("comment")
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as a film ({plain(error)}).") from error
    if comment is None:
        raise MediaError(f"{path} carries no recipe: it was not made by Kinora, or a tool has stripped its metadata.")
    return Recipe.from_json(comment)


def first_video(container: av.container.InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise MediaError(f"{path} holds no pictures.")
    return container.streams.video[0]


def count_frames(path: Path) -> int:
    """How many frames the index of a finished file lists."""
    with av.open(str(path)) as container:
        return container.streams.video[0].frames


def as_output_error(error: av.FFmpegError, path: Path) -> Exception:
    """FFmpeg's trouble while writing, as ours."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror)  # `whole_file` words it
    return MediaError(f"{path} could not be encoded ({plain(error)}).")


def plain(error: Exception) -> str:
    """The system's or FFmpeg's own few words."""
    return str(getattr(error, "strerror", None) or error).lower()
