"""Finding tasks again. Another account's are as if they did not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, func, select
from sqlalchemy.sql.selectable import Select

from kinora.service.errors import Missing
from kinora.service.store import Database
from kinora.service.store.tables import events, outputs, tasks
from kinora.service.tasks.task import Event, Output, Task

__all__ = ["WAITS", "Reading", "by_id"]

LARGEST = 2**63
"""What no id reaches, and no database takes."""
WAITS = (tasks.c.state == "submitted", ~tasks.c.paused)


class Reading:
    """Questions about tasks; `account_id` None asks about everybody's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, account_id: int | None, task_id: int) -> Task:
        """Raises `Missing`."""
        return self._one(account_id, by_id(tasks.c.id, task_id), f"There is no task {task_id}.")

    def find(self, account_id: int, external_id: str) -> Task:
        """By the id that its owner gave it; raises `Missing`."""
        return self._one(
            account_id, tasks.c.external_id == external_id, f"There is no task with the external id {external_id!r}."
        )

    def output(self, account_id: int | None, output_id: int) -> Output:
        """Raises `Missing` for one that is deleted, too."""
        query = select(outputs).where(by_id(outputs.c.id, output_id), outputs.c.deleted_at.is_(None))
        with self._database.read() as c:
            row = c.execute(query.where(*_of(outputs.c.account_id, account_id))).mappings().first()
        if row is None:
            raise Missing(f"There is no output {output_id}; outputs are deleted when their time is over.")
        return Output.of(row)

    def page(
        self,
        account_id: int | None,
        *,
        kinds: Sequence[str] = (),
        states: Sequence[str] = (),
        limit: int = 30,
        offset: int = 0,
        before: int | None = None,
        after: int | None = None,
        since: int | None = None,
        until: int | None = None,
        oldest_first: bool = False,
    ) -> list[Task]:
        """Tasks, newest first: with ids below `before` and above `after`, accepted from `since` to `until` (times)."""
        where = _chosen(account_id, kinds, states, since, until)
        if before is not None:
            where.append(tasks.c.id < before)
        if after is not None:
            where.append(tasks.c.id > after)
        order = tasks.c.id.asc() if oldest_first else tasks.c.id.desc()
        with self._database.read() as c:
            return self._with_outputs(c, select(tasks).where(*where).order_by(order).limit(limit).offset(offset))

    def count(
        self, account_id: int | None, *, kinds: Sequence[str] = (), states: Sequence[str] = (), since: int | None = None
    ) -> int:
        """How many tasks there are."""
        query = select(func.count()).select_from(tasks).where(*_chosen(account_id, kinds, states, since, None))
        with self._database.read() as c:
            return int(c.execute(query).scalar_one())

    def position(self, task: Task) -> int | None:
        """How many tasks are made before it; None for one that does not wait."""
        if task.state != "submitted" or task.paused:
            return None
        query = (
            select(func.count()).select_from(tasks).where(*WAITS, tasks.c.model == task.model, tasks.c.turn < task.turn)
        )
        with self._database.read() as c:
            return int(c.execute(query).scalar_one())

    def events(
        self, account_id: int | None, after: int, *, task_id: int | None = None, limit: int = 200
    ) -> list[Event]:
        """What happened since an event, in order."""
        where = [events.c.id > after, *_of(events.c.account_id, account_id)]
        if task_id is not None:
            where.append(events.c.task_id == task_id)
        query = select(events).where(*where).order_by(events.c.id).limit(limit)
        with self._database.read() as c:
            return [Event(**row) for row in c.execute(query).mappings()]

    def last_event(self) -> int:
        """The newest event's id; 0 where there is none."""
        with self._database.read() as c:
            return int(c.execute(select(func.max(events.c.id))).scalar() or 0)

    def _one(self, account_id: int | None, which: ColumnElement[bool], missing: str) -> Task:
        with self._database.read() as c:
            found = self._with_outputs(c, select(tasks).where(which, *_chosen(account_id, (), (), None, None)))
        if not found:
            raise Missing(missing)
        return found[0]

    def _with_outputs(self, c: Connection, query: Select[Any]) -> list[Task]:
        rows = c.execute(query).mappings().all()
        made: dict[int, list[Output]] = {row["id"]: [] for row in rows if row["state"] == "succeed"}
        if made:
            chosen = outputs.c.task_id.in_(made), outputs.c.deleted_at.is_(None)
            for row in c.execute(select(outputs).where(*chosen).order_by(outputs.c.place)).mappings():
                made[row["task_id"]].append(Output.of(row))
        return [Task.of(row, made.get(row["id"], ())) for row in rows]


def by_id(column: ColumnElement[int], wanted: int) -> ColumnElement[bool]:
    """A row by its id; none by a number that no database takes."""
    return column == wanted if 0 < wanted < LARGEST else false()


def _of(column: ColumnElement[int], account_id: int | None) -> list[ColumnElement[bool]]:
    return [] if account_id is None else [column == account_id]


def _chosen(
    account_id: int | None, kinds: Sequence[str], states: Sequence[str], since: int | None, until: int | None
) -> list[ColumnElement[bool]]:
    where = [tasks.c.deleted_at.is_(None), *_of(tasks.c.account_id, account_id)]
    if kinds:
        where.append(tasks.c.kind.in_(kinds))
    if states:
        where.append(tasks.c.state.in_(states))
    if since is not None:
        where.append(tasks.c.created_at >= since)
    if until is not None:
        where.append(tasks.c.created_at <= until)
    return where
