"""`kinora serve` as a process: what it prints, how it ends, and that it knows no torch."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kinora.cli.main import main
from kinora.service.service import open_service
from kinora.service.serving import Keeper
from kinora.service.settings import Settings
from kinora.service.store import now_ms, tables
from kinora.service.workers import Workers


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


NO_TORCH = """
import sys

class Unimportable:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not to be imported here")

sys.meta_path.insert(0, Unimportable())
"""


def test_it_starts_serves_and_drains(
    host: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_TORCH)
    one = host(PYTHONPATH=str(tmp_path / "site"))
    served = one.serve()
    assert served.said[0] == f"Kinora serves at {served.url}"
    assert served.said[1] == f"your key: {served.key}"
    assert served.said[2].startswith("for Kling's clients: access key ")
    assert httpx.get(f"{served.url}/healthz").json() == {"ok": True}
    ready = httpx.get(f"{served.url}/readyz")
    assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["workers"]), "nobody works here"
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0

    # The key was shown once; it is good still.
    again = one.serve()
    assert again.said == (f"Kinora serves at {again.url}",)
    whoami = httpx.get(f"{again.url}/api/account", headers={"Authorization": f"Bearer {served.key}"})
    assert whoami.status_code == 200, whoami.text

    # Its port is taken.
    port = again.url.rpartition(":")[2]
    monkeypatch.setenv("KINORA_DATA", str(tmp_path / "other"))
    assert main(["serve", "--port", port]) == 2
    taken = f"127.0.0.1:{port} cannot be listened on (Address already in use); name another with --port."
    assert capsys.readouterr().err == f"kinora: {taken}\n"
    assert not (tmp_path / "other").exists(), "nothing was begun"
    assert main(["serve", "--port", "70000"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert gc.isenabled()


def test_sigterm_lets_its_worker_end_the_task(host: Callable[..., Any], client: Callable[..., Any]) -> None:
    one = host(KINORA_WORKERS="1", KINORA_GRACE_SECONDS="20")
    served = one.serve()
    asking = client(served)
    task = asking.ask(step_seconds=0.2, steps=12)
    until(lambda: asking.get(task)["state"] != "submitted")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    service = open_service(one.settings)
    ended = service.tasks.get(None, task)
    assert (ended.state, ended.attempts) == ("succeed", 1)
    assert [row.state for row in Workers(service.database, one.settings).page(here_only=False)] == ["gone"]
    service.close()
    assert not list((one.data / "work").glob("*")), "the worker leaves nothing on the disk"


def test_a_worker_is_not_killed_for_the_number_of_a_dead_one(tmp_path: Path) -> None:
    """In a container the same process numbers come again at each start."""
    settings = Settings(data=tmp_path / "data", secret="a secret of thirty-two characters!", serves="stub", workers=1)
    service = open_service(settings)
    keeper = Keeper(settings, Workers(service.database, settings))
    ended = threading.Event()
    running = threading.Thread(target=lambda: keeper.run(ended))
    running.start()
    try:
        until(lambda: Workers(service.database, settings).page())
        pid = Workers(service.database, settings).page()[0].pid
        row = {
            "host": socket.gethostname(), "pid": pid, "device": "cpu", "models": [], "state": "dead",
            "started_at": now_ms() - 3_600_000, "beat_at": now_ms() - 3_600_000,
        }  # fmt: skip
        with service.database.write() as c:
            c.execute(tables.workers.insert(), {"id": "an earlier one", **row})
        time.sleep(1.5)
        os.kill(pid, 0)
        with service.database.write() as c:
            c.execute(tables.workers.update().where(tables.workers.c.pid == pid).values(state="dead"))
        until(lambda: not Path(f"/proc/{pid}").exists())
    finally:
        ended.set()
        running.join()
        keeper.stop()
        service.close()
