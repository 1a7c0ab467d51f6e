"""What a sweep takes away, what it leaves, and what it does when something fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from kinora.service.creating import Wanted
from kinora.service.errors import Missing
from kinora.service.service import Service, open_service
from kinora.service.settings import Settings
from kinora.service.store import now_ms
from kinora.service.store.tables import accounts, assets, deliveries, outputs, tasks, workers
from kinora.service.sweeping import Sweeper
from kinora.service.tasks import Lease, NewOutput, Outcome
from kinora.service.workers import Watch

DAY_MS = 86_400_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    opened = open_service(
        Settings(data=tmp_path / "data", secret="a secret of thirty-two characters!", serves="stub", lease_seconds=0.8)
    )
    yield opened
    opened.close()


@pytest.fixture
def caller(service: Service) -> Any:
    owner = service.accounts.create("owner", plan="house")
    return service.accounts.authenticate(service.accounts.new_key(owner.id, "test").secret)


def made(service: Service, caller: Any, tmp_path: Path, content: bytes) -> Any:
    """A task that was made."""
    task = service.studio.create(caller, Wanted(kind="text_to_video", prompt="a ball", seconds=2.0, quality="draft"))
    (tmp_path / "film").write_bytes(content)
    asset = service.assets.store(caller.account.id, tmp_path / "film", "video/mp4")
    output = NewOutput(kind="video", digest=asset.digest, media_type="video/mp4", bytes=9, width=64, height=64)
    lease = service.tasks.leasing.lease(task.id, "a worker")
    assert isinstance(lease, Lease)
    return service.tasks.leasing.finish(lease, Outcome(state="succeed", outputs=(output,)))


def age(service: Service, task: Any) -> None:
    over = now_ms() - 1
    with service.database.write() as c:
        c.execute(update(outputs).where(outputs.c.task_id == task.id).values(expires_at=over))
        c.execute(update(assets).where(assets.c.digest == task.outputs[0].digest).values(expires_at=over))


def test_outputs_go_when_their_time_is_over(service: Service, caller: Any, tmp_path: Path) -> None:
    old, new = (made(service, caller, tmp_path, content) for content in (b"an old film", b"a new film"))
    age(service, old)
    Sweeper(service).clear()
    gone = old.outputs[0]
    assert not service.objects.has(service.assets.path_of(gone.digest)), "the file too"
    with pytest.raises(Missing):
        service.tasks.output(caller.account.id, gone.id)
    assert service.tasks.get(caller.account.id, old.id).outputs == (), "a listing does not name it"
    assert service.tasks.get(caller.account.id, old.id).state == "succeed", "the task stays, and what it cost"
    assert service.objects.has(service.assets.path_of(new.outputs[0].digest))
    assert len(service.tasks.get(caller.account.id, new.id).outputs) == 1


def test_what_a_task_or_an_element_needs_stays(service: Service, caller: Any, tmp_path: Path) -> None:
    from kinora.service.store.tables import elements

    needed, characters, other = [made(service, caller, tmp_path, content) for content in (b"one", b"two", b"three")]
    waiting = service.studio.create(caller, Wanted(kind="text_to_video", prompt="x", seconds=2.0, quality="draft"))
    material = {"stills": [{"name": "a.png", "digest": needed.outputs[0].digest}]}
    body = {"frontal": characters.outputs[0].digest}
    with service.database.write() as c:
        c.execute(update(tasks).where(tasks.c.id == waiting.id).values(request={**waiting.request, **material}))
        row = {"id": 7, "account_id": caller.account.id, "name": "n", "description": "d", "body": body}
        c.execute(insert(elements), {**row, "created_at": now_ms()})
    for task in (needed, characters, other):
        age(service, task)
    Sweeper(service).clear()
    there = [
        service.objects.has(service.assets.path_of(task.outputs[0].digest)) for task in (needed, characters, other)
    ]
    assert there == [True, True, False]
    service.tasks.cancel(None, waiting.id)
    age(service, needed)
    Sweeper(service).clear()
    assert not service.objects.has(service.assets.path_of(needed.outputs[0].digest)), "until the task is over"


def test_files_that_nobody_names(service: Service, caller: Any, tmp_path: Path) -> None:
    ended = made(service, caller, tmp_path, b"a film")
    waiting = service.studio.create(caller, Wanted(kind="text_to_video", prompt="x", seconds=2.0, quality="draft"))
    for task in (ended, waiting):
        service.objects.put(f"work/{task.id}/save", b"left")
    Sweeper(service).clear_astray()
    assert service.objects.list(f"work/{ended.id}") == []
    assert len(service.objects.list(f"work/{waiting.id}")) == 1
    assert service.objects.has(service.assets.path_of(ended.outputs[0].digest))


def test_old_workers_and_callbacks_are_forgotten(service: Service, caller: Any) -> None:
    now = now_ms()
    row = {"host": "h", "pid": 1, "device": "cpu", "models": [], "started_at": 0}
    with service.database.write() as c:
        for name, state, beat in (("old", "dead", 0), ("new", "gone", now), ("here", "live", 0)):
            c.execute(insert(workers), {"id": name, "state": state, "beat_at": beat, **row})
        body = {"account_id": caller.account.id, "task_id": 1, "url": "https://a/", "body": b"", "next_at": 0}
        for number, (state, days) in enumerate((("done", 40), ("done", 1), ("waiting", 40))):
            c.execute(insert(deliveries), {"id": number, "state": state, "created_at": now - days * DAY_MS, **body})
    Sweeper(service).clear()
    with service.database.read() as c:
        assert sorted(c.execute(select(workers.c.id)).scalars()) == ["here", "new"]
        assert c.execute(select(func.count()).select_from(deliveries)).scalar() == 2
        assert c.execute(select(func.count()).select_from(accounts)).scalar() == 1


def test_a_sweep_that_fails_is_not_the_last(service: Service, caller: Any, tmp_path: Path) -> None:
    """The object store is away when retention wants it: dead workers are found all the same."""
    age(service, made(service, caller, tmp_path, b"a film"))
    folder = service.settings.data / "objects"
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    ended = threading.Event()
    sweeping = threading.Thread(target=Sweeper(service).run, args=(ended,))
    sweeping.start()
    try:
        time.sleep(0.5)
        silent = {"id": "silent", "host": "h", "pid": 1, "device": "cpu", "models": [], "state": "live"}
        with service.database.write() as c:
            c.execute(insert(workers), {**silent, "started_at": 0, "beat_at": 0})
        end = time.monotonic() + 20
        while True:
            with service.database.read() as c:
                if c.execute(select(workers.c.state)).scalar() == "dead":
                    break
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        ended.set()
        sweeping.join()


def test_a_failed_look_begins_the_silence_anew(service: Service) -> None:
    """After an outage nobody is dead for the beats that he could not make."""
    sweeper = Sweeper(service)
    row = {"id": "w", "host": "h", "pid": 1, "device": "cpu", "models": [], "state": "live", "started_at": 0}
    with service.database.write() as c:
        c.execute(insert(workers), {**row, "beat_at": 5})
    sweeper.recover()
    time.sleep(0.9)

    def fails() -> None:
        raise OSError("an outage")

    sweeper._try("recover", fails)
    sweeper.recover()
    with service.database.read() as c:
        assert c.execute(select(workers.c.state)).scalar() == "live"
    assert isinstance(sweeper._watch, Watch)
    time.sleep(0.9)
    sweeper.recover()
    with service.database.read() as c:
        assert c.execute(select(workers.c.state)).scalar() == "dead"
