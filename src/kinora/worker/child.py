"""The model process: `python -m kinora.worker.child`. The only process of a service that loads torch.

It reads commands from its standard input and writes events to what was its standard output; whatever else is printed
goes to standard error. It ends at the end of its input, when told to stop, and with its parent: start it from a thread
that lives as long as the worker, because Linux takes the end of the thread that started it for the parent's.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import BinaryIO

from kinora.core.errors import Cancelled as GivenUp
from kinora.worker.events import (
    COMMANDS,
    Beat,
    Cancel,
    Cancelled,
    Event,
    Failed,
    Garbled,
    Job,
    Made,
    Make,
    Note,
    Preview,
    Progress,
    Ready,
    Saved,
    from_line,
    to_line,
)  # fmt: skip
from kinora.worker.making import Maker, Stopped, failure_of

__all__ = ["main"]

BEAT_SECONDS = 1.0
GRACE_SECONDS = 20.0
"""How long a job may take to its next step once the process is to end."""
PR_SET_PDEATHSIG = 1
"""Linux: the signal that comes when the parent dies (prctl(2))."""


class Voice:
    """Says events, whole lines whatever thread they come from."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()

    def say(self, event: Event) -> None:
        line = memoryview(to_line(event))
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._handle, line) :]
            except OSError:
                os._exit(1)  # nobody listens any more


class Orders:
    """What the process was told to do, shared by the thread that hears and the one that works."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self.stopping = threading.Event()
        self.task_id: int | None = None
        """The job under way."""

    def next_job(self) -> Job | None:
        """The next job, waited for; None when the process is to end."""
        job = self._jobs.get()
        return None if self.stopping.is_set() else job

    def cancelled(self, task_id: int) -> bool:
        return task_id in self._cancelled

    def ended(self, task_id: int) -> None:
        """Forget what was said of a job that is over."""
        self.task_id = None
        self._cancelled.discard(task_id)

    def hear(self, file: BinaryIO) -> None:
        """Take commands until there are no more; then the process is to end, at the latest after `GRACE_SECONDS`."""
        try:
            for line in file:
                command = from_line(line, COMMANDS)
                if isinstance(command, Make):
                    self._cancelled.discard(command.job.task_id)
                    self._jobs.put(command.job)
                elif isinstance(command, Cancel):
                    self._cancelled.add(command.task_id)
                else:
                    break
        except Garbled as error:
            print(f"error: {error}", file=sys.stderr)
        self.stop()
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    def stop(self) -> None:
        self.stopping.set()
        self._jobs.put(None)


class Telling:
    """The voice of one job; see `kinora.worker.making.Tell`."""

    def __init__(self, job: Job, orders: Orders, voice: Voice) -> None:
        self._id, self._orders, self._voice = job.task_id, orders, voice
        self._warned = False
        """Whether the maker knows that the process is to end."""

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self._voice.say(Progress(task_id=self._id, stage=stage, done=done, total=total, seconds_left=seconds_left))
        if self._orders.cancelled(self._id):
            raise GivenUp("the task was cancelled")
        # A maker that was told of no end has just saved nothing: it takes one more step.
        if self._orders.stopping.is_set() and (self._warned or stage != "imagine"):
            raise Stopped("the model process is to end")

    def preview(self, jpeg: bytes) -> None:
        self._voice.say(Preview(task_id=self._id, jpeg=jpeg))

    def saved(self, files: tuple[str, ...]) -> None:
        self._voice.say(Saved(task_id=self._id, files=files))

    def note(self, text: str) -> None:
        self._voice.say(Note(task_id=self._id, text=text))

    def ending(self) -> bool:
        self._warned = self._orders.stopping.is_set()
        return self._warned


class Makers:
    """Makers by the model they make with, each there from its first job on."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._stub: Maker | None = None
        self._films: Maker | None = None

    def of(self, model: str) -> Maker:
        if model == "stub":
            from kinora.worker.stub import StubMaker

            self._stub = self._stub or StubMaker()
            return self._stub
        from kinora.worker.films import FilmMaker

        self._films = self._films or FilmMaker(self._device)
        return self._films


def main(arguments: Sequence[str] | None = None) -> int:
    """Do jobs until there are no more commands."""
    parser = argparse.ArgumentParser(prog="kinora.worker.child", description=__doc__)
    parser.add_argument("--device", default="", help="cpu, cuda, cuda:1; the best there is when left out")
    told = parser.parse_args(arguments)
    # Whatever prints, a library in C included, must not come between the events.
    voice = Voice(os.dup(1))
    os.dup2(2, 1)
    die_with_parent()
    orders = Orders()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the worker decides what it means
    signal.signal(signal.SIGTERM, lambda _number, _frame: orders.stop())
    voice.say(Ready(pid=os.getpid()))
    _start(lambda: orders.hear(os.fdopen(0, "rb", closefd=False)))
    _start(lambda: _beat(voice, orders))
    makers = Makers(told.device)
    while (job := orders.next_job()) is not None:
        _do(job, makers, orders, voice)
    return 0


def die_with_parent() -> None:
    """Have the system end this process with its parent, where it can (Linux)."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)


def _do(job: Job, makers: Makers, orders: Orders, voice: Voice) -> None:
    """One job, answered by one event, unless the process is to end."""
    orders.task_id = job.task_id
    answer: Event
    try:
        files = makers.of(job.model).make(job, Telling(job, orders, voice))
        answer = Made(task_id=job.task_id, files=files)
    except Stopped:
        return
    except GivenUp:
        answer = Cancelled(task_id=job.task_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, the worker is told, and the next job has its chance
        code, message = failure_of(error)
        if code == "internal":
            traceback.print_exc(file=sys.stderr)
        answer = Failed(task_id=job.task_id, code=code, message=message)
    orders.ended(job.task_id)
    voice.say(answer)


def _beat(voice: Voice, orders: Orders) -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        voice.say(Beat(task_id=orders.task_id))
        time.sleep(BEAT_SECONDS)
    os._exit(1)


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
