"""`kinora worker`: takes tasks from the database, has its model process make them, and is heard of while it lives.

A worker that finds itself declared dead ends at once, without a word: its tasks are others' already.
"""

from __future__ import annotations

import os
import queue
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy.exc import SQLAlchemyError

from kinora.service.engine import config_of
from kinora.service.observing import log as logger
from kinora.service.service import Service
from kinora.service.sweeping import Sweeper
from kinora.service.webhooks import Sender
from kinora.service.workers import Workers
from kinora.worker.carrying import Carrier
from kinora.worker.flows import listen
from kinora.worker.model_process import STOP_SECONDS
from kinora.worker.workplace import clear_work

__all__ = ["Worker"]

log = logger("kinora.worker")

STRAY_LOOKS = 3
"""A task that was claimed and is not carried at so many looks, two leases apart, never will be."""
DECLARED_DEAD = 3
"""Exit code."""


class Worker:
    """One worker process. Told to end, the process does when its task is over or given back."""

    def __init__(self, service: Service, *, parent: int | None = None) -> None:
        """`parent`: the process whose end it is not to outlive."""
        self._service = service
        self._parent = parent
        self._told = threading.Event()
        # A new one for each start: what an earlier process of this host had is not ours.
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._workers = Workers(service.database, service.settings)
        self._leaving, self._ended = threading.Event(), threading.Event()
        self._carrier = Carrier(service, self.id, self._leaving.is_set)
        self._model_thread = threading.Thread(target=self._carry_all, name="model", daemon=True)
        self._carried: set[int] = set()
        self._stray: dict[int, int] = {}
        """Looks at which a task was claimed and not carried."""
        self._asked: queue.SimpleQueue[tuple[int, Future[None]] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT: a task under way may go on for `grace_seconds`, then it goes back. Does not
        return: the process ends.
        """
        settings = self._service.settings
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._told.set())
        # The row first: nobody may take a worker for dead that has just claimed its first task.
        self._workers.arrive(self.id, os.getpid(), settings.device, settings.model_names)
        clear_work(settings.data / "work", set(self._workers.here()))
        sender = Sender(self._service.database, self._service.sealer, settings)
        self._model_thread.start()
        for name, work in (
            ("beat", self._beat),
            ("sweep", lambda: Sweeper(self._service).run(self._ended)),
            ("callbacks", lambda: sender.run(self._ended)),
        ):
            threading.Thread(target=work, name=name, daemon=True).start()
        listen(
            config_of(self._service.database, self.id),
            settings.model_names,
            self._carry,
            poll_seconds=settings.poll_seconds,
        )
        log.info("worker ready", worker=self.id, models=list(settings.model_names))
        self._told.wait()
        self._leave(settings.grace_seconds)

    def _carry(self, task_id: int) -> None:
        """Hand a task to the model thread and wait for it."""
        if self._told.is_set():
            # Left as it is: handed out again once this worker is gone.
            threading.Event().wait()
        done: Future[None] = Future()
        self._carried.add(task_id)
        self._asked.put((task_id, done))
        try:
            done.result()
        finally:
            self._carried.discard(task_id)

    def _carry_all(self) -> None:
        """One task after the other. In a thread of its own: the model process dies with the thread that starts it."""
        while (asked := self._asked.get()) is not None:
            task_id, done = asked
            try:
                self._carrier.carry(task_id)
                done.set_result(None)
            except Exception as error:
                log.exception("carry", task=str(task_id))
                done.set_exception(error)
        self._carrier.stop()

    def _beat(self) -> None:
        settings = self._service.settings
        look_at = time.monotonic()
        while not self._ended.wait(settings.beat_seconds):
            try:
                heard = self._workers.beat(self.id)
                if time.monotonic() > look_at:
                    look_at = time.monotonic() + 2 * settings.lease_seconds
                    self._look_for_strays()
            except SQLAlchemyError as error:
                log.warning("beat", worker=self.id, error=str(error))
                heard = True
            if not heard:
                log.error("declared dead", worker=self.id)
                self._carrier.close()
                os._exit(DECLARED_DEAD)
            if self._parent is not None and os.getppid() != self._parent:
                self._told.set()

    def _look_for_strays(self) -> None:
        """A task that the engine claimed for this worker when the database went away is carried by nobody. Ending
        gives it back: taken from a process that lives, the engine might wait for itself.
        """
        with self._service.database.read() as c:
            held = self._service.engine.held_by(c, self.id) - self._carried
        self._stray = {task_id: self._stray.get(task_id, 0) + 1 for task_id in held}
        if STRAY_LOOKS in self._stray.values() and not self._told.is_set():
            log.error("claimed and not carried", worker=self.id, tasks=[str(task_id) for task_id in held])
            self._told.set()

    def _leave(self, grace: float) -> None:
        """Let the task under way end, or give it back; then go, without waiting for the engine: it would wait for
        whoever makes that task now.
        """
        log.info("worker leaving", worker=self.id)
        self._say(self._workers.drain)
        self._asked.put(None)
        self._model_thread.join(grace)
        self._leaving.set()
        self._model_thread.join(STOP_SECONDS + grace)
        self._ended.set()
        shutil.rmtree(self._service.settings.data / "work" / self.id, ignore_errors=True)
        self._say(self._workers.leave)
        os._exit(0)

    def _say(self, tell: Callable[[str], object]) -> None:
        try:
            tell(self.id)
        except SQLAlchemyError as error:
            # It will be taken for dead, which does as well.
            log.warning("leaving unheard", worker=self.id, error=str(error))
