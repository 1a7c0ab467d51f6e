"""Receivers of callbacks on real sockets, accounts to send from, and a clock to turn."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, new_id, now_ms, open_database, tables
from kinora.service.webhooks import Sender, Webhooks

Reply = tuple[int, dict[str, str]]


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent; `reply` says what to answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.reply: Callable[[Call], Reply] = lambda _call: (200, {})
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def paths(self) -> list[str]:
        return [call.path for call in self.calls]

    def handle_error(self, *_: object) -> None: ...


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.path, headers, body, time.monotonic())
        self.server.calls.append(call)
        status, answered = self.server.reply(call)
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    started: list[Receiver] = []

    def start() -> Receiver:
        receiver = Receiver()
        threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        receiver.shutdown()
        receiver.server_close()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@dataclass
class Post:
    """The service's side: what queues and what sends, and `now`, in milliseconds, which tests turn."""

    database: Database
    settings: Settings
    now: int = field(default_factory=now_ms)

    def __post_init__(self) -> None:
        self.webhooks = Webhooks(self.database, Sealer(self.settings))
        self.account_id = self.account()

    def account(self) -> int:
        account_id = new_id()
        values = {
            "id": account_id,
            "name": str(account_id),
            "role": "member",
            "state": "active",
            "plan": "free",
            "language": "en",
        }
        with self.database.write() as c:
            c.execute(sa.insert(tables.accounts).values(**values, created_at=self.now))
        return account_id

    def sender(self, **options: object) -> Sender:
        return Sender(self.database, Sealer(self.settings), self.settings, **options)

    def queue(self, url: str, body: bytes = b"{}", *, task_id: int | None = None, account_id: int | None = None) -> int:
        with self.database.write() as c:
            task_id = new_id() if task_id is None else task_id
            return self.webhooks.queue(c, account_id or self.account_id, task_id, url, body, self.now)

    def row(self, delivery_id: int) -> sa.Row:
        with self.database.read() as c:
            return c.execute(sa.select(tables.deliveries).where(tables.deliveries.c.id == delivery_id)).one()

    @contextlib.contextmanager
    def running(self, **options: object) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.sender(**options).run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def post(settings: Settings) -> Iterator[Post]:
    database = open_database(settings)
    yield Post(database, settings)
    database.close()


@pytest.fixture
def post_on_both(database: Database, settings: Settings) -> Post:
    """For what the two databases do in ways of their own: leases, order, locks, upserts."""
    return Post(database, settings)
