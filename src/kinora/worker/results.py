"""Files that a job leaves in its work folder: what it can go on from, results, their thumbnails and labels.

Axes: F frames, H W pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, VideoReformatter
from PIL import Image

from kinora.media.chunks import work_folder
from kinora.media.film import read_film_recipe
from kinora.media.h264 import encode, film_notes
from kinora.media.label import draw_label, label_for
from kinora.media.output import whole_file
from kinora.media.picture import read_picture
from kinora.worker.events import Job, MadeFile
from kinora.worker.making import Tell

__all__ = ["FILM", "Kept", "film_made", "jpeg_of", "labelled", "picture_made", "picture_name"]

Frames = npt.NDArray[np.uint8]

FILM = "film.mp4"
WRITE_FRAMES = 16
"""Of a marked copy, between two words on how it goes."""
LONGEST = 512
"""Pixels of a thumbnail's longer side."""
SAVE = re.compile(r"latents-(\d{6,})\.save")
CHUNKS = re.compile(r"record\.json|\d+\.(mp4|memory)")
PICTURE = re.compile(r"picture-\d+\.png")


class Kept:
    """What lies in a work folder for another attempt to go on from. A file there never changes under its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def found(self) -> bytes | None:
        """The newest save."""
        saves = self._saves()
        return saves[-1].read_bytes() if saves else None

    def keep(self, data: bytes) -> tuple[str, ...]:
        """Put a save there in place of the one before; returns all files that belong to it now."""
        saves = self._saves()
        number = 1 + int(saves[-1].stem.rpartition("-")[2]) if saves else 0
        path = self._folder / f"latents-{number:06d}.save"
        with whole_file(path, force=True) as file:
            file.write_bytes(data)
        for older in saves:
            older.unlink()
        return self.files()

    def files(self) -> tuple[str, ...]:
        """Names of all that another attempt needs."""
        begun = work_folder(self._folder / FILM)
        chunks = [path for path in begun.glob("*") if CHUNKS.fullmatch(path.name)]
        done = [path for path in self._folder.glob("picture-*.png") if PICTURE.fullmatch(path.name)]
        return tuple(sorted(str(path.relative_to(self._folder)) for path in [*chunks, *done, *self._saves()[-1:]]))

    def _saves(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("latents-*.save") if SAVE.fullmatch(path.name))


def picture_name(index: int) -> str:
    return f"picture-{index}.png"


def labelled(frames_FHW3: Frames, job: Job, *, first: int, rate: float, throughout: bool = False) -> Frames:
    """Frames with the visible label where it belongs: in a film's first seconds, or `throughout`.

    `first` is the place of the first of these frames in the film.
    """
    if not (job.label or throughout):
        return frames_FHW3
    return draw_label(frames_FHW3, first, rate, replace(label_for(job.language), throughout=throughout))


def film_made(job: Job, tell: Tell) -> MadeFile:
    """The finished film beside its thumbnail and, where one is asked for, its marked copy."""
    folder = Path(job.work)
    path = folder / FILM
    count, rate, size = _shape_of(path)
    marked = None
    if job.marked:
        marked = "film-marked.mp4"
        _mark_film(path, folder / marked, job, tell)
    shown = next(_frames_of(folder / (marked or FILM)))
    return MadeFile(
        kind="video",
        file=FILM,
        marked=marked,
        thumbnail=_thumbnail(folder / "film.jpg", shown),
        media_type="video/mp4",
        width=size[0],
        height=size[1],
        frames=count,
        seconds=count / rate,
    )


def picture_made(job: Job, index: int) -> MadeFile:
    """A picture that lies in the work folder beside its thumbnail and, where one is asked for, its marked copy."""
    folder, name = Path(job.work), picture_name(index)
    rgb_HW3 = read_picture(folder / name)
    marked = None
    if job.marked:
        marked = f"picture-{index}-marked.png"
        rgb_HW3 = labelled(rgb_HW3[None], job, first=0, rate=1.0, throughout=True)[0]
        with whole_file(folder / marked, force=True) as part:
            Image.fromarray(rgb_HW3).save(part, format="PNG")
    return MadeFile(
        kind="image",
        file=name,
        marked=marked,
        thumbnail=_thumbnail(folder / f"picture-{index}.jpg", rgb_HW3),
        media_type="image/png",
        width=rgb_HW3.shape[1],
        height=rgb_HW3.shape[0],
        frames=1,
        seconds=0.0,
    )


def jpeg_of(rgb_HW3: Frames, *, longest: int, quality: int) -> bytes:
    """A JPEG whose longer side is `longest` pixels at most."""
    image = Image.fromarray(rgb_HW3)
    image.thumbnail((longest, longest))
    file = BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return file.getvalue()


def _thumbnail(path: Path, rgb_HW3: Frames) -> str:
    with whole_file(path, force=True) as part:
        part.write_bytes(jpeg_of(rgb_HW3, longest=LONGEST, quality=85))
    return path.name


def _mark_film(source: Path, path: Path, job: Job, tell: Tell) -> None:
    """A copy with the label throughout; read from the finished film, so that an attempt cut off here repeats this
    alone. It takes a while for a long film, and tells so.
    """
    count, rate, (width, height) = _shape_of(source)

    def marked() -> Iterator[Frames]:
        for index, rgb_HW3 in enumerate(_frames_of(source)):
            if index % WRITE_FRAMES == 0:
                tell.progress("write", index, count, None)
            yield labelled(rgb_HW3[None], job, first=index, rate=rate, throughout=True)[0]

    notes = film_notes(read_film_recipe(source))
    with whole_file(path, force=True) as part:
        encode(part, marked(), (height, width), frame_rate=rate, notes=notes, name=path)


def _shape_of(path: Path) -> tuple[int, float, tuple[int, int]]:
    """A film's frames, rate, width and height."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.frames, float(stream.average_rate or 1), (stream.width, stream.height)


def _frames_of(path: Path) -> Iterator[Frames]:
    """A film's frames (H, W, 3), one after the other."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # small pictures; threads cost more than they save
        reformatter = VideoReformatter()
        for frame in container.decode(stream):
            shown = reformatter.reformat(frame, format="rgb24", src_colorspace=Colorspace.ITU709)
            yield np.asarray(shown.to_ndarray(), dtype=np.uint8)
