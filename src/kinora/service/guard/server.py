"""The process that children are forked from: it has read no stranger's file, and so no child has seen another's.

    python -I -m kinora.service.guard.server DESCRIPTOR

It imports the decoders once, which takes half a second, then forks a child for each job, which takes some
milliseconds. A job comes over the socket DESCRIPTOR with a socket to answer on; a child that is late is killed with its
group. When the other end of DESCRIPTOR closes, everything ends.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av.logging

from kinora.service.guard.child import run
from kinora.service.guard.job import Job
from kinora.service.guard.warming import warm

__all__ = ["MOST_SAID", "READY", "Server", "main"]

READY = b"ready"
MOST_SAID = 16_384
"""Bytes of a job, and of a report: both fit into a pipe, so nobody waits for a reader."""
REPORT = 3
"""The one descriptor that a child has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Running:
    """A child at work."""

    pid: int
    answer: socket.socket
    report: int
    late: float
    """When, by the monotonic clock, it is killed."""


class Server:
    """Forks and reaps, in one thread."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._running: set[Running] = set()
        self._events = selectors.DefaultSelector()
        self._events.register(door, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the door closes."""
        while True:
            for key, _ in self._events.select(self._patience()):
                if isinstance(key.data, Running):
                    self._end(key.data, in_time=True)
                elif not self._begin():
                    self._abandon()
                    return
            for one in [one for one in self._running if one.late <= time.monotonic()]:
                self._end(one, in_time=False)

    def _patience(self) -> float | None:
        lates = [one.late for one in self._running]
        return max(min(lates) - time.monotonic(), 0.0) if lates else None

    def _begin(self) -> bool:
        """Fork a child for the next job; False when the door is closed."""
        told, descriptors, _, _ = socket.recv_fds(self._door, MOST_SAID, 1)
        if not told or not descriptors:
            return False
        answer = socket.socket(fileno=descriptors[0])
        job = Job.from_bytes(told)
        report, said = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(report)
            os.close(said)
            self._tell(answer, {"trouble": "The machine has too many processes. Try again later."})
            return True
        if pid == 0:
            _in_child(job, said)
        os.close(said)
        with suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(pid, pid)
        one = Running(pid=pid, answer=answer, report=report, late=time.monotonic() + job.seconds)
        self._running.add(one)
        self._events.register(report, selectors.EVENT_READ, one)
        return True

    def _end(self, one: Running, *, in_time: bool) -> None:
        """Take the report of a child that has spoken, fallen silent or is late; kill what is left of it."""
        self._running.discard(one)
        self._events.unregister(one.report)
        said = os.read(one.report, MOST_SAID) if in_time else b""
        os.close(one.report)
        status = _reap(one.pid)
        if said:
            told = said.decode("utf-8", "replace")
            self._tell(one.answer, {"said": told})
        else:
            self._tell(one.answer, {"late": True} if not in_time else {"status": status})

    def _abandon(self) -> None:
        for one in self._running:
            _reap(one.pid)

    @staticmethod
    def _tell(answer: socket.socket, told: dict[str, object]) -> None:
        with answer, suppress(OSError):  # who asked may be gone
            answer.sendall(json.dumps(told).encode())


def _reap(pid: int) -> int:
    """Kill a child with its group, and return how it ended: its exit code, or a signal's number below zero."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _in_child(job: Job, said: int) -> None:
    """Does not return."""
    try:
        os.setpgid(0, 0)
        os.dup2(said, REPORT, inheritable=False)
        os.closerange(REPORT + 1, 4096)
        run(job, REPORT)
    finally:
        os._exit(0)


def threads() -> int:
    """How many this process has; 1 where the system does not tell."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def main(descriptor: int) -> None:
    """Serve on an inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    av.logging.set_level(None)
    warm()
    gc.collect()
    # A thread may hold a lock while a child is forked, and the child would wait for it without end.
    assert threads() == 1, f"{threads()} threads are left of what was imported."
    gc.freeze()
    door = socket.socket(fileno=descriptor)
    door.sendall(READY)
    Server(door).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
