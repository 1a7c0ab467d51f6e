"""From a request to a film on disk, the one way for every verb that makes films.

A film is written as it is made. Stopped or killed, it goes on from its last chunk when the same command runs again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kinora.cli.main import say
from kinora.cli.materials import file_at
from kinora.cli.progress import ProgressBar, duration
from kinora.cli.prompts import note_unknown_words
from kinora.core.conditions import Continue, Region
from kinora.core.errors import Cancelled
from kinora.core.wording import condition_of, footage_of
from kinora.media.chunks import ChunkedFilm
from kinora.media.film import FILM_SUFFIXES
from kinora.media.fit import fit_frames
from kinora.media.output import check_output

if TYPE_CHECKING:
    from kinora.core.plan import Plan
    from kinora.core.request import Request
    from kinora.pipeline import Pipeline
    from kinora.pipeline.memory import Chunk

__all__ = ["beside", "carry_out", "check_place", "make_film"]


def beside(arguments: argparse.Namespace, what: str) -> Path:
    """Where the result of working on a film goes: as told, or beside it, `walk.mp4` -> `walk-longer.mp4`."""
    source = file_at(arguments.file)
    return Path(arguments.output) if arguments.output is not None else source.with_name(f"{source.stem}-{what}.mp4")


def check_place(arguments: argparse.Namespace, path: Path) -> None:
    """Raise `OutputError` before the long work, unless nothing is to be written."""
    if not arguments.plan:
        check_output(path, suffixes=FILM_SUFFIXES, force=arguments.force)


def carry_out(arguments: argparse.Namespace, request: Request, path: Path) -> int:
    """Print the plan, or make the film and print where it lies; the result is the exit code."""
    check_place(arguments, path)
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(arguments.model)
    if arguments.plan:
        plan = pipeline.plan(request)
        note_conversion(request, plan)
        print(plan)
        print(pipeline.rungs(plan)[0])
    else:
        make_film(pipeline, request, path, force=arguments.force)
        print(path)
    return 0


def make_film(pipeline: Pipeline, request: Request, path: Path, *, force: bool) -> None:
    """Film `request` into `path`; with a film to go on from, that film and the new part together.

    Raises what the pipeline and the disk raise, and `Cancelled` with a sentence when stopped after a chunk.
    """
    plan = pipeline.plan(request)
    note_unknown_words(pipeline, request)
    note_conversion(request, plan)
    started = time.monotonic()
    recipe = pipeline.recipe(request, kind="film")
    rate, pixels = plan.frame_rate, plan.pixels
    with (
        ChunkedFilm(path, frame_rate=rate, recipe=recipe, force=force, backward=plan.backward) as film,
        told_stop(film),
    ):
        memory = begun(film, request, plan)
        arriving = Arriving(film)
        for chunk in pipeline.stream(
            request, memory, on_progress=ProgressBar(), on_note=note, on_frames=arriving.frames
        ):
            arriving.end(chunk)
        film.finish()
        say(
            f"{film.frames / rate:.1f} s of {pixels.width} x {pixels.height} at {rate:g} frames a second, "
            f"made in {duration(time.monotonic() - started)}, seed {request.seed}"
        )


class Arriving:
    """Frames written as they are drawn, while the next are."""

    def __init__(self, film: ChunkedFilm) -> None:
        self._film = film
        self._written = 0
        """Frames of the chunk under way that the film has."""

    def frames(self, index: int, frames_FHW3: npt.NDArray[np.uint8]) -> None:
        """Some frames of the chunk, the first of them its `index`-th. A chunk that is drawn again, because memory gave
        out, shows the same ones.
        """
        new_FHW3 = frames_FHW3[max(self._written - index, 0) :]
        if len(new_FHW3):
            self._film.add_frames(new_FHW3)
            self._written += len(new_FHW3)

    def end(self, chunk: Chunk) -> None:
        """The whole chunk; what has not come in pieces comes now."""
        self.frames(0, chunk.frames_FHWC)
        self._film.end_chunk(chunk.memory)
        self._written = 0


def note(sentence: str) -> None:
    """A sentence on the way, under the progress bar."""
    say(f"note: {sentence}")


def begun(film: ChunkedFilm, request: Request, plan: Plan) -> bytes | None:
    """The memory to go on with; the footage of a film that goes on is its first chunk, with an empty one."""
    memory = film.resume()
    if film.discarded is not None:
        say(f"note: {film.discarded}; it starts anew")
    if memory:
        say(f"going on after the {film.frames / film.frame_rate:.1f} s that are made already")
    onward = condition_of(request, Continue)
    if memory is None and onward is not None:
        film.add_frames(fit_frames(onward.footage.clip.frames_FHWC, plan.pixels.height, plan.pixels.width, "crop"))
        film.end_chunk(b"")
    return memory or None


@contextmanager
def told_stop(film: ChunkedFilm) -> Iterator[None]:
    """Ctrl-C tells what is kept."""
    try:
        yield
    except (KeyboardInterrupt, Cancelled) as stop:
        film.wait()
        if not film.chunks:
            raise
        made = film.frames / film.frame_rate
        raise Cancelled(f"stopped; {made:.1f} s are kept, and the same command goes on from there") from stop


def note_conversion(request: Request, plan: Plan) -> None:
    """Say when footage does not come out as it went in."""
    footage, region = footage_of(request), condition_of(request, Region)
    if footage is None:
        return
    shape, pixels = footage.clip.shape, plan.pixels
    if (shape.height, shape.width) == (pixels.height, pixels.width):
        return
    whole = region is not None and region.mask.inside_HW.shape != (shape.height, shape.width)
    how = "laid whole into" if whole else "cropped and scaled to"
    say(f"note: {footage.name} is {shape.width} x {shape.height}; it is {how} {pixels.width} x {pixels.height}")
