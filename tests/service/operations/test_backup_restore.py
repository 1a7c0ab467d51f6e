"""A backup of a service that runs, brought back elsewhere."""

from __future__ import annotations

import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinora.service.ledger_audit import audit


@pytest.mark.parametrize("objects", ["", "elsewhere"])
def test_all_of_it_comes_back(
    objects: str, host: Callable[..., Any], client: Callable[..., Any], opened: Callable[..., Any], tmp_path: Path
) -> None:
    where = {"KINORA_OBJECTS": str(tmp_path / "films")} if objects else {}
    one = host("one", KINORA_WORKERS="1", **where)
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
    assert one.run("admin", "backup", str(into)).returncode == 2
    assert one.run("admin", "restore", str(into)).returncode == 2

    elsewhere = {"KINORA_OBJECTS": str(tmp_path / "other films")} if objects else {}
    other = host("other", KINORA_WORKERS="1", **elsewhere)
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


def test_what_is_no_backup(host: Callable[..., Any], tmp_path: Path) -> None:
    one = host()
    nothing = one.run("admin", "restore", str(tmp_path))
    assert nothing.returncode == 2
    assert "no whole backup" in nothing.stderr
    assert len(nothing.stderr.strip().splitlines()) == 1
    missing = one.run("admin", "backup", str(tmp_path / "into"))
    assert missing.returncode == 2
    assert "There is no service" in missing.stderr
    other = one.run("admin", "backup", str(tmp_path / "into"), KINORA_DATABASE="postgresql://u:p@h/d")
    assert other.returncode == 2
    assert "pg_dump" in other.stderr
