"""How much the service is used: accounts that were active, tasks and units, by day and by month (UTC).

An account is active on a day when it asked for a task that day. Figures are counted from the tasks as they are kept;
deleting a task takes it from its owner's sight, not from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from kinora.service.store import Database
from kinora.service.store.tables import tasks

__all__ = ["Day", "Month", "by_day", "by_month"]

DAY_MS = 86_400_000
COUNTS = ("accounts", "tasks", "succeeded", "failed", "cancelled", "units")


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day's figures; of tasks by the day on which they were accepted."""

    day: date
    accounts: int
    """Active ones."""
    tasks: int
    succeeded: int
    failed: int
    cancelled: int
    units: int
    """Charged so far."""


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month's figures."""

    month: date
    """Its first day."""
    accounts: int
    tasks: int
    units: int


def by_day(database: Database, first: date, last: date) -> list[Day]:
    """The figures of each day from `first` to `last`, days without tasks included."""
    number = tasks.c.created_at // DAY_MS
    query = (
        sa.select(
            number.label("number"),
            sa.func.count(sa.distinct(tasks.c.account_id)).label("accounts"),
            sa.func.count().label("tasks"),
            _in_state("succeed").label("succeeded"),
            _in_state("failed").label("failed"),
            _in_state("cancelled").label("cancelled"),
            sa.func.coalesce(sa.func.sum(tasks.c.charged), 0).label("units"),
        )
        .where(*_between(first, last + timedelta(days=1)))
        .group_by(number)
    )
    with database.read() as c:
        found = {int(row.number): row for row in c.execute(query)}
    days = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        row = found.get(_start(day) // DAY_MS)
        days.append(Day(day=day, **{name: 0 if row is None else int(getattr(row, name)) for name in COUNTS}))
    return days


def by_month(database: Database, first: date, last: date) -> list[Month]:
    """The figures of each month from that of `first` to that of `last`."""
    months: list[Month] = []
    month = first.replace(day=1)
    with database.read() as c:
        while month <= last:
            after = (month + timedelta(days=32)).replace(day=1)
            row = c.execute(
                sa.select(
                    sa.func.count(sa.distinct(tasks.c.account_id)),
                    sa.func.count(),
                    sa.func.coalesce(sa.func.sum(tasks.c.charged), 0),
                ).where(*_between(month, after))
            ).one()
            months.append(Month(month=month, accounts=row[0], tasks=row[1], units=int(row[2])))
            month = after
    return months


def _in_state(state: str) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((tasks.c.state == state, 1), else_=0)), 0)


def _between(first: date, end: date) -> tuple[sa.ColumnElement[bool], ...]:
    # Ids begin with their moment, and an index of them is there in any case.
    return (tasks.c.created_at >= _start(first), tasks.c.created_at < _start(end))


def _start(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
