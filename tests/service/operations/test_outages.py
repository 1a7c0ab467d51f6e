"""Database, object store and disk fail for a while: no task is lost, none loses an attempt, no process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from kinora.service.store.tables import tasks

AWAY_SECONDS = 4.0
"""Twice the lease: whoever counted the outage as silence would take the worker for dead."""


def until(true: Callable[[], Any], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def close_doors(url: str, *, closed: bool) -> None:
    """A Postgres that restarts, for one database: every connection is cut, and no new one is taken."""
    at = sa.make_url(url)
    engine = sa.create_engine(at.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as c:
        c.exec_driver_sql(f"ALTER DATABASE {at.database} ALLOW_CONNECTIONS {'false' if closed else 'true'}")
        if closed:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            c.execute(sa.text(cut), {"name": at.database})
    engine.dispose()


def test_postgres_restarts(
    host: Callable[..., Any], client: Callable[..., Any], opened: Callable[..., Any], postgres_url: str
) -> None:
    one = host(KINORA_DATABASE=postgres_url)
    served, worker = one.serve(), one.worker()
    asking = client(served)
    slow, waits = asking.ask(step_seconds=0.3, steps=40), asking.ask()
    until(lambda: asking.get(slow)["state"] == "processing")
    close_doors(postgres_url, closed=True)
    try:
        assert asking.http.get(f"/api/tasks/{slow}").status_code == 503
        assert asking.http.get("/healthz").status_code == 200
        assert asking.http.get("/readyz").status_code == 503
        time.sleep(AWAY_SECONDS)
    finally:
        close_doors(postgres_url, closed=False)
    assert [asking.ended(task)["state"] for task in (slow, waits)] == ["succeed"] * 2
    service = opened(one)
    assert [service.tasks.get(None, task).attempts for task in (slow, waits)] == [1, 1]
    assert (served.process.poll(), worker.poll()) == (None, None)
    until(lambda: asking.http.get("/readyz").status_code == 200)


def test_the_object_store_is_away(host: Callable[..., Any], opened: Callable[..., Any]) -> None:
    one = host()
    service, worker = opened(one), one.worker()
    first, second = one.submit(service, step_seconds=0.2, steps=30), one.submit(service)
    until(lambda: service.tasks.get(None, first).state == "processing")
    objects = one.data / "objects"
    objects.rename(one.data / "away")
    objects.write_text("no folder")
    for event in ('"save not kept"', '"waits"'):
        until(lambda event=event: any(event in line for line in one.told()))
    assert service.tasks.get(None, first).state == "processing"
    objects.unlink()
    (one.data / "away").rename(objects)
    until(lambda: service.tasks.get(None, second).ended)
    done = [service.tasks.get(None, task) for task in (first, second)]
    assert [(task.state, task.attempts) for task in done] == [("succeed", 1)] * 2
    assert worker.poll() is None


def test_what_comes_to_nobody(host: Callable[..., Any], opened: Callable[..., Any]) -> None:
    """A file that is gone; what a dead worker left; and a claim of the engine's that nobody carries out, as when the
    database goes away in between.
    """
    one = host(KINORA_LEASE_SECONDS="0.8")
    service = opened(one)
    left = one.data / "work" / "a folder of a worker that died" / "12"
    left.mkdir(parents=True)
    needy, stray = one.submit(service), one.submit(service)
    with service.database.write() as c:
        gone = {**service.tasks.get(None, needy).request, "more": {"name": "a.png", "digest": "ab" * 32}}
        c.execute(tasks.update().where(tasks.c.id == needy).values(request=gone))
        c.exec_driver_sql(f"UPDATE workflow_status SET status = 'none' WHERE workflow_uuid = '{stray}'")
    worker = one.worker()
    assert not left.exists()
    until(lambda: service.tasks.get(None, needy).ended)
    ended = service.tasks.get(None, needy)
    assert (ended.state, ended.code, ended.attempts, ended.charged) == ("failed", "input", 1, 0)
    assert "ab" * 32 not in (ended.message or "")
    mine = next(row[0] for row in rows(service, "SELECT id FROM workers WHERE state = 'live'"))
    with service.database.write() as c:
        c.exec_driver_sql(
            f"UPDATE workflow_status SET status = 'PENDING', executor_id = '{mine}' WHERE workflow_uuid = '{stray}'"
        )
    assert worker.wait(60) == 0, "it ends, and so gives the task back"
    one.worker()
    until(lambda: service.tasks.get(None, stray).ended)
    assert service.tasks.get(None, stray).state == "succeed"


def rows(service: Any, query: str) -> list[Any]:
    with service.database.read() as c:
        return list(c.exec_driver_sql(query))
