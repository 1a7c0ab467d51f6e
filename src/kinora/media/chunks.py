"""A film written as it is made: chunk by chunk into a folder beside it, and joined when it is whole.

The folder (`kinora.media.chunk_folder`) is right after a SIGKILL at any moment, and a film finished after any number of
them has the same bytes as one made without.

Chunks are encoded by a thread of their own (`kinora.media.writer`), so that the next frames can be made meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from kinora.core.errors import KinoraError, MediaError, OutputError
from kinora.media.chunk_folder import ChunkFolder, Record, settle_folder, work_folder
from kinora.media.film import FILM_SUFFIXES
from kinora.media.h264 import ENCODER, check_even, count_frames, encode, film_notes, join, plain, size_of
from kinora.media.output import check_output, reason, settle, whole_file
from kinora.media.recipe import Recipe
from kinora.media.writer import Arriving, ChunkWriter

__all__ = ["ChunkedFilm", "work_folder"]


class ChunkedFilm:
    """Add chunks as they come, then `finish`; what waits to be written stays small.

        with ChunkedFilm(path, frame_rate=16.0, recipe=recipe) as film:
            memory = film.resume()
            for pieces, memory in make_from(memory, film.frames):
                for frames_FHWC in pieces:
                    film.add_frames(frames_FHWC)
                film.end_chunk(memory)
            film.finish()

    Without `finish` the folder stays, for the next one with the same recipe to resume.
    """

    def __init__(
        self,
        path: Path,
        *,
        frame_rate: float,
        recipe: Recipe | None = None,
        force: bool = False,
        backward: bool = False,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """With `backward` a later chunk comes earlier in the film. Nothing is written yet.

        The finished film carries `notes` beside its recipe; they may differ from one attempt to the next.

        Raises `OutputError` where `write_film` does: `path` exists (and no `force`), or cannot be written.
        """
        check_output(path, suffixes=FILM_SUFFIXES, force=force)
        self.path = path
        self.folder = work_folder(path)
        self._files = ChunkFolder(self.folder, path)
        self.frame_rate = frame_rate
        self.backward = backward
        self.force = force
        self.recipe = recipe
        self.notes = notes
        self.frames = 0
        """Written so far, those of resumed chunks included."""
        self.chunks = 0
        """Written so far, likewise."""
        self.discarded: str | None = None
        """Why an earlier attempt's chunks were thrown away; None when there were none or they were kept."""
        self._size: tuple[int, int] | None = None
        self._writer = ChunkWriter(self._write)
        self._begun = False
        """Whether a chunk has frames that no memory has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.wait()  # what has been ended is kept, whatever went wrong behind it
        except KinoraError:
            if kind is None:
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Let another process go on; the folder stays if it holds a chunk. Chunks not written yet are thrown away."""
        self._writer.stop()
        if not self._files.held:
            return
        if not self.chunks:
            shutil.rmtree(self.folder, ignore_errors=True)  # nothing in it is worth resuming
        self._files.let_go()

    def resume(self) -> bytes | None:
        """The memory after the last chunk of an attempt with the same recipe, and `frames` set; None to begin anew.

        Chunks of another recipe, rate, order or encoder, and damaged ones, are thrown away; `discarded` tells why.
        Raises `OutputError` when another process is writing them.
        """
        with self._worded():
            self._files.hold()
            self.discarded = self._files.misfit(self._record())
            if self.discarded is None and self._adopt():
                return self._files.memory(self.chunks - 1).read_bytes()
            self._begin()
        return None

    def add(self, frames_FHWC: npt.NDArray[np.uint8], memory: bytes) -> None:
        """Write uint8 frames of even sizes as the next chunk, `memory` beside it; both are on the disk afterwards.

        The first chunk without a `resume` throws an earlier attempt away. Raises `MediaError` for no frames, odd
        sizes or other sizes than the first chunk's, `OutputError` when there is no room; then the chunks before stay.
        """
        self.add_frames(frames_FHWC)
        self.end_chunk(memory)
        self.wait()

    def add_frames(self, frames_FHWC: npt.NDArray[np.uint8]) -> None:
        """Some frames of the next chunk, to be encoded while others are made; they must not change any more.

        Raises as `add` does; what goes wrong on the disk is told by the calls after it.
        """
        size_HW = frames_FHWC.shape[1], frames_FHWC.shape[2]
        if not len(frames_FHWC):
            raise MediaError("A chunk needs at least one frame.")
        if self._size is not None and self._size != size_HW:
            raise MediaError(f"This chunk is {size_HW[1]} x {size_HW[0]}, the film {self._size[1]} x {self._size[0]}.")
        check_even(size_HW)
        if not self._files.held:
            with self._worded():
                self._files.hold()
                self._begin()
        self._size, self._begun = size_HW, True
        with self._told():
            self._writer.put(frames_FHWC)

    def end_chunk(self, memory: bytes) -> None:
        """The frames added since the last chunk are one, `memory` beside it; it counts as soon as both are written."""
        if not self._begun:
            raise MediaError("A chunk needs at least one frame.")
        with self._told():
            self._writer.end(memory)
            self._begun = False

    def wait(self) -> None:
        """Have every chunk that was ended on the disk; raises what went wrong with them."""
        with self._told():
            self._writer.wait()

    def finish(self) -> None:
        """Join the chunks into the film, packets untouched, and remove the folder.

        Raises `MediaError` without a chunk or with one not ended, `OutputError` when the film cannot be written; then
        the folder stays.
        """
        self.wait()
        if self._begun:
            raise MediaError(f"{self.path} has frames that belong to no chunk; end it before finishing the film.")
        if not self.chunks:
            raise MediaError(f"{self.path} has no frames yet; add a chunk before finishing it.")
        parts = [self._files.chunk(index) for index in range(self.chunks)]
        with self._worded():
            # Inside the folder, so that a SIGKILL leaves no second film beside the first.
            whole = self.folder / "whole.mp4"
            notes = film_notes(self.recipe, self.notes)
            join(
                whole, parts[::-1] if self.backward else parts, frame_rate=self.frame_rate, notes=notes, name=self.path
            )
            settle(whole, self.path, force=self.force)
            settle_folder(self.path.parent)
            shutil.rmtree(self.folder)
            self.close()

    def _write(self, frames: Arriving) -> None:
        """One chunk, in the writer's thread."""
        assert self._size is not None
        with self._worded():
            with whole_file(self._files.chunk(self.chunks), force=True) as part:
                count = encode(part, frames, self._size, frame_rate=self.frame_rate, notes={}, name=self.path)
                self._files.store(self._files.memory(self.chunks), frames.memory)
            settle_folder(self.folder)
            self.chunks += 1
            self.frames += count
            if self.chunks > 1:
                self._files.memory(self.chunks - 2).unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """After trouble the chunk under way is gone too."""
        try:
            yield
        except KinoraError:
            self._begun = False
            if not self.chunks:
                self._size = None
            raise

    def _record(self) -> Record:
        """What two attempts share exactly when their chunks fit together."""
        return {
            "recipe": self.recipe.to_json() if self.recipe else None,
            "frame_rate": self.frame_rate,
            "backward": self.backward,
            "encoder": ENCODER,
        }

    def _adopt(self) -> bool:
        """Count what lies in the folder; false when there is nothing, or when it is damaged."""
        chunks = 0
        while self._files.chunk(chunks).exists():
            chunks += 1
        if not chunks:
            return False
        try:
            frames = sum(count_frames(self._files.chunk(index)) for index in range(chunks))
            size = size_of(self._files.chunk(0))
        except (OSError, ValueError, IndexError) as error:
            self.discarded = f"what was begun is damaged ({plain(error)})"
            return False
        if not self._files.memory(chunks - 1).exists():
            self.discarded = "what was begun is damaged (its memory is missing)"
            return False
        for left in self.folder.glob(".kinora-*"):  # what a SIGKILL cut off in the middle
            left.unlink()
        self.chunks, self.frames, self._size = chunks, frames, size
        return True

    def _begin(self) -> None:
        """An empty folder with its record."""
        self.chunks, self.frames, self._size = 0, 0, None
        self._files.empty(self._record())

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """The file system's troubles as `OutputError`, with what remains."""
        try:
            yield
        except OSError as error:
            raise self._trouble(error) from error
        except OutputError as error:
            if isinstance(error.__cause__, OSError):  # worded for a file that users do not know
                raise self._trouble(error.__cause__) from error
            raise

    def _trouble(self, error: OSError) -> OutputError:
        kept = f"the {self.frames} frames before are kept in {self.folder}" if self.chunks else "nothing is kept"
        return OutputError(f"{self.path} could not be written ({reason(error)}); {kept}.")
