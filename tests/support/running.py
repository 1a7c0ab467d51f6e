"""A service on a real socket, and a real worker process with the stub model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from kinora.service.accounts import Account
from kinora.service.settings import Settings


class Running:
    """A service that listens, in this process."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """`options` are uvicorn's."""
        from kinora.service.api.app import create_app
        from kinora.service.service import open_service

        self.settings = settings
        self.service = open_service(settings)
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.app = create_app(self.service)
        usual = {"log_config": None, "access_log": False, "lifespan": "off"}
        self._server = uvicorn.Server(uvicorn.Config(self.app, **{**usual, **options}))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        self._accounts = 0

    def account(self, *, plan: str = "house", units: int = 1_000_000, **values: Any) -> Account:
        self._accounts += 1
        account = self.service.accounts.create(f"account {self._accounts}", plan=plan, language="en", **values)
        if units:
            with self.service.database.write() as c:
                self.service.ledger.grant(c, account.id, units, source="gift", period="test")
        return account

    def key(self, account: Account) -> str:
        return self.service.accounts.new_key(account.id, "test").secret

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.service.close()


class Shared:
    """One service for all that ask, since a start takes seconds; the last to leave ends it."""

    def __init__(self, *, worker: bool) -> None:
        self._worker, self._users = worker, 0
        self._stack = ExitStack()

    @contextmanager
    def use(self, folder: Path) -> Iterator[Running]:
        if not self._users:
            self.made = self._stack.enter_context(running(folder))
            if self._worker:
                self._stack.enter_context(with_worker(self.made))
        self._users += 1
        try:
            yield self.made
        finally:
            self._users -= 1
            if not self._users:
                self._stack.close()


def settings_of(folder: Path, **values: Any) -> Settings:
    usual = {
        "port": 0, "loopback": True, "secret": "a secret of thirty-two characters!", "serves": "stub",
        "requests_per_minute": 1_000_000, "poll_seconds": 0.05, "beat_seconds": 0.5, "lease_seconds": 10,
        "grace_seconds": 1,
    }  # fmt: skip
    return Settings(data=folder, **(usual | values))


@contextmanager
def running(folder: Path, **values: Any) -> Iterator[Running]:
    """A service without a worker: tasks stay where they are."""
    made = Running(settings_of(folder, **values))
    try:
        yield made
    finally:
        made.close()


@contextmanager
def with_worker(made: Running) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of a service."""
    from kinora.service.serving import environment_of

    environment = {**os.environ, **environment_of(made.settings), "KINORA_STUB_FAULTS": "1", "OMP_NUM_THREADS": "1"}
    with (made.settings.data / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", "import sys; from kinora.cli.main import main; sys.exit(main())", "worker",
     "--parent", str(os.getpid())],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield worker
        finally:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


IDLE, BUSY = Shared(worker=False), Shared(worker=True)
