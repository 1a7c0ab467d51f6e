"""What must be looked after again and again: dead workers, tasks gone adrift, what is over."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from kinora.service.errors import Unavailable
from kinora.service.observing import log as logger
from kinora.service.service import Service
from kinora.service.store import now_ms
from kinora.service.store.tables import answers, assets, elements, events, outputs, tasks, workers
from kinora.service.tasks import ENDED
from kinora.service.workers import Watch, Workers

__all__ = ["Sweeper"]

log = logger("kinora.sweep")

DAY_MS = 86_400_000
ADRIFT_SECONDS = 60.0
RETENTION_SECONDS = 600.0
ASTRAY_SECONDS = 86_400.0
EVENTS_DAYS = 3
ANSWERS_DAYS = 2
WORKERS_DAYS = 7
CALLBACKS_DAYS = 30
DIGEST = re.compile(r"[0-9a-f]{64}")


class Sweeper:
    """Sweeps in one thread; any number of processes may sweep the same database."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._workers = Workers(service.database, service.settings)
        self._watch = Watch(service.settings.lease_seconds)
        # Every object is listed for it: not by all processes when all of them start.
        self._due = {"astray": time.monotonic() + random.uniform(0.1, 1.0) * 3600}

    def run(self, ended: threading.Event) -> None:
        """Sweep until told otherwise."""
        pause = max(0.2, self._service.settings.lease_seconds / 4)
        acts: tuple[tuple[str, float, Callable[[], object]], ...] = (
            ("recover", 0.0, self.recover),
            ("adrift", ADRIFT_SECONDS, self.bring_back),
            ("retention", RETENTION_SECONDS, self.clear),
            ("astray", ASTRAY_SECONDS, self.clear_astray),
        )
        while not ended.wait(pause):
            for what, seconds, act in acts:
                if self._is_due(what, seconds):
                    self._try(what, act)

    def _try(self, what: str, act: Callable[[], object]) -> None:
        """Whatever goes wrong once, the next round may do: without sweeps a dead worker's tasks are lost."""
        try:
            act()
        except Exception as error:
            if isinstance(error, (SQLAlchemyError, Unavailable)):
                log.warning("sweep", what=what, error=str(error))
            else:
                log.exception("sweep", what=what)
            # What failed here may have failed the workers' beats too: their silence is counted anew.
            self._watch = Watch(self._service.settings.lease_seconds)

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
        self._expire_units(now)
        with self._service.database.write() as c:
            c.execute(delete(events).where(events.c.created_at < now - EVENTS_DAYS * DAY_MS))
            c.execute(delete(answers).where(answers.c.created_at < now - ANSWERS_DAYS * DAY_MS))
            gone = workers.c.state.in_(("dead", "gone")), workers.c.beat_at < now - WORKERS_DAYS * DAY_MS
            c.execute(delete(workers).where(*gone))
            self._service.webhooks.expire(c, now - CALLBACKS_DAYS * DAY_MS)
            if self._service.settings.retention_days > 0:  # else files are kept until they are deleted
                over = outputs.c.deleted_at.is_(None), outputs.c.expires_at <= now
                c.execute(update(outputs).where(*over).values(deleted_at=now))
            self._spare(c, now)
        while True:
            with self._service.database.write() as c:
                if not self._service.engine.clean(c, now - DAY_MS):
                    break
        self._service.assets.expire(now)

    def _expire_units(self, now: int) -> None:
        """A few lots at a time, so that no writer waits for long."""
        while True:
            with self._service.database.write() as c:
                if not self._service.ledger.expire(c, now):
                    return

    def clear_astray(self) -> None:
        """Let go of files that nobody names any more: their process died between two acts, or a task ended without a
        worker.
        """
        now = now_ms()
        self._service.assets.sweep(now)
        objects = self._service.objects
        found = {item.path.split("/")[1] for item in objects.list("work")}
        for task_id in sorted(name for name in found if name.isdecimal()):
            with self._service.database.read() as c:
                state = c.execute(select(tasks.c.state).where(tasks.c.id == int(task_id))).scalar()
            if state is None or state in ENDED:
                objects.delete_all(f"work/{task_id}/")

    def _spare(self, c: Connection, now: int) -> None:
        """Keep files whose time is over a day longer where a task that is not over, or an element, needs them."""
        owners = select(assets.c.account_id).where(assets.c.expires_at <= now)
        by_tasks = select(tasks.c.account_id, tasks.c.request).where(
            tasks.c.state.not_in(ENDED), tasks.c.account_id.in_(owners)
        )
        by_elements = select(elements.c.account_id, elements.c.body).where(
            elements.c.deleted_at.is_(None), elements.c.account_id.in_(owners)
        )
        for account_id, needing in [*c.execute(by_tasks), *c.execute(by_elements)]:
            named = DIGEST.findall(json.dumps(needing))
            if named:
                due = assets.c.account_id == account_id, assets.c.digest.in_(named), assets.c.expires_at <= now
                c.execute(update(assets).where(*due).values(expires_at=now + DAY_MS))

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True
