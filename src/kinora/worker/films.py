"""The maker that films: a job's request through the one pipeline into files, resumable at every save.

The only module of the worker that leads to torch, and that when the first job asks for a model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kinora.core.conditions import Continue
from kinora.core.errors import MemoryShortage
from kinora.core.plan import Plan
from kinora.core.request import SEED_LIMIT, Request
from kinora.core.wording import condition_of
from kinora.media.chunks import ChunkedFilm
from kinora.media.fit import fit_frames
from kinora.media.picture import write_picture
from kinora.presets.places import find_model
from kinora.worker.events import Job, MadeFile
from kinora.worker.making import Tell
from kinora.worker.materials import Materials
from kinora.worker.results import FILM, Kept, film_made, jpeg_of, labelled, picture_made, picture_name

if TYPE_CHECKING:
    from kinora.pipeline import Pipeline, Progress
    from kinora.pipeline.memory import Chunk
    from kinora.pipeline.previews import Previews
    from kinora.pipeline.saving import Saves

__all__ = ["FilmMaker"]

PREVIEW_STEPS = 2
PREVIEW_SECONDS = 1.0
"""Previews are no more frequent than either."""
PREVIEW_PIXELS = 256

Frames = npt.NDArray[np.uint8]


class FilmMaker:
    """Makes films and pictures with models on disk, which it keeps."""

    def __init__(self, device: str = "") -> None:
        """`device` as torch names it; empty for the best there is."""
        self._device = device
        self._pipelines: dict[str, Pipeline] = {}

    def make(self, job: Job, tell: Tell) -> tuple[MadeFile, ...]:
        pipeline = self._pipeline(job.model, tell)
        find = Materials(folder=Path(job.materials), frame_rate=pipeline.facts.frame_rate)
        request = Request.from_record(dict(job.request), find)
        _note_unknown_words(pipeline, request, tell)
        with _memory_told(pipeline):
            if job.kind == "text_to_image":
                return _Work(job, tell, pipeline).pictures(request)
            return _Work(job, tell, pipeline).film(request)

    def _pipeline(self, model: str, tell: Tell) -> Pipeline:
        """The model's pipeline; the others make room."""
        for name, other in self._pipelines.items():
            if name != model:
                other.close()
        if model not in self._pipelines:
            tell.progress("load", 0, 1, None)
            find_model(model)  # what is not there is told before torch takes its seconds to load
            from kinora.pipeline import load_pipeline

            self._pipelines[model] = load_pipeline(model, device=self._device or None)
            tell.progress("load", 1, 1, None)
        return self._pipelines[model]


class _Work:
    """One job under way."""

    def __init__(self, job: Job, tell: Tell, pipeline: Pipeline) -> None:
        self._job, self._tell, self._pipeline = job, tell, pipeline
        self._folder = Path(job.work)
        self._kept = Kept(self._folder)
        self._shown = 0.0
        self._lower = max(0, job.attempt - 1)
        """Rungs to leave out: an attempt that was lost may have been lost to memory."""

    def film(self, request: Request) -> tuple[MadeFile, ...]:
        path = self._folder / FILM
        if not path.exists():
            plan = self._pipeline.plan(request)
            recipe = self._pipeline.recipe(request, kind="film")
            with ChunkedFilm(
                path, frame_rate=plan.frame_rate, recipe=recipe, force=True, backward=plan.backward
            ) as film:
                self._fill(film, request, plan)
        return (film_made(self._job, self._tell),)

    def _fill(self, film: ChunkedFilm, request: Request, plan: Plan) -> None:
        """All chunks that are not there yet, and the film made of them."""
        memory = film.resume()
        arriving = _Arriving(film, request, plan, self._job)
        if film.discarded is not None:
            self._tell.note(f"{film.discarded}; it starts anew")
        if memory is None:
            arriving.footage()

        def keep(save: bytes) -> None:
            film.wait()  # the save goes on behind these chunks
            self._tell.saved(self._kept.keep(save))

        for chunk in self._pipeline.stream(
            request,
            memory or None,
            on_progress=self._progress,
            on_note=self._tell.note,
            on_frames=arriving.frames,
            saves=self._saves(keep),
            previews=self._previews(),
            skip_rungs=self._lower,
        ):
            arriving.end(chunk)
        film.finish()

    def pictures(self, request: Request) -> tuple[MadeFile, ...]:
        count, there = self._job.count, 0
        while there < count and (self._folder / picture_name(there)).exists():
            there += 1

        def write(index: int, rgb_HW3: Frames) -> None:
            own = _seeded(request, there + index)
            rgb_HW3 = labelled(rgb_HW3[None], self._job, first=0, rate=1.0)[0]
            recipe = self._pipeline.recipe(own, kind="image")
            write_picture(self._folder / picture_name(there + index), rgb_HW3, recipe=recipe, force=True)

        if there < count:
            self._pipeline.image(
                _seeded(request, there),
                n=count - there,
                on_progress=self._progress,
                on_note=self._tell.note,
                on_picture=write,
                saves=self._saves(lambda save: self._tell.saved(self._kept.keep(save))),
                previews=self._previews(),
                skip_rungs=self._lower,
            )
        return tuple(picture_made(self._job, index) for index in range(count))

    def _saves(self, keep: Callable[[bytes], None]) -> Saves:
        from kinora.pipeline.saving import Saves

        found = self._kept.found()
        return Saves(every=self._job.save_steps, keep=keep, found=found, now=self._tell.ending)

    def _previews(self) -> Previews:
        from kinora.pipeline.previews import Previews

        return Previews(every=PREVIEW_STEPS, show=self._preview)

    def _preview(self, rgb_HW3: Frames) -> None:
        now = time.monotonic()
        if now - self._shown >= PREVIEW_SECONDS:
            self._shown = now
            self._tell.preview(jpeg_of(rgb_HW3, longest=PREVIEW_PIXELS, quality=70))

    def _progress(self, progress: Progress) -> None:
        self._tell.progress(progress.stage, progress.done, progress.total, progress.seconds_left)


class _Arriving:
    """Frames labelled and written as they are drawn, while the next are."""

    def __init__(self, film: ChunkedFilm, request: Request, plan: Plan, job: Job) -> None:
        """`film` has resumed what there was."""
        onward = condition_of(request, Continue)
        self._film, self._plan, self._job = film, plan, job
        self._footage = None if onward is None else onward.footage.clip.frames_FHWC
        self._total = plan.pixels.frames + (0 if self._footage is None else len(self._footage))
        self._given = film.frames
        """Frames of the whole film so far."""
        self._chunk = 0
        """Those of the chunk under way."""

    def footage(self) -> None:
        """Footage that the film goes on from is its first chunk, with an empty memory."""
        if self._footage is not None:
            pixels = self._plan.pixels
            self._add(fit_frames(self._footage, pixels.height, pixels.width, "crop"))
            self._film.end_chunk(b"")
            self._chunk = 0

    def frames(self, index: int, frames_FHW3: Frames) -> None:
        """Some frames of the chunk, the first of them its `index`-th. A chunk that is drawn again, because memory gave
        out, shows the same ones.
        """
        new_FHW3 = frames_FHW3[max(self._chunk - index, 0) :]
        if len(new_FHW3):
            self._add(new_FHW3)

    def end(self, chunk: Chunk) -> None:
        """The whole chunk; what has not come in pieces comes now."""
        self.frames(0, chunk.frames_FHWC)
        self._film.end_chunk(chunk.memory)
        self._chunk = 0

    def _add(self, frames_FHW3: Frames) -> None:
        # A film that grows backward comes from its end.
        first = self._total - self._given - len(frames_FHW3) if self._plan.backward else self._given
        self._film.add_frames(labelled(frames_FHW3, self._job, first=first, rate=self._plan.frame_rate))
        self._given += len(frames_FHW3)
        self._chunk += len(frames_FHW3)


@contextmanager
def _memory_told(pipeline: Pipeline) -> Iterator[None]:
    """Whatever a library says when there is no memory becomes a `MemoryShortage`, and the model lets go of its own."""
    from kinora.pipeline.falling import is_memory_error

    try:
        yield
    except MemoryShortage:
        pipeline.close()
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_memory_error(error):
            raise
        pipeline.close()
        raise MemoryShortage("Memory gave out. Ask for a shorter film, fewer pixels or a smaller model.") from error


def _note_unknown_words(pipeline: Pipeline, request: Request, tell: Tell) -> None:
    """Say which words the model has not learnt; it goes by the rest."""
    for text in filter(None, (request.prompt, request.negative)):
        unknown = pipeline.check(text).unknown
        if unknown:
            tell.note(f"{pipeline.name} has not learnt {', '.join(unknown)}; it goes by the other words")


def _seeded(request: Request, index: int) -> Request:
    """The request of the `index`-th picture."""
    return replace(request, seed=(request.seed + index) % SEED_LIMIT)
