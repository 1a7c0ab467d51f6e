"""For whoever runs the service: all accounts, all tasks, workers, figures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints

from kinora.service import figures
from kinora.service.api.auth import Admin, Serving
from kinora.service.api.native.account import (
    AccountAnswer,
    BalanceAnswer,
    KeyAnswer,
    NewKeyAnswer,
    NewKeyWish,
    Password,
    account_answer,
    key_answer,
)
from kinora.service.api.native.answers import State, TaskAnswer, answer_of
from kinora.service.api.native.route import NativeRoute
from kinora.service.api.native.shapes import Before, Id, IdPath, Limit, Name, Shape, base_of
from kinora.service.errors import Invalid
from kinora.service.store import new_id
from kinora.service.store.tables import tasks
from kinora.service.sweeping import Sweeper
from kinora.service.workers import Workers

__all__ = ["router"]

router = APIRouter(prefix="/api/admin", route_class=NativeRoute, tags=["admin"])

Role = Literal["member", "admin"]
Plan = Literal["free", "standard", "pro", "premier", "ultra", "house"]
Language = Literal["zh", "en"]
MOST_DAYS = 400


class AdminAccount(Shape):
    """An account and its units."""

    account: AccountAnswer = Field(description="The account.")
    balance: BalanceAnswer = Field(description="Its units.")


class Accounts(Shape):
    """Accounts, the oldest first."""

    accounts: list[AccountAnswer] = Field(description="The accounts.")
    next: Id | None = Field(description="Ask with `after` set to this for more; null when there are none.")


class AccountWish(Shape):
    """An account to be made."""

    name: Name = Field(description="What it is to be called; no other account may be.")
    role: Role = Field(default="member", description="Administrators may see and change all accounts.")
    plan: Plan = Field(default="free", description="What it may do.")
    language: Language = Field(default="zh", description="Of the labels on what it makes.")
    password: Password | None = Field(default=None, description="To log in with; null: keys alone open it.")


class AccountChange(Shape):
    """What is to change of an account; what is left out stays."""

    name: Name | None = Field(default=None, description="A new name.")
    role: Role | None = Field(default=None, description="Another role.")
    state: Literal["active", "suspended", "closed"] | None = Field(
        default=None, description="A suspended account may do nothing; a closed one has lost its keys, too."
    )
    plan: Plan | None = Field(default=None, description="Another plan.")
    language: Language | None = Field(default=None, description="Another language.")
    password: Password | None = Field(default=None, description="A new password; it ends the account's sessions.")


class GrantWish(Shape):
    """Units to be given."""

    amount: int = Field(ge=1, le=10**12, description="How many units.")
    source: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")] = Field(
        default="gift", description="Why: gift, purchase, or a word of your own."
    )
    period: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,32}$")] | None = Field(
        default=None, description="Names this grant among those of its source, so that it is given once."
    )
    expires_at: int | None = Field(default=None, ge=1, lt=2**53, description="When what is left ends: ms since 1970.")


class Granted(Shape):
    """What a grant came to."""

    given: bool = Field(description="False when this grant was given before.")
    balance: BalanceAnswer = Field(description="The account's units now.")


class AdminKeys(Shape):
    """An account's keys, the newest first."""

    keys: list[KeyAnswer] = Field(description="The keys.")


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


@router.get("/accounts", operation_id="admin_list_accounts")
def list_accounts(
    service: Serving,
    caller: Admin,
    state: Annotated[
        Literal["active", "suspended", "closed"] | None, Query(description="In this state alone.")
    ] = None,
    after: Annotated[Id | None, Query(description="From behind this id on: `next` of a page.")] = None,
    limit: Limit = 50,
) -> Accounts:
    """All accounts, the oldest first."""
    found = service.accounts.page(limit=limit, after=None if after is None else int(after), state=state)
    return Accounts(
        accounts=[account_answer(account) for account in found],
        next=str(found[-1].id) if len(found) == limit else None,
    )


@router.post("/accounts", operation_id="admin_create_account", status_code=201)
def create_account(service: Serving, caller: Admin, wish: AccountWish) -> AccountAnswer:
    """Make an account."""
    return account_answer(
        service.accounts.create(
            wish.name, role=wish.role, plan=wish.plan, language=wish.language, password=wish.password
        )
    )


@router.get("/accounts/{account_id}", operation_id="admin_get_account")
def get_account(service: Serving, caller: Admin, account_id: IdPath) -> AdminAccount:
    """One account and its units."""
    account = service.accounts.get(int(account_id))
    with service.database.read() as c:
        balance = service.ledger.balance(c, account.id)
    return AdminAccount(
        account=account_answer(account), balance=BalanceAnswer(available=balance.available, held=balance.held)
    )


@router.patch("/accounts/{account_id}", operation_id="admin_change_account")
def change_account(service: Serving, caller: Admin, account_id: IdPath, change: AccountChange) -> AccountAnswer:
    """Change an account: suspend or close it, give it another plan or role."""
    fields = change.model_dump(exclude_none=True)
    if int(account_id) == caller.account.id and fields.keys() & {"role", "state"}:
        raise Invalid("Nobody suspends, closes or demotes himself; let another administrator do it.", field="state")
    return account_answer(service.accounts.change(int(account_id), **fields))


@router.post("/accounts/{account_id}/grants", operation_id="admin_grant", status_code=201)
def grant(service: Serving, caller: Admin, account_id: IdPath, wish: GrantWish) -> Granted:
    """Give units to an account, once for each source and period."""
    account = service.accounts.get(int(account_id))
    with service.database.write() as c:
        given = service.ledger.grant(
            c,
            account.id,
            wish.amount,
            source=wish.source,
            period=wish.period or str(new_id()),
            expires_at=wish.expires_at,
        )
        balance = service.ledger.balance(c, account.id)
    return Granted(given=given, balance=BalanceAnswer(available=balance.available, held=balance.held))


@router.get("/accounts/{account_id}/keys", operation_id="admin_list_keys")
def list_keys(service: Serving, caller: Admin, account_id: IdPath) -> AdminKeys:
    """An account's keys."""
    account = service.accounts.get(int(account_id))
    return AdminKeys(keys=[key_answer(key) for key in service.accounts.keys(account.id)])


@router.post("/accounts/{account_id}/keys", operation_id="admin_create_key", status_code=201)
def create_key(service: Serving, caller: Admin, account_id: IdPath, wish: NewKeyWish) -> NewKeyAnswer:
    """Make a key for an account; its secret is shown in this answer alone."""
    made = service.accounts.new_key(int(account_id), wish.name, kind=wish.kind)
    return NewKeyAnswer(key=key_answer(made.key), secret=made.secret, access_key=made.access_key)


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
    first: Annotated[date | None, Query(description="The first day; thirty days before the last where left out.")] = None,
    last: Annotated[date | None, Query(description="The last day; today (UTC) where left out.")] = None,
) -> Figures:
    """Active accounts by day and month, tasks and units by day."""
    last = last or datetime.now(UTC).date()
    first = first or last - timedelta(days=min(29, last.toordinal() - 1))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Invalid(f"Figures are told for 1 to {MOST_DAYS} days, not from {first} to {last}.", field="first")
    if not (2000 <= first.year and last.year < 9999):
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
