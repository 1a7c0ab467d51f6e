"""`kinora worker`: takes tasks from the database, has its model process make them, and is heard of while it lives.

A worker that finds itself declared dead ends at once, without a word: its tasks are others' already.
"""

from __future__ import annotations

import os
import queue
import secrets
import signal
import socket
import threading
from concurrent.futures import Future

from sqlalchemy.exc import DBAPIError

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
        self._asked.put((task_id, done))
        done.result()

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
        while not self._ended.wait(self._service.settings.beat_seconds):
            try:
                heard = self._workers.beat(self.id)
            except DBAPIError as error:
                log.warning("beat", worker=self.id, error=str(error.orig))
                continue
            if not heard:
                log.error("declared dead", worker=self.id)
                self._carrier.close()
                os._exit(DECLARED_DEAD)
            if self._parent is not None and os.getppid() != self._parent:
                self._told.set()

    def _leave(self, grace: float) -> None:
        """Let the task under way end, or give it back; then go, without waiting for the engine: it would wait for
        whoever makes that task now.
        """
        log.info("worker leaving", worker=self.id)
        self._workers.drain(self.id)
        self._asked.put(None)
        self._model_thread.join(grace)
        self._leaving.set()
        self._model_thread.join(STOP_SECONDS + grace)
        self._ended.set()
        self._workers.leave(self.id)
        os._exit(0)
