"""A real service on a real socket, accounts with their clients, and what they may have in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from kinora.service.accounts import Account
from kinora.service.settings import Settings
from kinora.service.tasks import NewOutput, Outcome, Progress, Task
from running import Running, settings_of, with_worker


class Tenant(httpx.Client):
    """An account's client."""

    account: Account
    secret: str


class Served(Running):
    """A service that listens, with its own beginning and end, and its clients."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, lifespan="on", timeout_graceful_shutdown=2)
        self.clients: list[httpx.Client] = []

    def nobody(self, **options: Any) -> httpx.Client:
        """A client without a key."""
        client = httpx.Client(base_url=self.url, timeout=30, **options)
        self.clients.append(client)
        return client

    def tenant(self, *, plan: str = "house", role: str = "member", password: str | None = None) -> Tenant:
        """A new account with a client that has its key."""
        account = self.account(plan=plan, units=0, role=role, password=password)
        secret = self.key(account)
        client = Tenant(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {secret}"})
        client.account, client.secret = account, secret
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        super().close()

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
    return settings_of


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[Served]:
    """A service without a worker: tasks stay where they are."""
    made = Served(settings_for(tmp_path_factory.mktemp("app")))
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path: Path, settings_for: Callable[..., Settings]) -> Iterator[Callable[..., Served]]:
    """`serve(**settings)`: a service of one's own."""
    made: list[Served] = []

    def start(**values: Any) -> Served:
        made.append(Served(settings_for(tmp_path / f"service {len(made)}", **values)))
        return made[-1]

    yield start
    for one in made:
        one.close()


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
    made = Served(settings_for(tmp_path_factory.mktemp("worker")))
    with with_worker(made):
        yield made
    made.close()
