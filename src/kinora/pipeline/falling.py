"""When memory gives out all the same: the next rung, from where the film stood."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from kinora.core.errors import MemoryShortage
from kinora.pipeline.memory import Chunk
from kinora.pipeline.residency import REMEDY, Rung, gibibytes
from kinora.pipeline.resident import free_memory

__all__ = ["chunks_with_fallback", "is_memory_error", "with_fallback"]

Result = TypeVar("Result")

WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "_alloc_failed",
    "could not create a memory",
)
"""How torch's allocators and the libraries below it say that there is no memory, where they raise a RuntimeError."""


def is_memory_error(error: BaseException) -> bool:
    """Whether an error means that memory gave out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in WORDS)


def with_fallback(ladder: Sequence[Rung], run: Callable[[Rung], Result], say: Callable[[str], None]) -> Result:
    """`run` on the first rung on which memory does not give out; `say` hears a sentence at every fall.

    `run` must hold nothing of a rung outside itself. Raises `MemoryShortage` when memory gives out on the last rung;
    every other error passes.
    """
    for place, rung in enumerate(ladder):
        try:
            return run(rung)
        except (MemoryError, RuntimeError) as error:
            _check_memory(error)
        free_memory()
        _fall(ladder, place, say)
    raise AssertionError("a ladder has a rung")


def chunks_with_fallback(
    ladder: Sequence[Rung],
    run: Callable[[Rung, bytes | None], Iterator[Chunk]],
    say: Callable[[str], None],
    memory: bytes | None = None,
) -> Iterator[Chunk]:
    """The chunks of a film behind `memory`; a rung takes over behind the last chunk that the one above it gave.

    Closing the iterator closes the run. Raises as `with_fallback`.
    """
    for place, rung in enumerate(ladder):
        made: Iterator[Chunk] = iter(())
        try:
            made = run(rung, memory)
            for chunk in made:
                memory = chunk.memory
                yield chunk
                del chunk
            return
        except (MemoryError, RuntimeError) as error:
            _check_memory(error)
        finally:
            _close(made)
        del made
        free_memory()
        _fall(ladder, place, say)


def _check_memory(error: MemoryError | RuntimeError) -> None:
    """Raise what is no lack of memory again; else let go of what the failed work's frames hold."""
    if not is_memory_error(error):
        raise error
    traceback.clear_frames(error.__traceback__)


def _close(made: Iterator[Chunk]) -> None:
    close = getattr(made, "close", None)
    if close is not None:
        close()


def _fall(ladder: Sequence[Rung], place: int, say: Callable[[str], None]) -> None:
    """Say which rung comes next, or that there is none."""
    tried = ladder[place]
    if place + 1 == len(ladder):
        raise MemoryShortage(
            f"Memory gave out even with {tried.words}, for which about {gibibytes(tried.peak_bytes)} were expected. "
            f"{REMEDY}"
        )
    say(f"Memory gave out with {tried.words}; going on with {ladder[place + 1].words}.")
