"""Sprite sheets: a film at a glance, made when somebody first asks and kept as an asset.

What is decoded is our own H.264, one frame at a time, on one thread; a process makes one sheet at a time, so that a
crowd of requests cannot take the machine from everything else.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image
from sqlalchemy import select

from kinora.core.errors import MediaError
from kinora.media.h264 import plain
from kinora.media.picture import contact_sheet
from kinora.media.provenance import Aigc, write_aigc
from kinora.service.assets import Asset
from kinora.service.errors import Missing, Unavailable
from kinora.service.objects import digest_path
from kinora.service.store.tables import assets
from kinora.service.tasks import Output
from kinora.service.uploads import label

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["CELL", "COLUMNS", "MOST_CELLS", "draw_sheet", "frame_of", "spritesheet"]

COLUMNS = 5
MOST_CELLS = 25
CELL = 160
"""Pixels of a cell's longer side."""
QUALITY = 85
WAIT_SECONDS = 60.0
ORIGIN = "work"
MEDIA_TYPE = "image/jpeg"

Pixels = npt.NDArray[np.uint8]

_one_at_a_time = threading.Lock()


def spritesheet(service: Service, output: Output) -> Asset:
    """The sheet of a film: up to 25 frames evenly spaced from the first to the last, row by row of 5, as JPEG.

    Raises `Missing` when the film is gone, `Unavailable` when too many sheets are asked for at once.
    """
    name = label(f"sheet-{output.digest}.jpg", MEDIA_TYPE)  # as assets keep it: it is found by this name again
    known = _known(service, output.account_id, name)
    if known is not None:
        return known
    if not _one_at_a_time.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("Too many sprite sheets are being made; ask again in a minute.")
    try:
        known = _known(service, output.account_id, name)
        return known or _made(service, output, name)
    finally:
        _one_at_a_time.release()


def draw_sheet(film: Path, frames: int) -> Pixels:
    """The sheet of a film of `frames` frames, (H, W, 3); raises `MediaError` for a file that is none of ours."""
    count = min(frames, MOST_CELLS)
    wanted = np.linspace(0, frames - 1, count).round().astype(int)
    try:
        cells = list(_frames(film, [int(index) for index in wanted], CELL))
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"The film cannot be read ({plain(error)}).") from error
    return contact_sheet(cells, columns=min(COLUMNS, count), gap=0)


def frame_of(film: Path, index: int) -> Pixels:
    """One frame of a film, (H, W, 3); raises `MediaError`."""
    try:
        return next(_frames(film, [index], None))
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"The film cannot be read ({plain(error)}).") from error


def _frames(film: Path, wanted: Sequence[int], longest: int | None) -> Iterator[Pixels]:
    """The frames of these indices, in order, scaled down to a longer side of `longest`."""
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        share = 1.0 if longest is None else longest / max(stream.width, stream.height)
        width, height = (max(1, round(side * share)) for side in (stream.width, stream.height))
        for index in wanted:
            frame = _frame_at(container, stream, index)
            small = frame.reformat(width=width, height=height, format="rgb24", src_colorspace="ITU709")
            yield small.to_ndarray().astype(np.uint8, copy=False)


def _frame_at(container: InputContainer, stream: VideoStream, index: int) -> VideoFrame:
    """The frame of an index: back to the key frame before it, then on. So no more than lies between two of those is
    decoded for any.
    """
    rate, base = stream.average_rate, stream.time_base
    if not rate or not base:
        raise MediaError("The film does not say how fast it plays.")
    container.seek(round(index / rate / base), stream=stream)
    for frame in container.decode(stream):
        if frame.pts is not None and frame.pts * base >= (index - Fraction(1, 2)) / rate:
            return frame
    raise MediaError(f"The film has no frame {index}.")


def _known(service: Service, account_id: int, name: str) -> Asset | None:
    query = select(assets.c.digest).where(
        assets.c.account_id == account_id, assets.c.name == name, assets.c.origin == ORIGIN
    )
    with service.database.read() as c:
        digest = c.execute(query.limit(1)).scalar()
    try:
        return None if digest is None else service.assets.get(account_id, digest)
    except Missing:
        return None


def _made(service: Service, output: Output, name: str) -> Asset:
    with tempfile.TemporaryDirectory(prefix="kinora-sheet-") as folder:
        film, sheet = Path(folder, "film.mp4"), Path(folder, "sheet.jpg")
        service.objects.get(digest_path(output.digest), film)
        Image.fromarray(draw_sheet(film, output.frames)).save(sheet, format="JPEG", quality=QUALITY)
        number = f"{output.task_id}-{output.place}-sheet"  # the film's own is the same without its end
        write_aigc(sheet, sheet, Aigc(producer=service.settings.producer, produce_id=number))
        return service.assets.store(output.account_id, sheet, MEDIA_TYPE, origin=ORIGIN, name=name)
