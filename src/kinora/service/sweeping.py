"""What must be looked after again and again: dead workers, tasks gone adrift, what is over."""

from __future__ import annotations

import threading
import time

from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from kinora.service.observing import log as logger
from kinora.service.service import Service
from kinora.service.store import now_ms
from kinora.service.store.tables import answers, events, tasks
from kinora.service.workers import Watch, Workers

__all__ = ["Sweeper"]

log = logger("kinora.sweep")

DAY_MS = 86_400_000
ADRIFT_SECONDS = 60.0
RETENTION_SECONDS = 600.0
EVENTS_DAYS = 3
ANSWERS_DAYS = 2


class Sweeper:
    """Sweeps in one thread; any number of processes may sweep the same database."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._workers = Workers(service.database, service.settings)
        self._watch = Watch(service.settings.lease_seconds)
        self._due = {"adrift": 0.0, "retention": 0.0}

    def run(self, ended: threading.Event) -> None:
        """Sweep until told otherwise."""
        pause = max(0.2, self._service.settings.lease_seconds / 4)
        while not ended.wait(pause):
            try:
                self.recover()
                if self._is_due("adrift", ADRIFT_SECONDS):
                    self.bring_back()
                if self._is_due("retention", RETENTION_SECONDS):
                    self.clear()
            except DBAPIError as error:
                log.warning("sweep", error=str(error.orig))

    def recover(self) -> list[int]:
        """Hand out again what dead workers had; returns the tasks."""
        here = self._workers.here()
        silent = self._watch.silent(here)
        with self._service.database.read() as c:
            held = self._service.engine.held_by_others(c, here.keys() - silent)
        if silent or held:
            # Looked at again under the write lock: only what is still so is changed.
            with self._service.database.write() as c:
                self._workers.bury(c, silent)
                held = self._service.engine.held_by_others(c, self._workers.listed(c))
                self._service.engine.requeue(c, held)
        if held:
            log.warning("recovered", tasks=[str(task_id) for task_id in held], dead=sorted(silent))
        return held

    def bring_back(self) -> list[int]:
        """Hand out again what nobody carries, though it is not over."""
        with self._service.database.write() as c:
            adrift = self._service.engine.adrift(c, now_ms() - int(ADRIFT_SECONDS * 1000))
            if adrift:
                for task_id in adrift:
                    row = c.execute(select(tasks.c.model, tasks.c.turn).where(tasks.c.id == task_id)).one()
                    self._service.engine.enqueue(c, task_id, row.model, row.turn)
                self._service.engine.requeue(c, adrift)
                log.warning("brought back", tasks=[str(task_id) for task_id in adrift])
        return adrift

    def clear(self) -> None:
        """Let go of what is over: units, files, old events and workflows."""
        now = now_ms()
        with self._service.database.write() as c:
            self._service.ledger.expire(c, now)
            c.execute(delete(events).where(events.c.created_at < now - EVENTS_DAYS * DAY_MS))
            c.execute(delete(answers).where(answers.c.created_at < now - ANSWERS_DAYS * DAY_MS))
        while True:
            with self._service.database.write() as c:
                if not self._service.engine.clean(c, now - DAY_MS):
                    break
        self._service.assets.expire(now)

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + seconds
        return True
