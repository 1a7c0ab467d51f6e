"""Events over a real socket: what happens, in order, nothing left out, nothing twice."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from kinora.service.api.native import events as streams
from kinora.service.api.native import feed as feeds
from kinora.service.api.native.feed import in_order
from kinora.service.store import tables
from kinora.service.tasks import Event

BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}


class Stream:
    """A client that listens: `events` as (id, event, data)."""

    def __init__(self, client: httpx.Client, path: str, **options: Any) -> None:
        self._opened = client.stream("GET", path, timeout=20, **options)
        self.answer = self._opened.__enter__()
        self._lines = self.answer.iter_lines()
        self.comments = 0

    def next(self) -> tuple[int, str, dict[str, Any]] | None:
        """The next event; None at the stream's end."""
        told: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                told[name] = value
            elif "data" in told:
                return int(told["id"]), told["event"], json.loads(told["data"])
            else:
                told = {}
        return None

    def take(self, count: int) -> list[tuple[int, str, dict[str, Any]]]:
        return [event for event in (self.next() for _ in range(count)) if event is not None]

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


@contextlib.contextmanager
def listening(client: httpx.Client, path: str, **options: Any) -> Iterator[Stream]:
    stream = Stream(client, path, **options)
    try:
        yield stream
    finally:
        stream.close()


def test_a_task_is_followed_from_beginning_to_end(served: Any, tmp_path: Path) -> None:
    tenant = served.tenant()
    task_id = tenant.post("/api/tasks", json=BALL).json()["id"]
    with listening(tenant, f"/api/tasks/{task_id}/events") as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache"
        first = stream.next()
        assert first[1] == "state"
        assert first[2] == {"task_id": task_id, "state": "submitted", "created_at": first[2]["created_at"]}
        served.step(task_id, 2, "data:image/jpeg;base64,AAAA")
        taken, progress, preview = stream.take(3)
        assert (taken[1], taken[2]["state"], taken[2]["attempt"]) == ("state", "processing", 1)
        assert progress[1] == "progress"
        assert {"step": 2, "total": 8, "seconds_left": 1.5, "stage": "imagine"}.items() <= progress[2].items()
        assert (preview[1], preview[2]["preview"]) == ("preview", "data:image/jpeg;base64,AAAA")
        served.finish(task_id, tmp_path)
        assert [event[2].get("state") for event in stream.take(2)] == ["processing", "succeed"]
        assert stream.next() is None
    # Who comes again with the last id hears nothing, and is told not to come again.
    last = {"last-event-id": str(served.service.tasks.last_event())}
    assert tenant.get(f"/api/tasks/{task_id}/events", headers=last).status_code == 204
    with listening(tenant, f"/api/tasks/{task_id}/events", headers={"last-event-id": str(progress[0])}) as stream:
        assert [event[1] for event in stream.take(10)] == ["preview", "state", "state"]


def test_an_account_hears_of_its_own_tasks_alone_and_resumes(served: Any) -> None:
    tenant, other = served.tenant(), served.tenant()
    with listening(tenant, "/api/events") as stream:
        other.post("/api/tasks", json=BALL)
        ids = [tenant.post("/api/tasks", json=BALL).json()["id"] for _ in range(3)]
        heard = stream.take(3)
        assert [event[2]["task_id"] for event in heard] == ids
    more = [tenant.post("/api/tasks", json=BALL).json()["id"] for _ in range(2)]
    with listening(tenant, "/api/events", params={"after": heard[0][0]}) as stream:
        assert [event[2]["task_id"] for event in stream.take(4)] == ids[1:] + more
        tenant.post(f"/api/tasks/{ids[0]}/cancel")
        assert stream.next()[2] | {"created_at": 0} == {"task_id": ids[0], "state": "cancelled", "created_at": 0}
    with listening(tenant, "/api/events", headers={"last-event-id": "0"}) as stream:
        assert len(stream.take(6)) == 6


def test_a_heartbeat_keeps_a_quiet_stream_open(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert streams.HEARTBEAT_SECONDS == 15
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    tenant = served.tenant()
    with listening(tenant, "/api/events") as stream:
        threading.Timer(0.6, lambda: tenant.post("/api/tasks", json=BALL)).start()
        assert stream.next() is not None
        assert stream.comments >= 2


def test_one_reader_serves_all_and_rests_when_nobody_listens(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    real = served.service.tasks.events

    def counted(account_id: int | None, after: int, **options: Any) -> list[Event]:
        if account_id is None:
            reads.append(after)
        return real(account_id, after, **options)

    monkeypatch.setattr(type(served.service.tasks), "events", staticmethod(counted))
    tenants = [served.tenant() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(listening(tenant, "/api/events")) for tenant in tenants for _ in range(4)]
        for stream in opened:
            assert stream.answer.status_code == 200
        began, before = time.monotonic(), len(reads)
        for tenant in tenants:
            tenant.post("/api/tasks", json=BALL)
        assert all(stream.next() for stream in opened)
        seconds = time.monotonic() - began
        # Twelve clients cost as many reads as one would.
        assert len(reads) - before <= seconds / feeds.POLL_SECONDS + 2
    until = time.monotonic() + 10
    while served.app.state.feed._listeners and time.monotonic() < until:
        time.sleep(0.05)
    assert not served.app.state.feed._listeners
    resting = len(reads)
    time.sleep(3 * feeds.POLL_SECONDS)
    assert len(reads) <= resting + 1


def test_an_account_opens_only_so_many_streams(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "STREAMS_PER_ACCOUNT", 2)
    tenant, other = served.tenant(), served.tenant()
    with contextlib.ExitStack() as stack:
        streams_open = [stack.enter_context(listening(tenant, "/api/events")) for _ in range(2)]
        for stream in streams_open:
            next(stream._lines)  # its listener is there
        refused = tenant.get("/api/events")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "10"
        assert refused.json()["error"]["code"] == "too_many_requests"
        stack.enter_context(listening(other, "/api/events"))


def test_a_client_that_does_not_keep_up_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def follow() -> list[int]:
        listener = feeds.Listener(1, None)
        for number in range(1, 20):
            listener.offer(event(number))
        heard = []
        while (one := await listener.next(1)) is not None:
            heard.append(one.id)
        return heard

    monkeypatch.setattr(feeds, "BEHIND", 8)
    assert asyncio.run(follow()) == list(range(1, 8))


def event(number: int) -> Event:
    return Event(id=number, account_id=1, task_id=1, kind="note", body={}, created_at=0)


def test_events_wait_for_one_that_is_not_there_yet() -> None:
    missing: dict[int, int] = {}

    def told(ids: list[int], after: int, now: int) -> list[int]:
        return [one.id for one in in_order([event(number) for number in ids], after, missing, now)]

    assert told([4, 5], 3, 0) == [4, 5]
    assert told([6, 8, 9], 5, 1000) == [6]
    assert told([8, 9], 6, 1000 + feeds.SETTLED_MS - 1) == []
    assert told([7, 8, 9], 6, 1000 + feeds.SETTLED_MS) == [7, 8, 9]
    assert told([11], 9, 5000) == []
    # Its transaction was rolled back.
    assert told([11, 12], 9, 5000 + feeds.SETTLED_MS) == [11, 12]
    assert told([14], 12, 100_000) == []
    assert missing == {14: 100_000}


def test_on_postgres_a_late_commit_is_not_passed_over(serve: Any, postgres_url: str) -> None:
    served = serve(database=postgres_url)
    tenant = served.tenant()
    task_id = int(tenant.post("/api/tasks", json=BALL).json()["id"])
    row = {"account_id": tenant.account.id, "task_id": task_id, "kind": "note", "created_at": 0}
    with listening(tenant, "/api/events", params={"after": 0}) as stream:
        assert stream.next()[1] == "state"
        engine = served.service.database.engine
        with engine.connect() as slow:
            slow.execute(sa.insert(tables.events).values(**row, body={"message": "first"}))
            with engine.begin() as quick:
                quick.execute(sa.insert(tables.events).values(**row, body={"message": "second"}))
            time.sleep(4 * feeds.POLL_SECONDS)  # the second is there to be seen, the first is not
            slow.commit()
        first, second = stream.take(2)
        assert [first[2]["message"], second[2]["message"]] == ["first", "second"]
        assert first[0] < second[0]


def test_a_process_that_stops_lets_its_clients_go(serve: Any) -> None:
    served = serve()
    tenant = served.tenant()
    with listening(tenant, "/api/events") as stream:
        tenant.post("/api/tasks", json=BALL)
        assert stream.next() is not None
        began = time.monotonic()
        served.app.state.feed.close()
        assert stream.next() is None
        assert time.monotonic() - began < 2
    assert tenant.get("/api/events").status_code == 503
