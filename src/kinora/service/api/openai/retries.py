"""Creates that a client sends again are accepted once.

OpenAI's client names no idempotency key. It repeats a request up to twice, with the same content and
`x-stainless-retry-count` raised, when its connection breaks or the answer is 408, 409, 429 or 5xx. So every create
that comes from it is accepted under a key of our making, which says what was asked. A repetition takes the newest such
key of the last minutes, unless its first attempt was refused here, or the client has named that key's video since: then
the answer came through, and the repetition is of another create with the same words. These two are known by the process
that saw them. Where several serve, a client can so get an earlier video of the same words instead of another one, but
never two where it asked for one.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from sqlalchemy import select

from kinora.service.errors import Invalid, ServiceError
from kinora.service.store import now_ms
from kinora.service.store.tables import answers

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["Once", "Retries", "retries_of"]

RETRY_COUNT = "x-stainless-retry-count"
REPEATED = (408, 409, 429)
"""Statuses that the client repeats a request after, besides 500 and above."""
PREFIX = "openai"
WINDOW_SECONDS = 120.0
"""A client waits at most 8 s between attempts; the rest is for connections that take long to break."""
MOST_KEPT = 10_000
LONGEST_KEY = 255


@dataclass(frozen=True, kw_only=True)
class Once:
    """What makes a create happen once: its key (None: whoever sends it again gets another), and what was asked."""

    key: str | None
    mark: str


class Retries:
    """What this process knows of attempts: which were refused, and which videos a client has named."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: OrderedDict[tuple[int, str], list[float]] = OrderedDict()
        self._named: OrderedDict[int, None] = OrderedDict()

    def once(self, service: Service, account_id: int, request: Request, mark: str) -> Once:
        """How a create whose content is `mark` is told from others; raises `Invalid` for a key that is far too long."""
        named = request.headers.get("idempotency-key")
        if named:
            if len(named) > LONGEST_KEY:
                raise Invalid(f"The Idempotency-Key has {len(named)} characters; at most {LONGEST_KEY} are kept.")
            return Once(key=named, mark=mark)
        count = request.headers.get(RETRY_COUNT)
        if count is None:
            return Once(key=None, mark=mark)
        begins = f"{PREFIX}:{mark}:"
        repeated = count != "0" and not (self._take(account_id, mark) or self._take(account_id, ""))
        known = self._unnamed(service, account_id, begins) if repeated else None
        return Once(key=known or begins + secrets.token_hex(8), mark=mark)

    def refused(self, account_id: int, error: ServiceError, mark: str = "") -> None:
        """An attempt was refused; without a `mark` it is not known what it asked for."""
        if error.status not in REPEATED and error.status < 500:
            return
        with self._lock:
            self._refused.setdefault((account_id, mark), []).append(time.monotonic())
            while len(self._refused) > MOST_KEPT:
                self._refused.popitem(last=False)

    def named(self, task_id: int) -> None:
        """A client named a video: it has heard of it."""
        with self._lock:
            self._named[task_id] = None
            self._named.move_to_end(task_id)
            while len(self._named) > MOST_KEPT:
                self._named.popitem(last=False)

    def _take(self, account_id: int, mark: str) -> bool:
        """Whether a refusal is left that a repetition can be of; it is used up."""
        since = time.monotonic() - WINDOW_SECONDS
        with self._lock:
            left = [at for at in self._refused.pop((account_id, mark), ()) if at >= since]
            if left[1:]:
                self._refused[account_id, mark] = left[1:]
        return bool(left)

    def _unnamed(self, service: Service, account_id: int, begins: str) -> str | None:
        """The newest key of the same request whose video no client has named."""
        query = (
            select(answers.c.key, answers.c.task_id)
            .where(
                answers.c.account_id == account_id,
                answers.c.key >= begins,
                answers.c.key < begins + "g",  # behind every hexadecimal digit: the index is used
                answers.c.key.startswith(begins),  # whatever a database's collation makes of the two above
                answers.c.created_at >= now_ms() - round(WINDOW_SECONDS * 1000),
            )
            .order_by(answers.c.created_at.desc())
        )
        with service.database.read() as c:
            rows = c.execute(query).all()
        with self._lock:
            return next((row.key for row in rows if row.task_id not in self._named), None)


def retries_of(request: Request) -> Retries:
    """The application's."""
    known: Retries = request.app.state.openai_retries
    return known
