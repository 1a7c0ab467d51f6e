"""Films: clips as H.264 in MP4, playable in any browser, with their recipe inside."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from kinora.core.clip import Clip
from kinora.core.errors import MediaError
from kinora.media.h264 import encode, film_notes, plain
from kinora.media.output import check_output, whole_file
from kinora.media.recipe import Recipe

__all__ = ["FILM_SUFFIXES", "film_stream", "read_film", "read_film_recipe", "write_film"]

FILM_SUFFIXES = (".mp4",)


def write_film(path: Path, clip: Clip, *, recipe: Recipe | None = None, force: bool = False) -> None:
    """Write `clip` to `path` (H.264 high, yuv420p, BT.709, index in front so that it plays while it loads).

    Width and height must be even. The same clip and recipe give the same bytes. Raises `OutputError` when the file
    cannot be written, and leaves nothing half-written.
    """
    check_output(path, suffixes=FILM_SUFFIXES, force=force)
    size_HW = (clip.shape.height, clip.shape.width)
    with whole_file(path, force=force) as part:
        encode(part, clip.frames_FHWC, size_HW, frame_rate=clip.frame_rate, notes=film_notes(recipe), name=path)


def read_film(path: Path) -> Clip:
    """The first video stream of a file as a clip; raises `MediaError` when it cannot be read."""
    try:
        with av.open(str(path)) as container:
            stream = film_stream(container, path)
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


def film_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream that moves; a song's cover picture is none. Raises `MediaError` when there is no such stream."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    if container.streams.audio:
        raise MediaError(f"{path} holds sound but no pictures; bring a film.")
    raise MediaError(f"{path} holds no pictures; bring a film.")
