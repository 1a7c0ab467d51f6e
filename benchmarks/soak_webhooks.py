"""No callback is missed: a receiver that fails half the time, senders that are killed, and what has arrived in the end.

    python benchmarks/soak_webhooks.py                                  # 5,000 events, 100 kills, SQLite
    python benchmarks/soak_webhooks.py --database postgresql://...      # the same on Postgres

The schedule of attempts is the service's own with its gaps shortened: ten attempts take seconds, not three days. Every
second answer of the receiver fails: with an error, by hanging up, or by not answering; each event fails at most eight
times, as an event that fails ten times is dead by the rules.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa
from standardwebhooks import Webhook, WebhookVerificationError

from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, new_id, now_ms, open_database, tables
from kinora.service.webhooks import Sender, Webhooks

GAPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
TIMEOUT = 0.5
MOST_FAILURES = 8
STATES = ("submitted", "processing", "succeed")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came of it. `missed` are events without an answer of 2xx, `unordered` tasks whose events were first tried in
    another order than they were queued in.
    """

    events: int
    kills: int
    missed: int
    dead: int
    forged: int
    cut_off: int
    unordered: int
    failures_answered: int
    arrived_more_than_once: int
    seconds: float


class Receiver(http.server.ThreadingHTTPServer):
    """Fails every second time, and checks every signature as a customer would."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, secret: str, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.webhook = Webhook(secret)
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.first_tried: list[int] = []
        self.failed: Counter[int] = Counter()
        self.accepted: Counter[int] = Counter()
        self.forged = 0
        self.cut_off = 0

    def choose(self, event: int) -> str:
        """What to do with an event."""
        with self.lock:
            if not self.failed[event] and not self.accepted[event]:
                self.first_tried.append(event)
            if self.failed[event] < MOST_FAILURES and self.random.random() < 0.5:
                self.failed[event] += 1
                return self.random.choice(("500", "502", "302", "429", "hang up", "hang up", "silence"))
            return "accept"

    def handle_error(self, *_: object) -> None: ...


class Answering(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) < int(self.headers["Content-Length"]):  # its sender was killed while it wrote
            self.server.cut_off += 1
            return
        try:
            event = self.server.webhook.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            self.server.forged += 1
            return
        action = self.server.choose(event["event"])
        if action == "silence":
            time.sleep(TIMEOUT * 1.5)
        elif action == "accept":
            self.send_response(200)
            self.end_headers()
            with self.server.lock:
                self.server.accepted[event["event"]] += 1
        elif action != "hang up":
            self.send_response(int(action))
            self.end_headers()

    def log_message(self, *_: object) -> None: ...


def soak(
    settings: Settings,
    *,
    events: int,
    kills: int,
    pace: float = 1.0,
    senders: int = 2,
    seed: int = 0,
    wait: float = 600.0,
) -> Figures:
    """Queue events while senders are killed, wait until nothing is waiting, and count. `pace` multiplies the gaps."""
    database = open_database(settings)
    webhooks = Webhooks(database, Sealer(settings))
    account_id = _account(database)
    receiver = Receiver(webhooks.rotate(account_id), seed)
    threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    started = time.monotonic()
    processes = [_sender(settings, pace) for _ in range(senders)]
    try:
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        _queue_and_kill(processes, settings, webhooks, database, Work(account_id, url, events, kills, pace, seed))
        while webhooks.counts()["waiting"] and time.monotonic() - started < wait:
            time.sleep(0.1)
    finally:
        for process in processes:
            _end(process)
        receiver.shutdown()
        receiver.server_close()
    counts = webhooks.counts()
    database.close()
    last: dict[int, int] = {}
    unordered = 0
    for event in receiver.first_tried:
        unordered += last.get(event // len(STATES), -1) > event
        last[event // len(STATES)] = event
    return Figures(
        events=events,
        kills=kills,
        missed=events - len(receiver.accepted),
        dead=counts["dead"] + counts["waiting"],
        forged=receiver.forged,
        cut_off=receiver.cut_off,
        unordered=unordered,
        failures_answered=receiver.failed.total(),
        arrived_more_than_once=sum(n > 1 for n in receiver.accepted.values()),
        seconds=round(time.monotonic() - started, 1),
    )


def _account(database: Database) -> int:
    account_id = new_id()
    with database.write() as c:
        c.execute(
            sa.insert(tables.accounts).values(
                id=account_id,
                name=f"soak {account_id}",
                role="member",
                state="active",
                plan="free",
                language="en",
                created_at=now_ms(),
            )
        )
    return account_id


@dataclass(frozen=True)
class Work:
    """What is queued for whom, and how often a sender is killed meanwhile."""

    account_id: int
    url: str
    events: int
    kills: int
    pace: float
    seed: int


def _queue_and_kill(
    processes: list[subprocess.Popen[bytes]], settings: Settings, webhooks: Webhooks, database: Database, work: Work
) -> None:
    """Queue a share of the events, let the senders get at them, SIGKILL one and start another; again and again."""
    chance = random.Random(work.seed + 1)
    each = -(-work.events // max(1, work.kills) // len(STATES)) * len(STATES)
    left = work.kills
    for first in range(0, work.events, each):
        _queue(webhooks, database, work, first, min(first + each, work.events))
        while left and (first + each) * work.kills >= (work.kills - left + 1) * work.events:
            time.sleep(chance.uniform(0.02, 0.4))
            at = chance.randrange(len(processes))
            os.kill(processes[at].pid, signal.SIGKILL)
            _end(processes[at])
            processes[at] = _sender(settings, work.pace)
            left -= 1


def _queue(webhooks: Webhooks, database: Database, work: Work, first: int, end: int) -> None:
    """Each task has three events, each in a transaction of its own, as the service writes them."""
    for task in range(first, end, len(STATES)):
        task_id = new_id()
        for event in range(task, min(task + len(STATES), end)):
            body = json.dumps({"event": event, "task_id": str(task_id), "task_status": STATES[event % len(STATES)]})
            with database.write() as c:
                webhooks.queue(c, work.account_id, task_id, work.url, body.encode())


def _sender(settings: Settings, pace: float) -> subprocess.Popen[bytes]:
    told = {"data": str(settings.data), "database": settings.database, "secret": settings.secret, "loopback": True}
    arguments = [sys.executable, str(Path(__file__).resolve()), "--send", json.dumps(told), str(pace)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it is at work: one that is killed while it starts shows nothing
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _send(told: str, pace: str) -> None:
    settings = Settings(**json.loads(told))
    database = Database(settings.database_url)
    gaps = [gap * float(pace) for gap in GAPS]
    print("ready", flush=True)
    Sender(database, Sealer(settings), settings, timeout=TIMEOUT, gaps=gaps).run(threading.Event())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="", help="SQLAlchemy URL; a SQLite file of its own without it")
    parser.add_argument("--send", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        _send(*arguments.send)
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), database=arguments.database, loopback=True, secret="s" * 32)
        figures = soak(settings, events=arguments.events, kills=arguments.kills, seed=arguments.seed, wait=3600)
    print(json.dumps(asdict(figures), indent=1))
    sys.exit(bool(figures.missed or figures.dead or figures.forged))


if __name__ == "__main__":
    main()
