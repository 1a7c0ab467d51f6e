"""Database, object store and disk fail for a while: no task is lost, none loses an attempt, no process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

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


def test_the_object_store_is_away(
    host: Callable[..., Any], client: Callable[..., Any], opened: Callable[..., Any]
) -> None:
    one = host()
    served = one.serve()
    worker = one.worker()
    asking = client(served)
    first, second = asking.ask(step_seconds=0.2, steps=10), asking.ask("a cube")
    until(lambda: asking.get(first)["state"] == "processing")
    objects = one.data / "objects"
    objects.rename(one.data / "away")
    objects.write_text("no folder")
    assert asking.http.get("/readyz").json()["reasons"].keys() == {"objects"}
    until(lambda: any('"waits"' in line for line in one.told()))
    assert any('"save not kept"' in line for line in one.told())
    assert asking.get(first)["state"] == "processing"
    objects.unlink()
    (one.data / "away").rename(objects)
    assert [asking.ended(task)["state"] for task in (first, second)] == ["succeed"] * 2
    service = opened(one)
    assert [service.tasks.get(None, task).attempts for task in (first, second)] == [1, 1]
    assert worker.poll() is None


def test_a_material_that_is_gone_fails_its_task(host: Callable[..., Any], opened: Callable[..., Any]) -> None:
    from kinora.service.creating import Wanted
    from kinora.service.store.tables import tasks

    one = host()
    service = opened(one)
    owner = service.accounts.create("owner", plan="house")
    caller = service.accounts.authenticate(service.accounts.new_key(owner.id, "test").secret)
    task = service.studio.create(caller, Wanted(kind="text_to_video", prompt="x", seconds=2.0, quality="draft"))
    with service.database.write() as c:
        gone = {**task.request, "more": {"name": "a.png", "digest": "ab" * 32}}
        c.execute(tasks.update().where(tasks.c.id == task.id).values(request=gone))
    one.worker()
    until(lambda: service.tasks.get(None, task.id).ended)
    ended = service.tasks.get(None, task.id)
    assert (ended.state, ended.code, ended.attempts, ended.charged) == ("failed", "input", 1, 0)
    assert "ab" * 32 not in (ended.message or "")


def test_what_the_engine_claimed_and_nobody_carries_comes_back(
    host: Callable[..., Any], client: Callable[..., Any], opened: Callable[..., Any]
) -> None:
    """The database goes away between the engine's claim and its run: the claim stands on a worker that lives."""
    one = host(KINORA_LEASE_SECONDS="0.8")
    served = one.serve()
    asking = client(served)
    stray = asking.ask()
    service = opened(one)
    worker = one.start("worker")
    with service.database.write() as c:
        # As the claim leaves it, under the worker that is about to come.
        c.exec_driver_sql(f"UPDATE workflow_status SET status = 'none' WHERE workflow_uuid = '{stray}'")
    ready = f"-{worker.pid}-"
    until(lambda: any("worker ready" in line and ready in line for line in one.told()))
    mine = next(row[0] for row in rows(service, "SELECT id FROM workers WHERE state = 'live'"))
    with service.database.write() as c:
        c.exec_driver_sql(
            f"UPDATE workflow_status SET status = 'PENDING', executor_id = '{mine}' WHERE workflow_uuid = '{stray}'"
        )
    assert worker.wait(60) == 0, "it ends, and so gives the task back"
    one.worker()
    assert asking.ended(stray)["state"] == "succeed"


def rows(service: Any, query: str) -> list[Any]:
    with service.database.read() as c:
        return list(c.exec_driver_sql(query))


@pytest.mark.parametrize("left", ["a folder of a worker that died"])
def test_a_new_worker_clears_what_dead_ones_left(left: str, host: Callable[..., Any]) -> None:
    one = host()
    (one.data / "work" / left / "12").mkdir(parents=True)
    one.worker()
    assert not (one.data / "work" / left).exists()
