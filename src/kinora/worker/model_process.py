"""The model process as its worker sees it: started, spoken to, listened to, and ended."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading

from kinora.worker.events import EVENTS, Command, Event, Garbled, from_line, to_line

__all__ = ["STOP_SECONDS", "Gone", "ModelProcess", "Silence"]

STOP_SECONDS = 25.0
"""A little more than the process itself allows a job to be saved in."""


class Gone(Exception):
    """The model process has ended, with this exit code (negative: the signal that killed it)."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the model process ended with {code}")
        self.code = code


class Silence(Exception):
    """Nothing was heard in the time given."""


class ModelProcess:
    """One child process. It dies with the thread that started it (see `kinora.worker.child`): start it from one that
    lives as long as the worker.
    """

    def __init__(self, device: str = "") -> None:
        command = [sys.executable, "-m", "kinora.worker.child"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, nothing of a stranger
            [*command, "--device", device] if device else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True, name="model-listener").start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def say(self, command: Command) -> None:
        """Raises `Gone` when nobody listens."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(to_line(command))
            self._process.stdin.flush()
        except OSError as error:
            raise Gone(self._process.poll()) from error

    def hear(self, seconds: float) -> Event:
        """The next event. Raises `Silence` or `Gone`."""
        try:
            event = self._heard.get(timeout=seconds)
        except queue.Empty as error:
            raise Silence from error
        if event is None:
            raise Gone(self._process.wait())
        return event

    def stop(self) -> None:
        """End it gently; a job under way is saved at its next step. Killed where that takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(STOP_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._heard.put(from_line(line, EVENTS))
        except Garbled:
            # What says other things than agreed cannot be trusted with a task.
            self._process.kill()
        self._heard.put(None)
