"""The service's tasks: accepting, finding, and what their owners may do to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select, update

from kinora.service.engine import Engine
from kinora.service.errors import Clash, Missing
from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import assets, outputs, tasks
from kinora.service.tasks.leasing import DAY_MS, Fenced, Leasing, Outcome, close_task, tell
from kinora.service.tasks.reading import WAITS, Reading, by_id
from kinora.service.tasks.submitting import Announce, Holds, Submission, Submitting
from kinora.service.tasks.task import Task

__all__ = ["Tasks"]

_STANDS = {"submitted": "still waits", "processing": "is under way"}
"""How a task that is not over stands."""


class Tasks(Reading):
    """The HTTP side of the tasks; `leasing` is the workers'."""

    def __init__(
        self, database: Database, settings: Settings, ledger: Holds, engine: Engine, announce: Announce
    ) -> None:
        super().__init__(database)
        self._ledger = ledger
        self._engine = engine
        self._announce = announce
        self._keep_ms = int(settings.retention_days * DAY_MS)
        self._submitting = Submitting(database, ledger, engine, announce)
        self.leasing = Leasing(
            database, ledger, engine, announce, attempts=settings.attempts, days=settings.retention_days
        )

    def submit(self, submission: Submission) -> Task:
        """Accept a task: see `Submitting.submit`."""
        return self._submitting.submit(submission)

    def known(self, account_id: int, key: str, asked: str) -> Task | None:
        """The task of an earlier submission under the same key, as it was then: see `Submitting.known`."""
        return self._submitting.known(account_id, key, asked)

    def cancel(self, account_id: int | None, task_id: int) -> Task:
        """Stop a task: one that waits at once, one under way before its next step. One that is over stays as it is."""
        self.get(account_id, task_id)
        with self._database.write() as c:
            try:
                waits = [tasks.c.state == "submitted"]
                cancelled = Outcome(state="cancelled")
                close_task(c, task_id, waits, cancelled, self._ledger, self._announce, keep_ms=self._keep_ms)
            except Fenced:
                c.execute(
                    update(tasks).where(tasks.c.id == task_id, tasks.c.state == "processing").values(cancelling=True)
                )
        return self.get(account_id, task_id)

    def pause(self, account_id: int | None, task_id: int) -> Task:
        """Keep a task that waits from being made. Raises `Clash` for one that does not wait."""
        with self._waiting(account_id, task_id, "paused") as (c, owner):
            c.execute(update(tasks).where(tasks.c.id == task_id).values(paused=True, updated_at=now_ms()))
            self._engine.pause(c, task_id)
            tell(c, owner, task_id, "state", {"state": "submitted", "paused": True})
        return self.get(account_id, task_id)

    def go_on(self, account_id: int | None, task_id: int) -> Task:
        """Let a paused task be made. Raises `Clash` for one that is under way or over."""
        with self._waiting(account_id, task_id, "resumed") as (c, owner):
            c.execute(update(tasks).where(tasks.c.id == task_id).values(paused=False, updated_at=now_ms()))
            self._engine.go_on(c, task_id)
            tell(c, owner, task_id, "state", {"state": "submitted", "paused": False})
        return self.get(account_id, task_id)

    def move_first(self, account_id: int | None, task_id: int) -> Task:
        """Put a task before its account's others. Raises `Clash` for one that does not wait."""
        with self._waiting(account_id, task_id, "moved") as (c, owner):
            first = c.execute(
                select(func.min(tasks.c.turn)).where(*WAITS, tasks.c.account_id == owner, tasks.c.id != task_id)
            ).scalar()
            if first is not None:
                turn = max(1, first - 1)
                c.execute(update(tasks).where(tasks.c.id == task_id).values(turn=turn, updated_at=now_ms()))
                self._engine.move(c, task_id, turn)
        return self.get(account_id, task_id)

    def delete(self, account_id: int | None, task_id: int) -> None:
        """Forget a task and its outputs. Raises `Clash` for one that is not over."""
        task = self.get(account_id, task_id)
        if not task.ended:
            raise Clash(f"Task {task_id} {_STANDS[task.state]}; cancel it before you delete it.")
        now = now_ms()
        with self._database.write() as c:
            c.execute(update(tasks).where(tasks.c.id == task_id).values(deleted_at=now))
            here = outputs.c.task_id == task_id, outputs.c.deleted_at.is_(None)
            for digest in (outputs.c.digest, outputs.c.marked, outputs.c.thumbnail):
                # The next sweep takes the files, where nothing else needs them.
                named = assets.c.account_id == task.account_id, assets.c.digest.in_(select(digest).where(*here))
                c.execute(update(assets).where(*named).values(expires_at=now))
            c.execute(update(outputs).where(*here).values(deleted_at=now, expires_at=now))

    @contextmanager
    def _waiting(self, account_id: int | None, task_id: int, done: str) -> Iterator[tuple[Connection, int]]:
        """A transaction on a task that waits, and its owner; raises `Missing` or `Clash` for any other task."""
        query = select(tasks.c.state, tasks.c.account_id).where(
            by_id(tasks.c.id, task_id), tasks.c.deleted_at.is_(None)
        )
        if account_id is not None:
            query = query.where(tasks.c.account_id == account_id)
        with self._database.write() as c:
            row = c.execute(query.with_for_update()).first()
            if row is None:
                raise Missing(f"There is no task {task_id}.")
            if row.state != "submitted":
                stands = _STANDS.get(row.state, "is over")
                raise Clash(f"Task {task_id} {stands}; only a task that waits can be {done}.")
            yield c, row.account_id
