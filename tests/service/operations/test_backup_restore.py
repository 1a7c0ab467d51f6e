"""A backup of a service that runs, brought back elsewhere."""

from __future__ import annotations

import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinora.core.errors import InputError, OutputError
from kinora.service.backup import backup, restore
from kinora.service.ledger_audit import audit
from kinora.service.service import open_service
from kinora.service.settings import Settings


def test_all_of_it_comes_back(
    host: Callable[..., Any], client: Callable[..., Any], opened: Callable[..., Any], tmp_path: Path
) -> None:
    one = host("one", KINORA_WORKERS="1")
    served = one.serve()
    asking = client(served)
    done = asking.ended(asking.ask())
    film = asking.http.get(done["outputs"][0]["url"]).content
    slow = asking.ask(step_seconds=0.3, steps=20)
    waits = asking.ask("a cube")
    while asking.get(slow)["state"] == "submitted":
        pass
    into = tmp_path / "backup"
    kept = one.run("admin", "backup", str(into))
    assert (kept.returncode, kept.stdout.strip()) == (0, str(into)), kept.stderr
    assert stat.S_IMODE(into.stat().st_mode) == 0o700, "it holds the secret"
    account = asking.http.get("/api/account").json()["account"]
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0

    # A second backup does not go over the first, nor a restoration over a service.
    with pytest.raises(OutputError, match="not empty"):
        backup(one.settings, into)
    with pytest.raises(OutputError, match="a service in"):
        restore(one.settings, into)

    other = host("other", KINORA_WORKERS="1")
    assert other.run("admin", "restore", str(into)).returncode == 0
    assert (other.data / "secret.key").read_bytes() == (one.data / "secret.key").read_bytes()
    assert stat.S_IMODE((other.data / "secret.key").stat().st_mode) == 0o600
    again = other.serve()
    assert len(again.said) == 1, "no new first key"
    there = client(again, served.key)
    assert there.http.get(there.get(int(done["id"]))["outputs"][0]["url"]).content == film
    assert [there.ended(task)["state"] for task in (slow, waits)] == ["succeed"] * 2, "what was unfinished goes on"
    assert there.http.get("/api/account").json()["account"] == account
    service = opened(other)
    with service.database.read() as c:
        found = audit(c)
    assert (found.drift, found.negative, found.open_holds) == (0, 0, 0)


def test_files_in_a_folder_of_their_own(tmp_path: Path) -> None:
    one = Settings(data=tmp_path / "one", objects=str(tmp_path / "films"), serves="stub")
    service = open_service(one)
    service.objects.put("sha256/ab/cd", b"a film")
    service.objects.put("work/1/save", b"half a film")
    service.close()
    backup(one, tmp_path / "kept")
    other = Settings(data=tmp_path / "other", objects=str(tmp_path / "other films"), serves="stub")
    restore(other, tmp_path / "kept")
    service = open_service(other)
    assert service.objects.read("sha256/ab/cd") == b"a film"
    assert service.objects.list("work") == [], "what was under way is made again"
    service.close()


def test_files_that_come_and_go_meanwhile(tmp_path: Path) -> None:
    """Sweeps delete and workers write while a backup copies."""
    settings = Settings(data=tmp_path / "one", serves="stub")
    service = open_service(settings)
    service.objects.put("sha256/00/first", b"stays")
    ended = threading.Event()

    def churn() -> None:
        number = 20
        while not ended.is_set():
            number += 1
            service.objects.put(f"sha256/{number % 90 + 10}/{number}", b"x" * 1000)
            service.objects.delete(f"sha256/{(number - 20) % 90 + 10}/{number - 20}")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for number in range(15):
            backup(settings, tmp_path / f"kept-{number}")
            assert (tmp_path / f"kept-{number}" / "objects/sha256/00/first").read_bytes() == b"stays"
    finally:
        ended.set()
        churning.join()
        service.close()


def test_what_is_no_backup(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", serves="stub")
    with pytest.raises(InputError, match="no whole backup"):
        restore(settings, tmp_path)
    with pytest.raises(InputError, match="There is no service"):
        backup(settings, tmp_path / "into")
    with pytest.raises(InputError, match="pg_dump"):
        backup(settings.model_copy(update={"database": "postgresql://u:p@h/d"}), tmp_path / "into")
    assert not (tmp_path / "into").exists() or not any((tmp_path / "into").iterdir())
