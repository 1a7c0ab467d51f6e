"""Accepting a task: slots, units, the task and its place in the queue, in one transaction.

Fairness is start-time fair queueing (Goyal, Vin and Cheng, 1996): a task's turn is the later of the queue's now and its
account's last turn, plus a step that is shorter for plans of more weight. The lowest turn is made first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from kinora.service.callers import Account
from kinora.service.errors import Clash, TooManyTasks
from kinora.service.store import Database, new_id, now_ms
from kinora.service.store.tables import answers, tasks
from kinora.service.tasks.accepting import accept
from kinora.service.tasks.task import IMAGES, Task

__all__ = ["TURN_STEP", "Announce", "Holds", "Submission", "Submitting", "slots_of"]

TURN_STEP = 60
"""Of a plan of weight 1; divisible by the usual weights."""


class Holds(Protocol):
    """What tasks need of the ledger."""

    def refresh(self, c: Connection, account: Account) -> None: ...
    def hold(self, c: Connection, account_id: int, task_id: int, units: int) -> bool: ...
    def settle(self, c: Connection, task_id: int, units: int) -> bool: ...
    def release(self, c: Connection, task_id: int) -> bool: ...


class Announce(Protocol):
    """Writes what a task's change is to be told to outside, within the transaction that changes it."""

    def __call__(self, c: Connection, task: Task) -> None: ...


class Queue(Protocol):
    """What submitting needs of the engine."""

    def warm(self) -> None: ...
    def enqueue(self, c: Connection, task_id: int, model: str, turn: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A task to be accepted; everything in it is checked already."""

    account: Account
    kind: str
    model: str
    request: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    wire: Mapping[str, Any] = field(default_factory=dict)
    external_id: str | None = None
    callback_url: str | None = None
    parent_id: int | None = None
    units: int = 0
    count: int = 1
    """Pictures; each takes a slot."""
    expected: float | None = None
    most_slots: int = 1
    """How many of its kind the account's plan allows at once."""
    weight: int = 1
    key: str | None = None
    """Idempotency-Key."""
    asked: str = ""
    """sha256 of what was asked under that key."""


def slots_of(kind: str, count: int) -> tuple[str, int]:
    """Which slots a task takes, and how many."""
    return ("image", count) if kind in IMAGES else ("video", 1)


class Submitting:
    """The door of the queue."""

    def __init__(self, database: Database, ledger: Holds, queue: Queue, announce: Announce) -> None:
        self._database = database
        self._ledger = ledger
        self._queue = queue
        self._announce = announce

    def submit(self, asked: Submission) -> Task:
        """Accept a task. The same key and request give the task that they gave before, as it was then.

        Raises `TooManyTasks`, `OutOfUnits` (from the ledger) and `Clash`.
        """
        self._queue.warm()
        try:
            return self._accepted(asked)
        except IntegrityError:
            # Else two processes took the same id, which happens once.
            return self._standing(asked) or self._accepted(asked)

    def _accepted(self, asked: Submission) -> Task:
        with self._database.write() as c:
            return self._accept(c, asked, new_id(), now_ms())

    def _accept(self, c: Connection, asked: Submission, task_id: int, now: int) -> Task:
        if asked.key is not None:
            answer = {"key": asked.key, "asked": asked.asked, "task_id": task_id, "created_at": now}
            c.execute(insert(answers), {"account_id": asked.account.id, **answer})
        row = _row(asked, task_id, now)
        accepted = accept(c, row, most=asked.most_slots, step=max(1, TURN_STEP // asked.weight))
        if accepted is None:
            raise TooManyTasks(_full(row["slot_kind"], row["slots"], asked.most_slots))
        self._ledger.refresh(c, asked.account)
        if not accepted.held:
            self._ledger.hold(c, asked.account.id, task_id, asked.units)
        self._queue.enqueue(c, task_id, asked.model, accepted.turn)
        task = Task(**(row | {"turn": accepted.turn}))
        if task.callback_url:
            self._announce(c, task)
        return task

    def known(self, account_id: int, key: str, asked: str) -> Task | None:
        """What an earlier submission under this key gave; raises `Clash` when it was of something else."""
        same = (answers.c.account_id == account_id) & (answers.c.key == key)
        with self._database.read() as c:
            before = c.execute(select(answers.c.asked, answers.c.task_id).where(same)).first()
            if before is None:
                return None
            if before.asked != asked:
                raise Clash(
                    f"The idempotency key {key!r} was used for another request; take a new key for this one.",
                    status=422,
                )
            row = c.execute(select(tasks).where(tasks.c.id == before.task_id)).mappings().one()
        return Task.of(row).as_submitted()

    def _standing(self, asked: Submission) -> Task | None:
        """The task that stands in a submission's way because it is the same one; raises `Clash` where it is not."""
        if asked.key is not None:
            known = self.known(asked.account.id, asked.key, asked.asked)
            if known is not None:
                return known
        if asked.external_id is not None:
            same = (tasks.c.account_id == asked.account.id) & (tasks.c.external_id == asked.external_id)
            with self._database.read() as c:
                taken = c.execute(select(tasks.c.id).where(same)).first()
            if taken is not None:
                raise Clash(f"A task with the external id {asked.external_id!r} exists already; choose another id.")
        return None


def _full(kind: str, slots: int, most: int) -> str:
    what = f"{slots} pictures at once" if kind == "image" else "another film"
    allowed = f"{most} {kind} task" + ("" if most == 1 else "s")
    return (
        f"This account may have {allowed} under way at once, and {what} would be more. Wait until one ends, "
        "cancel one, or choose a larger plan."
    )


def _row(asked: Submission, task_id: int, now: int) -> dict[str, Any]:
    slot_kind, slots = slots_of(asked.kind, asked.count)
    return {
        "id": task_id, "account_id": asked.account.id, "kind": asked.kind, "state": "submitted", "model": asked.model,
        "request": dict(asked.request), "options": dict(asked.options), "wire": dict(asked.wire),
        "external_id": asked.external_id, "callback_url": asked.callback_url, "parent_id": asked.parent_id,
        "slot_kind": slot_kind, "slots": slots, "units": asked.units, "charged": None, "turn": None, "paused": False,
        "cancelling": False, "attempts": 0, "epoch": 0, "worker_id": None, "stage": None, "done": 0, "total": 0,
        "seconds_left": None, "expected": asked.expected, "code": None, "message": None, "created_at": now,
        "updated_at": now, "started_at": None, "ended_at": None, "deleted_at": None,
    }  # fmt: skip
