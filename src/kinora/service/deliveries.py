"""The table of callbacks that are on their way: queued with what they tell of, leased by senders, done or dead.

A row waits until `next_at`. A sender that takes it moves that ahead, so that nobody else takes it meanwhile; should the
sender die, the row is due again when the lease is over. A callback is therefore sent at least once.

Order: a task's later callback waits while an earlier one has not been tried to the end of its first attempt. Once that
has failed the later one goes out, and the earlier comes again by its schedule, later than its successor: receivers
compare the times in the bodies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, exists, func, insert, select, update

from kinora.service.store import new_id, tables

__all__ = ["GAPS", "Delivery", "Result", "add", "claim", "counts", "due", "expire", "page", "record"]

GAPS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from a failed attempt to the next; after the tenth attempt a delivery is dead."""
JITTER = 0.1
"""A gap is up to so much longer, so that callbacks that failed together do not come back together."""
LOOKED_AT = 200
"""Due rows that one claim looks at."""
LONGEST_WAIT = 86_400.0
"""Seconds that a receiver may ask to wait, at most."""

_T = tables.deliveries


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One callback. `next_at` is the end of the lease for the sender that holds it."""

    id: int
    account_id: int
    task_id: int
    url: str
    body: bytes
    state: str
    attempts: int
    next_at: int
    answer: str | None
    created_at: int

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.url.split("/", 3)[:3])


@dataclass(frozen=True, kw_only=True)
class Result:
    """How an attempt went: whether it is over for good, what was answered, seconds that the receiver asked to wait,
    and whether there was an answer at all.
    """

    done: bool = False
    dead: bool = False
    answer: str = ""
    wait: float = 0.0
    heard: bool = True


def add(c: Connection, account_id: int, task_id: int, url: str, body: bytes, now: int) -> int:
    """Queue a callback; its id is the webhook-id."""
    delivery_id = new_id()
    c.execute(
        insert(_T).values(
            id=delivery_id,
            account_id=account_id,
            task_id=task_id,
            url=url,
            body=body,
            state="waiting",
            next_at=now,
            created_at=now,
        )
    )
    return delivery_id


def due(c: Connection, now: int) -> bool:
    """Whether any is due: a look that takes no lock."""
    return c.execute(select(1).where(_T.c.state == "waiting", _T.c.next_at <= now).limit(1)).first() is not None


def claim(
    c: Connection,
    now: int,
    limit: int,
    *,
    lease_ms: int,
    admits: Callable[[Delivery], bool],
    not_accounts: Collection[int] = (),
    not_origins: Collection[str] = (),
) -> list[Delivery]:
    """Lease up to `limit` due callbacks that the sender `admits`, asked once for each in turn. What it would refuse in
    any case is named too and left out before rows are counted, so that a long queue to one host hides nobody else's.
    """
    rows = c.execute(_due_rows(c, now, not_accounts, not_origins)).all()
    chosen: list[Delivery] = []
    for row in rows:
        delivery = _delivery(row, next_at=now + lease_ms)
        if len(chosen) < limit and admits(delivery):
            chosen.append(delivery)
    if chosen:
        ids = [delivery.id for delivery in chosen]
        c.execute(update(_T).where(_T.c.id.in_(ids)).values(next_at=now + lease_ms))
    return chosen


def record(c: Connection, delivery: Delivery, result: Result, now: int, gaps: Sequence[float] = GAPS) -> None:
    """Write down how an attempt went. A failure that comes after the lease is over is somebody else's to write."""
    attempts = delivery.attempts + 1
    mine = update(_T).where(_T.c.id == delivery.id, _T.c.state == "waiting")
    values: dict[str, Any] = {"attempts": attempts, "answer": result.answer[:200]}
    if result.done:
        c.execute(mine.values(state="done", **values))
        return
    mine = mine.where(_T.c.next_at == delivery.next_at)
    if result.dead or attempts > len(gaps):
        c.execute(mine.values(state="dead", **values))
        return
    gap = max(gaps[attempts - 1] * random.uniform(1.0, 1.0 + JITTER), min(result.wait, LONGEST_WAIT))
    c.execute(mine.values(next_at=now + round(gap * 1000), **values))


def page(c: Connection, account_id: int, *, limit: int, before: int | None) -> list[Delivery]:
    """An account's callbacks, the newest first."""
    rows = select(_T).where(_T.c.account_id == account_id).order_by(_T.c.id.desc()).limit(limit)
    if before is not None:
        rows = rows.where(_T.c.id < min(before, 2**63 - 1))
    return [_delivery(row) for row in c.execute(rows)]


def counts(c: Connection) -> dict[str, int]:
    """How many are waiting, done and dead."""
    found: dict[str, int] = dict(c.execute(select(_T.c.state, func.count()).group_by(_T.c.state)).all())
    return {state: found.get(state, 0) for state in ("waiting", "done", "dead")}


def expire(c: Connection, before: int) -> int:
    """Delete those made before a time that are on their way no more."""
    return c.execute(delete(_T).where(_T.c.created_at < before, _T.c.state != "waiting")).rowcount


def _due_rows(c: Connection, now: int, not_accounts: Collection[int], not_origins: Collection[str]) -> Select[Any]:
    earlier = _T.alias()
    held_up = exists().where(
        earlier.c.task_id == _T.c.task_id,
        earlier.c.id < _T.c.id,
        earlier.c.state == "waiting",
        earlier.c.attempts == 0,
    )
    rows = select(_T).where(_T.c.state == "waiting", _T.c.next_at <= now, ~held_up)
    if not_accounts:
        rows = rows.where(_T.c.account_id.not_in(not_accounts))
    if not_origins:
        # URLs are canonical: a slash follows the origin, the first one after "https://".
        position = func.strpos if c.dialect.name == "postgresql" else func.instr
        origin = func.substr(_T.c.url, 1, 7 + position(func.substr(_T.c.url, 9), "/"))
        rows = rows.where(origin.not_in(not_origins))
    return rows.order_by(_T.c.next_at, _T.c.id).limit(LOOKED_AT).with_for_update(of=_T, skip_locked=True)


def _delivery(row: Row[Any], **changes: int) -> Delivery:
    return Delivery(**{**row._mapping, **changes})
