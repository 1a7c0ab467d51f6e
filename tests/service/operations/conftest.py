"""Hosts as they run: each with a data folder of its own, real processes, real sockets, what they say kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kinora.service.creating import Wanted
from kinora.service.service import Service, open_service
from kinora.service.settings import Settings

WAIT = 90.0
QUICK = {
    "KINORA_SERVES": "stub", "KINORA_WORKERS": "0", "KINORA_PORT": "0", "KINORA_LOOPBACK": "true",
    "KINORA_LEASE_SECONDS": "2", "KINORA_BEAT_SECONDS": "0.3", "KINORA_POLL_SECONDS": "0.05", "KINORA_SAVE_STEPS": "2",
    "KINORA_GRACE_SECONDS": "1", "KINORA_STUB_FAULTS": "1",
}  # fmt: skip


def until(true: Callable[[], Any], what: str = "it", seconds: float = WAIT) -> Any:
    """Wait for something to be true; returns it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"{what} did not come to pass within {seconds:g} s"
        time.sleep(0.05)
    return found


@dataclass(frozen=True, kw_only=True)
class Served:
    """A `kinora serve` that is up."""

    process: subprocess.Popen[str]
    url: str
    said: tuple[str, ...]
    """All that it printed before it was ready."""

    @property
    def key(self) -> str:
        return next(line.partition(": ")[2] for line in self.said if line.startswith("your key"))


class Host:
    """A machine, as far as a service sees one: an environment and a data folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data, self.log = folder / "data", folder / "log"
        self.environment = {**QUICK, "KINORA_DATA": str(self.data), **environment}
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def settings(self) -> Settings:
        told = {name.removeprefix("KINORA_").lower(): value for name, value in self.environment.items()}
        return Settings(**{name: value for name, value in told.items() if name in Settings.model_fields})

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "kinora.cli.main", *arguments],
                env={**os.environ, **self.environment, **environment},
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def run(self, *arguments: str, told: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "kinora.cli.main", *arguments], input=told, timeout=WAIT,
            env={**os.environ, **self.environment, **environment}, capture_output=True, text=True,
        )  # fmt: skip

    def submit(self, service: Service, prompt: str = "a ball", **stub: Any) -> int:
        """A task of an account without limits, past HTTP."""
        found = service.accounts.page(limit=1)
        owner = found[0] if found else service.accounts.create("owner", plan="house")
        caller = service.accounts.authenticate(service.accounts.new_key(owner.id, "test").secret)
        wanted = {"kind": "text_to_video", "seconds": 2.0, "quality": "draft", "options": {"stub": stub}}
        return service.studio.create(caller, Wanted(prompt=prompt, **wanted)).id

    def serve(self, *arguments: str, **environment: str) -> Served:
        process = self.start("serve", *arguments, **environment)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "serves at" in first, self.log.read_text()[-4000:]
        url = first.split()[-1]
        said = [first.rstrip()]
        until(lambda: httpx.get(f"{url}/healthz").status_code == 200, "health")
        os.set_blocking(process.stdout.fileno(), False)
        said += [line.rstrip() for line in process.stdout]
        return Served(process=process, url=url, said=tuple(said))

    def worker(self) -> subprocess.Popen[str]:
        """A worker, once it takes tasks."""
        process = self.start("worker")
        ready = f"-{process.pid}-"
        until(lambda: any("worker ready" in line and ready in line for line in self.told()), "a worker")
        return process

    def told(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """`host(name, **environment)`: hosts that end with the test."""
    made: list[Host] = []

    def one(name: str = "one", **environment: str) -> Host:
        made.append(Host(tmp_path / name, **environment))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Host], Service]]:
    """`opened(host)`: the host's service in this process, to look into."""
    services: list[Service] = []

    def one(of: Host) -> Service:
        services.append(open_service(of.settings))
        return services[-1]

    yield one
    for service in services:
        service.close()


class Client:
    """A client of the native API."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def ask(self, prompt: str = "a ball", **stub: Any) -> int:
        if stub:
            import json

            prompt += f" stub{json.dumps(stub)}"
        wish = {"kind": "text_to_video", "prompt": prompt, "seconds": 2, "quality": "draft"}
        answer = self.http.post("/api/tasks", json=wish)
        assert answer.status_code < 300, answer.text
        return int(answer.json()["id"])

    def get(self, task_id: int) -> dict[str, Any]:
        answer = self.http.get(f"/api/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, task_id: int) -> dict[str, Any]:
        until(lambda: self.get(task_id)["state"] in ("succeed", "failed", "cancelled"), f"the end of {task_id}")
        return self.get(task_id)


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def one(served: Served, key: str = "") -> Client:
        made.append(Client(served.url, key or served.key))
        return made[-1]

    yield one
    for each in made:
        each.http.close()
