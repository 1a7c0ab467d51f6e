"""No accepted task lost, effects once: tasks under a SIGKILL of a random process every few seconds.

    python benchmarks/soak_tasks.py --tasks 300 --kills 20 --every 1          the short form, as in the tests
    python benchmarks/soak_tasks.py --tasks 12000 --every 5                   the long one
    python benchmarks/soak_tasks.py --postgres                                on Postgres from a wheel

Real processes: one HTTP process, some workers, each with its model process (the stub model). Any of them is killed at
random and started again. Tasks come in over HTTP with an Idempotency-Key, and are sent again until they are answered.
A receiver counts callbacks by their webhook-id. In the end every accepted task must have one outcome, one output, one
charge and one final callback, and the ledger must add up.
"""

from __future__ import annotations

import argparse
import collections
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx

from kinora.service.ledger_audit import audit
from kinora.service.service import Service, open_service
from kinora.service.serving import environment_of
from kinora.service.settings import Settings
from kinora.service.tasks import ENDED

SECRET = "a secret of thirty-two characters!"


@dataclass
class Figures:
    """What a run has shown."""

    tasks: int = 0
    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: float = 0.0
    lost: int = 0
    states: collections.Counter[str] = field(default_factory=collections.Counter)
    double_outputs: int = 0
    wrong_charges: int = 0
    double_tasks: int = 0
    missing_callbacks: int = 0
    double_callbacks: int = 0
    repeated_posts: int = 0
    drift: int = 0
    negative: int = 0
    open_holds: int = 0
    slots: int = 0
    retried: int = 0

    @property
    def good(self) -> bool:
        wrong = (
            self.lost, self.double_outputs, self.wrong_charges, self.double_tasks, self.missing_callbacks,
            self.double_callbacks, self.drift, self.negative, self.open_holds, self.slots,
        )  # fmt: skip
        return not any(wrong)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Counts callbacks: by webhook-id, and the final ones of each task."""

    posts: ClassVar[collections.Counter[str]] = collections.Counter()
    finals: ClassVar[dict[str, set[str]]] = collections.defaultdict(set)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = body.get("task", body)
        name = self.headers.get("webhook-id", "")
        type(self).posts[name] += 1
        if told.get("state", told.get("status")) in ENDED:
            type(self).finals[str(told["id"])].add(name)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_about: object) -> None:
        """Keeps quiet."""


class Process:
    """One process that is started again when it ends."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self._command, self._environment = name, command, environment
        self._log = log.open("ab")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinora.cli.main", *self._command], env=self._environment, stdout=self._log,
            stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def keep(self) -> None:
        if self.process.poll() is not None:
            self.start()

    def children(self) -> list[int]:
        """The process's own: a worker's model process."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:  # it ended meanwhile
                continue
            if parent == self.process.pid:
                found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


class Fleet:
    """The processes of one service."""

    def __init__(self, settings: Settings, workers: int, folder: Path) -> None:
        environment = {**os.environ, **environment_of(settings), "KINORA_STUB_FAULTS": "1"}
        self.url = f"http://127.0.0.1:{settings.port}"
        self.processes = [Process("http", ["serve"], environment, folder / "http.log")]
        self.processes += [
            Process(f"worker {index}", ["worker"], environment, folder / f"worker-{index}.log")
            for index in range(workers)
        ]
        self.kills: collections.Counter[str] = collections.Counter()

    def keep(self) -> None:
        for process in self.processes:
            process.keep()

    def kill_one(self, dice: random.Random) -> None:
        """SIGKILL for an HTTP process, a worker or a model process, each kind as often."""
        kind = dice.choice(("http", "worker", "model"))
        if kind == "http":
            victim = self.processes[0].process.pid
        elif kind == "worker":
            victim = dice.choice(self.processes[1:]).process.pid
        else:
            models = [pid for process in self.processes[1:] for pid in process.children()]
            if not models:
                return
            victim = dice.choice(models)
        try:
            os.kill(victim, signal.SIGKILL)
            self.kills[kind] += 1
        except ProcessLookupError:
            pass

    def end(self) -> None:
        for process in self.processes:
            process.end()


class Submitter:
    """Submits tasks and sends each again until it is answered."""

    def __init__(self, url: str, keys: list[str], callback: str, count: int) -> None:
        self._url, self._keys, self._callback = url, keys, callback
        self._next = iter(range(count))
        self._lock = threading.Lock()
        self.accepted: dict[int, str] = {}
        self.retried = 0

    def run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while True:
                with self._lock:
                    index = next(self._next, None)
                if index is None:
                    return
                self._submit(client, index)

    def _submit(self, client: httpx.Client, index: int) -> None:
        body = {
            "kind": "text_to_video", "prompt": f"ball {index}", "seconds": 2, "model": "stub", "quality": "draft",
            "callback_url": self._callback,
        }  # fmt: skip
        headers = {"authorization": f"Bearer {self._keys[index % len(self._keys)]}", "idempotency-key": f"task-{index}"}
        while True:
            try:
                answer = client.post(f"{self._url}/api/tasks", json=body, headers=headers)
                if answer.status_code == 201:
                    with self._lock:
                        self.accepted[index] = answer.json()["id"]
                    return
                if answer.status_code not in (429, 500, 503):
                    raise SystemExit(f"task {index} was answered {answer.status_code}: {answer.text}")
            except httpx.TransportError:
                pass
            with self._lock:
                self.retried += 1
            time.sleep(0.2)


def soak(
    settings: Settings,
    folder: Path,
    *,
    tasks: int,
    kills: int | None,
    every: float,
    workers: int,
    seed: int,
    limit: float,
) -> Figures:
    """One run. `kills` None: kill until all is done."""
    figures, dice = Figures(tasks=tasks), random.Random(seed)
    service = open_service(settings)
    owners = [service.accounts.create(f"soak {index}", plan="house") for index in range(4)]
    keys = [service.accounts.new_key(owner.id, "soak").secret for owner in owners]
    for owner in owners:
        service.webhooks.rotate(owner.id)
    Receiver.posts, Receiver.finals = collections.Counter(), collections.defaultdict(set)
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    fleet = Fleet(settings, workers, folder)
    submitter = Submitter(fleet.url, keys, f"http://127.0.0.1:{receiver.server_port}/hook", tasks)
    submitting = [threading.Thread(target=submitter.run, daemon=True) for _ in range(6)]
    started = time.monotonic()
    try:
        for thread in submitting:
            thread.start()
        next_kill = started + every
        while time.monotonic() - started < limit:
            fleet.keep()
            if time.monotonic() >= next_kill and (kills is None or fleet.kills.total() < kills):
                fleet.kill_one(dice)
                next_kill = time.monotonic() + dice.uniform(0.3, 1.0) * every
            if done(service, tasks, submitter) and (kills is None or fleet.kills.total() >= kills):
                break
            time.sleep(0.1)
        figures.seconds = time.monotonic() - started
        settle(service, fleet, limit=60)
    finally:
        fleet.end()
        receiver.shutdown()
        receiver.server_close()
    figures.kills, figures.retried = fleet.kills, submitter.retried
    judge(service, submitter, figures)
    service.close()
    return figures


def done(service: Service, tasks: int, submitter: Submitter) -> bool:
    return len(submitter.accepted) == tasks and service.tasks.count(None, states=["submitted", "processing"]) == 0


def settle(service: Service, fleet: Fleet, *, limit: float) -> None:
    """Wait until the last callbacks have gone out."""
    until = time.monotonic() + limit
    while service.webhooks.counts().get("waiting", 0) and time.monotonic() < until:
        fleet.keep()
        time.sleep(0.2)


def judge(service: Service, submitter: Submitter, figures: Figures) -> None:
    """Compare what was accepted with what the store and the receiver know."""
    found = {}
    after: int | None = None
    while page := service.tasks.page(None, limit=500, after=after, oldest_first=True):
        found.update({str(task.id): task for task in page})
        after = page[-1].id
    figures.double_tasks = len(found) - len(set(submitter.accepted.values()))
    for name in submitter.accepted.values():
        task = found.get(name)
        if task is None or not task.ended:
            figures.lost += 1
            continue
        figures.states[task.state if task.state != "failed" else f"failed: {task.code}"] += 1
        succeeded = task.state == "succeed"
        figures.double_outputs += len(task.outputs) != int(succeeded)
        figures.wrong_charges += task.charged != (task.units if succeeded else 0)
        finals = len(Receiver.finals.get(name, ()))
        figures.missing_callbacks += finals == 0
        figures.double_callbacks += finals > 1
    figures.repeated_posts = sum(count - 1 for count in Receiver.posts.values())
    with service.database.read() as c:
        checked = audit(c)
    figures.drift, figures.negative, figures.open_holds = checked.drift, checked.negative, checked.open_holds
    with service.database.read() as c:
        figures.slots = int(c.exec_driver_sql("SELECT SUM(video_slots + image_slots) FROM accounts").scalar() or 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_for(folder: Path, database: str = "") -> Settings:
    return Settings(
        data=folder / "data", database=database, secret=SECRET, port=free_port(), serves="stub", workers=0,
        loopback=True, lease_seconds=4.0, beat_seconds=0.5, poll_seconds=0.05, attempts=10,
        requests_per_minute=1_000_000,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--kills", type=int, default=None, help="so many; left out: until all tasks are over")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills, at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600.0)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, database, server = Path(name), "", None
        if told.postgres:
            import pgserver

            server = pgserver.get_server(folder / "pg", cleanup_mode="stop")
            database = server.get_uri()
        figures = soak(
            settings_for(folder, database), folder, tasks=told.tasks, kills=told.kills, every=told.every,
            workers=told.workers, seed=told.seed, limit=told.limit,
        )  # fmt: skip
        for name, value in vars(figures).items():
            print(f"{name:18} {dict(value) if isinstance(value, collections.Counter) else value}")
        if not figures.good:
            print((folder / "worker-0.log").read_text()[-3000:])
        if server is not None:
            server.cleanup()
    print("good" if figures.good else "NOT good")
    sys.exit(not figures.good)


if __name__ == "__main__":
    main()
