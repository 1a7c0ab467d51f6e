"""A service and real worker processes beside it, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinora.service.accounts import Caller
from kinora.service.creating import Wanted
from kinora.service.service import Service, open_service
from kinora.service.serving import environment_of
from kinora.service.settings import Settings
from kinora.service.tasks import Task

WAIT = 90.0


class Fleet:
    """Workers of one service; ended with the test."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.service: Service = open_service(settings)
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []
        owner = self.service.accounts.create("owner", plan="house")
        self.caller: Caller = self.service.accounts.authenticate(self.service.accounts.new_key(owner.id, "test").secret)

    def start(self) -> subprocess.Popen[bytes]:
        """A worker, once it is there."""
        known = {row.id for row in self.workers()}
        environment = {**os.environ, **environment_of(self.settings), "KINORA_STUB_FAULTS": "1"}
        command = [sys.executable, "-m", "kinora.cli.main", "worker"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._processes.append(process)
        self.until(lambda: any(row.id not in known and row.pid == process.pid for row in self.workers()))
        return process

    def workers(self) -> list[Any]:
        from kinora.service.workers import Workers

        return Workers(self.service.database, self.settings).page(here_only=False)

    def submit(self, prompt: str = "a ball", **values: Any) -> Task:
        stub = {
            name: values.pop(name)
            for name in list(values)
            if name in ("fault", "step_seconds", "steps", "step", "attempts", "code", "rungs")
        }
        wanted: dict[str, Any] = {"kind": "text_to_video", "model": "stub", "seconds": 2.0, "quality": "draft"}
        return self.service.studio.create(
            self.caller, Wanted(prompt=prompt, options={"stub": stub} if stub else {}, **(wanted | values))
        )

    def get(self, task: Task) -> Task:
        return self.service.tasks.get(None, task.id)

    def ended(self, task: Task) -> Task:
        self.until(lambda: self.get(task).ended)
        return self.get(task)

    def stepped(self, task: Task, least: int = 1) -> Task:
        """The task once it has made some steps."""
        self.until(lambda: self.get(task).done >= least or self.get(task).ended)
        return self.get(task)

    def until(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT
        while not true():
            if time.monotonic() > until:
                raise AssertionError(
                    f"it did not come to pass within {WAIT:g} s; the workers said:\n{self._log.read_text()[-4000:]}"
                )
            time.sleep(0.05)

    def units(self) -> tuple[int, int]:
        with self.service.database.read() as c:
            balance = self.service.ledger.balance(c, self.caller.account.id)
        return balance.available, balance.held

    def model_of(self, worker: subprocess.Popen[bytes]) -> int:
        """The pid of a worker's model process."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == worker.pid:
                return int(path.parent.name)
        raise AssertionError("the worker has no model process")

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        self.service.close()
