"""For whoever runs the service: everybody's tasks, the workers, figures, and what is swept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field

from kinora.service import figures
from kinora.service.api.auth import Admin, Serving
from kinora.service.api.native.answers import State, TaskAnswer, answer_of
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Id, IdPath, Limit, Shape, base_of
from kinora.service.errors import Invalid
from kinora.service.store.tables import tasks
from kinora.service.sweeping import Sweeper
from kinora.service.workers import Workers

__all__ = ["router"]

router = native_router("admin", prefix="/api/admin")

MOST_DAYS = 400


class AdminTask(Shape):
    """A task and whose it is."""

    account_id: Id = Field(description="Whose it is.")
    worker_id: str | None = Field(description="The worker that has it, or had it last.")
    task: TaskAnswer = Field(description="The task.")


class AdminTasks(Shape):
    """Tasks of all accounts, the newest first."""

    tasks: list[AdminTask] = Field(description="The tasks.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


class WorkerAnswer(Shape):
    """A worker."""

    id: str = Field(description="The worker's id.")
    host: str = Field(description="The machine it runs on.")
    pid: int = Field(description="Its process there.")
    device: str = Field(description="What it computes with.")
    models: list[str] = Field(description="The models it runs.")
    state: Literal["live", "draining", "dead", "gone"] = Field(description="dead: not heard of; gone: ended.")
    started_at: int = Field(description="Milliseconds since 1970.")
    beat_at: int = Field(description="When it was last heard of: milliseconds since 1970.")


class WorkerList(Shape):
    """Workers, the newest first."""

    workers: list[WorkerAnswer] = Field(description="The workers.")


class DayFigures(Shape):
    """A day's figures (UTC)."""

    day: date = Field(description="The day.")
    accounts: int = Field(description="Accounts that asked for a task.")
    tasks: int = Field(description="Tasks accepted.")
    succeeded: int = Field(description="How many of them have succeeded.")
    failed: int = Field(description="How many of them have failed.")
    cancelled: int = Field(description="How many of them were cancelled.")
    units: int = Field(description="Units charged for them.")


class MonthFigures(Shape):
    """A month's figures (UTC)."""

    month: date = Field(description="Its first day.")
    accounts: int = Field(description="Accounts that asked for a task.")
    tasks: int = Field(description="Tasks accepted.")
    units: int = Field(description="Units charged for them.")


class Figures(Shape):
    """How much the service was used."""

    days: list[DayFigures] = Field(description="Each day of the span.")
    months: list[MonthFigures] = Field(description="Each month that the span touches, whole.")
    states: dict[str, int] = Field(description="Tasks by state at this moment.")


class Swept(Shape):
    """What a sweep did."""

    recovered: int = Field(description="Tasks of dead workers that were handed out again.")
    brought_back: int = Field(description="Tasks that nobody carried and that were handed out again.")


@router.get("/tasks", operation_id="admin_list_tasks")
def list_tasks(
    request: Request,
    service: Serving,
    caller: Admin,
    state: Annotated[list[State] | None, Query(description="In these states alone; may be repeated.")] = None,
    account_id: Annotated[Id | None, Query(description="Of this account alone.")] = None,
    before: Before = None,
    limit: Limit = 30,
) -> AdminTasks:
    """Tasks of all accounts, the newest first."""
    found = service.tasks.page(
        None if account_id is None else int(account_id),
        states=state or (),
        before=None if before is None else int(before),
        limit=limit,
    )
    base = base_of(request)
    told = [
        AdminTask(
            account_id=str(task.account_id),
            worker_id=task.worker_id,
            task=answer_of(service, task, base, place=False),
        )
        for task in found
    ]
    return AdminTasks(tasks=told, next=str(found[-1].id) if len(found) == limit else None)


@router.post("/tasks/{task_id}/cancel", operation_id="admin_cancel_task")
def cancel_task(request: Request, service: Serving, caller: Admin, task_id: IdPath) -> TaskAnswer:
    """Cancel anybody's task."""
    return answer_of(service, service.tasks.cancel(None, int(task_id)), base_of(request))


@router.get("/workers", operation_id="admin_list_workers")
def list_workers(
    service: Serving,
    caller: Admin,
    all_of_them: Annotated[bool, Query(alias="all", description="Also those dead and gone.")] = False,
) -> WorkerList:
    """The workers."""
    rows = Workers(service.database, service.settings).page(here_only=not all_of_them)
    told = [name for name in WorkerAnswer.model_fields if name != "models"]
    return WorkerList(
        workers=[WorkerAnswer(**{name: getattr(row, name) for name in told}, models=list(row.models)) for row in rows]
    )


@router.get("/figures", operation_id="admin_figures")
def get_figures(
    service: Serving,
    caller: Admin,
    first: Annotated[
        date | None, Query(description="The first day; thirty days before the last where left out.")
    ] = None,
    last: Annotated[date | None, Query(description="The last day; today (UTC) where left out.")] = None,
) -> Figures:
    """Active accounts by day and month, tasks and units by day."""
    last = last or datetime.now(UTC).date()
    first = first or last - timedelta(days=min(29, last.toordinal() - 1))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Invalid(f"Figures are told for 1 to {MOST_DAYS} days, not from {first} to {last}.", field="first")
    if not (first.year >= 2000 and last.year < 9999):
        raise Invalid(f"There are no figures from {first} to {last}; choose days of this century.", field="first")
    with service.database.read() as c:
        states = c.execute(sa.select(tasks.c.state, sa.func.count()).group_by(tasks.c.state)).all()
    return Figures(
        days=[DayFigures(**vars(day)) for day in figures.by_day(service.database, first, last)],
        months=[MonthFigures(**vars(month)) for month in figures.by_month(service.database, first, last)],
        states={state: int(count) for state, count in states},
    )


@router.post("/sweep", operation_id="admin_sweep")
def sweep(service: Serving, caller: Admin) -> Swept:
    """Do now what is done every few minutes: let go of what is over (retention), hand out what dead workers had."""
    sweeper = Sweeper(service)
    recovered, brought_back = sweeper.recover(), sweeper.bring_back()
    sweeper.clear()
    return Swept(recovered=len(recovered), brought_back=len(brought_back))
