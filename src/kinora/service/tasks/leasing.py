"""What workers write: every act names the lease it acts under, and an act under an older lease is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Connection, case, insert, select, update
from sqlalchemy.engine import RowMapping

from kinora.core.errors import KinoraError
from kinora.service.store import Database, new_id, now_ms
from kinora.service.store.tables import accounts, events, numbers, outputs, tasks
from kinora.service.tasks.submitting import Announce, Holds
from kinora.service.tasks.task import ENDED, NewOutput, Output, Task

__all__ = ["Fenced", "Lease", "Leasing", "Outcome", "Progress", "Refusal", "close_task", "tell"]

DAY_MS = 86_400_000


class Fenced(KinoraError):
    """Another worker has the task now, or it is over: whoever meets this stops."""


class Refusal(StrEnum):
    """Why a task is not leased."""

    OVER = "over"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write to a task."""

    task: Task
    epoch: int
    worker_id: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a task is."""

    stage: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a task ended."""

    state: str
    """succeed, failed or cancelled."""
    code: str | None = None
    message: str | None = None
    outputs: tuple[NewOutput, ...] = ()
    units: int | None = None
    """What it cost, at most what was held; None: all of it."""


class Queue(Protocol):
    """What leasing needs of the engine."""

    def requeue(self, c: Connection, task_ids: Sequence[int]) -> None: ...


class Leasing:
    """The workers' side of the tasks."""

    def __init__(
        self, database: Database, ledger: Holds, queue: Queue, announce: Announce, *, attempts: int, days: float
    ) -> None:
        """`attempts`: leases that may be lost; `days`: how long outputs are kept."""
        self._database = database
        self._ledger = ledger
        self._queue = queue
        self._announce = announce
        self._most = attempts
        self._keep_ms = int(days * DAY_MS)

    def lease(self, task_id: int, worker_id: str) -> Lease | Refusal:
        """Take a task, away from whoever had it before. A task that cannot be made any more is ended on the way."""
        now = now_ms()
        with self._database.write() as c:
            row = c.execute(
                update(tasks)
                .where(
                    tasks.c.id == task_id, tasks.c.state.not_in(ENDED), ~tasks.c.paused, ~tasks.c.cancelling,
                    tasks.c.attempts < self._most,
                )
                .values(
                    state="processing", attempts=tasks.c.attempts + 1, epoch=tasks.c.epoch + 1, worker_id=worker_id,
                    started_at=case((tasks.c.started_at.is_(None), now), else_=tasks.c.started_at), updated_at=now,
                )
                .returning(*tasks.c)
            ).mappings().first()  # fmt: skip
            if row is None:
                return self._refused(c, task_id)
            task = Task.of(row)
            c.execute(
                update(numbers).where(numbers.c.name == "turn", numbers.c.value < task.turn).values(value=task.turn)
            )
            tell(c, task.account_id, task_id, "state", {"state": "processing", "attempt": task.attempts})
            if task.attempts == 1:
                self._announce(c, task)
        return Lease(task=task, epoch=task.epoch, worker_id=worker_id)

    def progress(self, lease: Lease, progress: Progress, preview: str | None = None) -> bool:
        """Write how far a task is, with a small picture (a data URL) if there is one; says whether its owner wants it
        cancelled. Raises `Fenced`.
        """
        now = now_ms()
        values = {
            "stage": progress.stage, "done": progress.done, "total": progress.total,
            "seconds_left": progress.seconds_left,
        }  # fmt: skip
        with self._database.write() as c:
            row = c.execute(
                update(tasks).where(*_held(lease)).values(**values, updated_at=now).returning(tasks.c.cancelling)
            ).first()
            if row is None:
                raise Fenced(f"Task {lease.task.id} is no longer this worker's.")
            tell(c, lease.task.account_id, lease.task.id, "progress", values)
            if preview is not None:
                tell(c, lease.task.account_id, lease.task.id, "preview", {"url": preview})
        return bool(row[0])

    def wanted(self, lease: Lease) -> bool:
        """Whether the task is still to be made; False when its owner cancels. Raises `Fenced`."""
        with self._database.read() as c:
            row = c.execute(select(tasks.c.cancelling).where(*_held(lease))).first()
        if row is None:
            raise Fenced(f"Task {lease.task.id} is no longer this worker's.")
        return not row[0]

    def finish(self, lease: Lease, outcome: Outcome) -> Task:
        """End a task: state, outputs, units, slots and what is told of it, at once. Raises `Fenced`."""
        with self._database.write() as c:
            return self._end(c, lease.task.id, _held(lease), outcome)

    def give_back(self, lease: Lease) -> None:
        """Return a task unmade, for another worker to go on with; the attempt does not count. Raises `Fenced`."""
        with self._database.write() as c:
            given = c.execute(
                update(tasks)
                .where(*_held(lease))
                .values(attempts=tasks.c.attempts - 1, epoch=tasks.c.epoch + 1, worker_id=None, updated_at=now_ms())
            )
            if not given.rowcount:
                raise Fenced(f"Task {lease.task.id} is no longer this worker's.")
            self._queue.requeue(c, [lease.task.id])

    def _refused(self, c: Connection, task_id: int) -> Refusal:
        row = c.execute(select(tasks).where(tasks.c.id == task_id)).mappings().first()
        if row is None or row["state"] in ENDED:
            return Refusal.OVER
        if row["cancelling"]:
            self._end(c, task_id, _as_it_stands(row), Outcome(state="cancelled"))
            return Refusal.CANCELLED
        if row["paused"]:
            return Refusal.PAUSED
        lost = f"Its worker died {row['attempts']} times while it was made; it is set aside and costs nothing."
        self._end(c, task_id, _as_it_stands(row), Outcome(state="failed", code="lost", message=lost))
        return Refusal.LOST

    def _end(self, c: Connection, task_id: int, where: Sequence[Any], outcome: Outcome) -> Task:
        return close_task(c, task_id, where, outcome, self._ledger, self._announce, keep_ms=self._keep_ms)


def close_task(
    c: Connection,
    task_id: int,
    where: Sequence[Any],
    outcome: Outcome,
    ledger: Holds,
    announce: Announce,
    *,
    keep_ms: int,
) -> Task:
    """End the task that `where` describes; raises `Fenced` when there is none such any more."""
    now = now_ms()
    succeeded = outcome.state == "succeed"
    charged = (tasks.c.units if outcome.units is None else outcome.units) if succeeded else 0
    row = c.execute(
        update(tasks)
        .where(tasks.c.id == task_id, *where)
        .values(
            state=outcome.state, code=outcome.code, message=outcome.message, charged=charged, seconds_left=None,
            done=tasks.c.total if succeeded else tasks.c.done, paused=False, updated_at=now, ended_at=now,
        )
        .returning(*tasks.c)
    ).mappings().first()  # fmt: skip
    if row is None:
        raise Fenced(f"Task {task_id} is over, or another worker's.")
    made = [_output_row(row, new, place, now, keep_ms) for place, new in enumerate(outcome.outputs)]
    if made:
        c.execute(insert(outputs), made)
    task = Task.of(row, [Output(**each) for each in made])
    # The account's row before its books: everywhere in this order, so that no two transactions wait for each other.
    slots = accounts.c[f"{task.slot_kind}_slots"]
    c.execute(update(accounts).where(accounts.c.id == task.account_id).values({slots: slots - task.slots}))
    if succeeded:
        ledger.settle(c, task_id, task.charged or 0)
    else:
        ledger.release(c, task_id)
    told: dict[str, Any] = {"state": task.state}
    if task.code:
        told |= {"code": task.code, "message": task.message}
    tell(c, task.account_id, task_id, "state", told)
    announce(c, task)
    return task


def _held(lease: Lease) -> Sequence[Any]:
    return (tasks.c.id == lease.task.id, tasks.c.epoch == lease.epoch, tasks.c.state == "processing")


def _as_it_stands(row: RowMapping) -> Sequence[Any]:
    return (tasks.c.epoch == row["epoch"], tasks.c.state == row["state"])


def _output_row(task: RowMapping, new: NewOutput, place: int, now: int, keep_ms: int) -> dict[str, Any]:
    return {
        "id": new_id(), "account_id": task["account_id"], "task_id": task["id"], "place": place, "kind": new.kind,
        "digest": new.digest, "marked": new.marked, "thumbnail": new.thumbnail, "media_type": new.media_type,
        "bytes": new.bytes, "width": new.width, "height": new.height, "frames": new.frames, "seconds": new.seconds,
        "created_at": now, "expires_at": now + keep_ms, "deleted_at": None,
    }  # fmt: skip


def tell(c: Connection, account_id: int, task_id: int, kind: str, body: Mapping[str, Any]) -> None:
    """Write an event of a task."""
    row = {"account_id": account_id, "task_id": task_id, "kind": kind, "body": dict(body), "created_at": now_ms()}
    c.execute(insert(events), row)
