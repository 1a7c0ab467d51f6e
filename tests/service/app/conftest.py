"""A real service on a real socket, accounts with their clients, and what they may have in it."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from kinora.service.accounts import Account
from kinora.service.settings import Settings
from kinora.service.store import now_ms
from kinora.service.tasks import NewOutput, Outcome, Progress, Task


class Tenant(httpx.Client):
    """An account's client."""

    account: Account
    secret: str


@dataclass(kw_only=True)
class Served:
    """A service that listens."""

    service: Any
    app: Any
    url: str
    server: uvicorn.Server
    thread: threading.Thread
    clients: list[httpx.Client] = field(default_factory=list)

    @classmethod
    def start(cls, settings: Settings) -> Served:
        from kinora.service.api.app import create_app
        from kinora.service.service import open_service

        service = open_service(settings)
        app = create_app(service)
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        return cls(service=service, app=app, url=url, server=server, thread=thread)

    def nobody(self, **options: Any) -> httpx.Client:
        """A client without a key."""
        client = httpx.Client(base_url=self.url, timeout=30, **options)
        self.clients.append(client)
        return client

    def tenant(self, *, plan: str = "house", role: str = "member", password: str | None = None) -> Tenant:
        """A new account with a client that has its key."""
        account = self.service.accounts.create(
            f"tenant {len(self.clients)} {now_ms()}", plan=plan, role=role, language="en", password=password
        )
        secret = self.service.accounts.new_key(account.id, "test").secret
        client = Tenant(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {secret}"})
        client.account, client.secret = account, secret
        self.clients.append(client)
        return client

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        self.server.should_exit = True
        self.thread.join(20)
        self.service.close()

    # What workers do, by the store's own means

    def step(self, task_id: str, done: int, preview: str | None = None) -> None:
        """A worker takes the task, or tells how far it is."""
        leasing = self.service.tasks.leasing
        lease = leasing.lease(int(task_id), "a worker")
        leasing.progress(lease, Progress(stage="imagine", done=done, total=8, seconds_left=1.5), preview)

    def finish(self, task_id: str, folder: Path) -> Task:
        """A worker makes a film and ends the task."""
        tasks, assets = self.service.tasks, self.service.assets
        lease = tasks.leasing.lease(int(task_id), "a worker")
        file = folder / f"{task_id}.mp4"
        file.write_bytes(f"film {task_id}".encode())
        asset = assets.store(lease.task.account_id, file, "video/mp4", width=64, height=64, frames=5, frame_rate=1.0)
        output = NewOutput(
            kind="video", digest=asset.digest, media_type="video/mp4", bytes=asset.bytes, width=64, height=64,
            frames=5, seconds=5.0,
        )  # fmt: skip
        return tasks.leasing.finish(lease, Outcome(state="succeed", outputs=(output,)))


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    def make(folder: Path, **values: Any) -> Settings:
        usual = {
            "port": 0, "loopback": True, "secret": "a secret of thirty-two characters!", "serves": "stub",
            "requests_per_minute": 1_000_000, "poll_seconds": 0.05, "beat_seconds": 0.5, "lease_seconds": 10,
            "grace_seconds": 1,
        }  # fmt: skip
        return Settings(data=folder, **(usual | values))

    return make


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[Served]:
    """A service without a worker: tasks stay where they are."""
    made = Served.start(settings_for(tmp_path_factory.mktemp("app")))
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path: Path, settings_for: Callable[..., Settings]) -> Iterator[Callable[..., Served]]:
    """`serve(**settings)`: a service of one's own."""
    made: list[Served] = []

    def start(**values: Any) -> Served:
        made.append(Served.start(settings_for(tmp_path / f"service {len(made)}", **values)))
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def tenant(served: Served) -> Tenant:
    return served.tenant()


@pytest.fixture
def boss(served: Served) -> Tenant:
    """An administrator."""
    return served.tenant(role="admin")


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """A PNG of noise."""

    def make(width: int = 64, height: int = 64, seed: int = 0) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[Served]:
    """A service with a worker process of its own."""
    from kinora.service.serving import environment_of

    made = Served.start(settings_for(tmp_path_factory.mktemp("worker")))
    environment = {**os.environ, **environment_of(made.service.settings), "OMP_NUM_THREADS": "1"}
    log = (made.service.settings.data / "worker.log").open("wb")
    command = [
        sys.executable,
        "-c",
        "import sys; from kinora.cli.main import main; sys.exit(main())",
        "worker",
        "--parent",
        str(os.getpid()),
    ]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
        made.stop()
