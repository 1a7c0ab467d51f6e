"""Events as they happen: one reader of the store for each process, however many clients listen.

Clients resume by the last id they saw, so ids must be told in order and none left out. On Postgres two transactions may
commit in another order than their ids: the reader waits at a missing id until it appears, or has had time enough to.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
import sqlalchemy.exc

from kinora.service.errors import TooManyRequests, Unavailable
from kinora.service.observing import log
from kinora.service.service import Service
from kinora.service.store import now_ms, tables
from kinora.service.tasks import Event

__all__ = ["Feed", "Listener"]

POLL_SECONDS = 0.25
BATCH = 500
SETTLED_MS = 3_000
"""An id that is missing for so long belongs to a transaction that was rolled back."""
BEHIND = 2_000
"""Events that a client may lag behind before it is dropped; it resumes from its last id."""
STREAMS_PER_ACCOUNT = 32
REPLAY = 200


class Listener:
    """One client's events: those of an account, or of one of its tasks."""

    def __init__(self, account_id: int, task_id: int | None) -> None:
        self.account_id = account_id
        self.task_id = task_id
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(BEHIND)
        self._ended = False

    def offer(self, event: Event) -> None:
        """Hand over an event; a client that does not keep up is ended."""
        if self.task_id not in (None, event.task_id) or self._ended:
            return
        if self._queue.qsize() >= BEHIND - 1:
            self.end()
        else:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """Let the client go, after what it has been handed."""
        self._ended = True
        self._queue.put_nowait(None)

    async def next(self, seconds: float) -> Event | None:
        """The next event. Raises `TimeoutError` when none comes; None when there will be none."""
        async with asyncio.timeout(seconds):
            return await self._queue.get()


class Feed:
    """The reader. It runs while somebody listens."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._listeners: defaultdict[int, set[Listener]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._told = 0
        self._closed = False

    def admit(self, account_id: int) -> None:
        """Raise `TooManyRequests` when the account listens with as many streams as it may, `Unavailable` at the end."""
        if self._closed:
            raise Unavailable("The service is being stopped; listen again in a moment.")
        if len(self._listeners.get(account_id, ())) >= STREAMS_PER_ACCOUNT:
            raise TooManyRequests(
                f"The account listens with {STREAMS_PER_ACCOUNT} streams already; close one.", retry_after=10.0
            )

    @contextmanager
    def listening(self, account_id: int, task_id: int | None = None) -> Iterator[Listener]:
        """A place to hear of events from now on."""
        listener = Listener(account_id, task_id)
        self._listeners[account_id].add(listener)
        if self._reader is None or self._reader.done():
            self._settled = asyncio.Event()
            self._reader = asyncio.create_task(self._run())
        try:
            yield listener
        finally:
            self._listeners[account_id].discard(listener)
            if not self._listeners[account_id]:
                del self._listeners[account_id]
            if not self._listeners and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def since(self, listener: Listener, after: int | None) -> AsyncIterator[Event]:
        """What happened after an event and before the listener's first; nothing where `after` is None."""
        await self._settled.wait()
        until = self._told
        while after is not None and after < until:
            found = await asyncio.to_thread(
                self._service.tasks.events, listener.account_id, after, task_id=listener.task_id, limit=REPLAY
            )
            for event in found:
                if event.id > until:
                    return
                yield event
            if len(found) < REPLAY:
                return
            after = found[-1].id

    def close(self) -> None:
        """End all streams, so that a process that is told to stop need not wait for its clients."""
        self._closed = True
        self._end_all()

    def _end_all(self) -> None:
        for listeners in list(self._listeners.values()):
            for listener in listeners:
                listener.end()

    async def _run(self) -> None:
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 - clients come again, and so does the reader with them
            log("kinora.feed").error("the reader ended", exc_info=error)
            self._settled.set()
            self._end_all()

    async def _read(self) -> None:
        self._told = await asyncio.to_thread(self._begin)
        self._settled.set()
        missing_since: dict[int, int] = {}
        while True:
            try:
                found = await asyncio.to_thread(self._service.tasks.events, None, self._told, limit=BATCH)
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError) as error:
                log("kinora.feed").warning("the store does not answer", exc_info=error)
                found = []
            ready = in_order(found, self._told, missing_since, now_ms())
            for event in ready:
                for listener in self._listeners.get(event.account_id, ()):
                    listener.offer(event)
            if ready:
                self._told = ready[-1].id
            if len(ready) < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    def _begin(self) -> int:
        """An id from which on nothing is missing that could still appear."""
        events = tables.events
        query = sa.select(events.c.id, events.c.created_at).order_by(events.c.id.desc()).limit(BATCH)
        settled = now_ms() - SETTLED_MS
        with self._service.database.read() as c:
            rows = c.execute(query).all()
        return next((row.id for row in rows if row.created_at < settled), rows[-1].id - 1 if rows else 0)


def in_order(found: Sequence[Event], told: int, missing_since: dict[int, int], now: int) -> list[Event]:
    """The events that may be told: up to the first missing id that may still appear. `missing_since` keeps, from call
    to call, when an id was first missed.
    """
    ready: list[Event] = []
    last = told
    for event in found:
        if event.id > last + 1:
            first = missing_since.setdefault(event.id, now)
            if now - first < SETTLED_MS:
                break
        missing_since.pop(event.id, None)
        ready.append(event)
        last = event.id
    return ready
