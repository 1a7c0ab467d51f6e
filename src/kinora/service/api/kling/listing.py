"""Tasks of one route, or by their ids. What other services' routes made is no part of a route's list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, or_, select

from kinora.service.errors import Missing
from kinora.service.store.tables import outputs, tasks
from kinora.service.tasks import Output, Task

if TYPE_CHECKING:
    from kinora.service.store import Database

__all__ = ["found", "number_of", "one", "page_of"]

LARGEST = 2**63


def number_of(told: str) -> int:
    """The number in an id; raises `Missing` for what is none of ours."""
    if not (told.isascii() and told.isdigit() and len(told) <= 19 and int(told) < LARGEST):
        raise Missing(f"There is nothing with the id {told[:64]!r}.")
    return int(told)


def one(database: Database, account_id: int, told: str) -> Task:
    """The account's task by its id or the id that its owner gave it; raises `Missing`."""
    known = found(database, account_id, ids=[told], external_ids=[told])
    if not known:
        raise Missing(f"There is no task {told[:64]!r}; give a task_id, or an external_task_id.")
    # A number that both are: the id is told first.
    return next((task for task in known if str(task.id) == told), known[0])


def found(
    database: Database, account_id: int, *, ids: Sequence[str] = (), external_ids: Sequence[str] = ()
) -> list[Task]:
    """The account's tasks of these ids or those, newest first; unknown ones are left out."""
    numbers = [int(told) for told in ids if told.isascii() and told.isdigit() and len(told) <= 19]
    known = [number for number in numbers if number < LARGEST]
    which = or_(tasks.c.id.in_(known), tasks.c.external_id.in_([told for told in external_ids if "\0" not in told]))
    return _read(database, account_id, which)


def page_of(database: Database, account_id: int, route: str, *, limit: int, offset: int) -> list[Task]:
    """The tasks that a legacy route made, newest first."""
    return _read(database, account_id, tasks.c.wire["route"].as_string() == route, limit=limit, offset=offset)


def _read(database: Database, account_id: int, which: ColumnElement[bool], **cut: int) -> list[Task]:
    mine = select(tasks).where(tasks.c.account_id == account_id, tasks.c.deleted_at.is_(None), which)
    query = mine.order_by(tasks.c.id.desc()).limit(cut.get("limit")).offset(cut.get("offset"))
    with database.read() as c:
        rows = c.execute(query).mappings().all()
        done = [row["id"] for row in rows if row["state"] == "succeed"]
        made: dict[int, list[Output]] = {}
        alive = select(outputs).where(outputs.c.task_id.in_(done), outputs.c.deleted_at.is_(None))
        for row in c.execute(alive.order_by(outputs.c.place)).mappings() if done else ():
            made.setdefault(row["task_id"], []).append(Output.of(row))
    return [Task.of(row, made.get(row["id"], ())) for row in rows]
