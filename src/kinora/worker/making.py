"""What it takes to do a job: a maker, and the voice it tells with. Knows no torch."""

from __future__ import annotations

from typing import Protocol

from kinora.core.errors import InputError, KinoraError, MediaError, MemoryShortage, OutputError, WeightsError
from kinora.worker.events import Code, Job, MadeFile

__all__ = ["Failure", "Maker", "Stopped", "Tell", "failure_of"]


class Stopped(KinoraError):
    """The process is to end; the job stays where its last save is."""


class Failure(KinoraError):
    """A job that failed with a code of its own."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


class Tell(Protocol):
    """Hears how one job goes, and says when it is to end."""

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """Between two pieces of work. Raises `Cancelled` or `Stopped` when the job is to end here."""
        ...

    def preview(self, jpeg: bytes) -> None: ...

    def saved(self, files: tuple[str, ...]) -> None: ...

    def note(self, text: str) -> None: ...

    def ending(self) -> bool:
        """Whether the next `progress` raises `Stopped`: what is to be kept is saved now. While denoising, none raises
        before this was asked and said so.
        """
        ...


class Maker(Protocol):
    """Does jobs, one at a time; what it loads it may keep for the next."""

    def make(self, job: Job, tell: Tell) -> tuple[MadeFile, ...]:
        """The job's results, in its work folder. What lies there of an earlier attempt is gone on from."""
        ...


def failure_of(error: BaseException) -> tuple[Code, str]:
    """The code of a failure and the sentence that a client is told."""
    match error:
        case Failure():
            return error.code, str(error)
        case MediaError() | OutputError():
            return "media", str(error)
        case InputError():
            return "input", str(error)
        case WeightsError():
            return "weights", str(error)
        case MemoryShortage():
            return "memory", str(error)
        case MemoryError():
            return "memory", "Memory gave out. Ask for a shorter film or fewer pixels."
        case _:
            return "internal", f"The model process met a fault of its own ({type(error).__name__}); its log tells more."
