"""`kinora serve`: the HTTP process and the workers it keeps alive. Knows no torch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from kinora.core.errors import InputError
from kinora.service.observing import log as logger
from kinora.service.service import Service
from kinora.service.settings import Settings
from kinora.service.store import now_ms
from kinora.service.sweeping import Sweeper
from kinora.service.webhooks import Sender
from kinora.service.workers import WorkerRow, Workers

__all__ = ["FirstKey", "Keeper", "bound", "environment_of", "first_key", "serve"]

log = logger("kinora.serve")

BACKLOG = 2048
WATCH_SECONDS = 0.5
MOST_BACKOFF = 30.0
HEALTHY_SECONDS = 20.0
"""A worker that lived so long is started again at once."""


@dataclass(frozen=True, kw_only=True)
class FirstKey:
    """What a new service hands its owner, once."""

    key: str
    access_key: str
    secret_key: str


def first_key(service: Service) -> FirstKey | None:
    """Make the owner's account and keys where there is no account yet."""
    if service.accounts.page(limit=1):
        return None
    owner = service.accounts.create("owner", role="admin", plan="house")
    key = service.accounts.new_key(owner.id, "first key")
    pair = service.accounts.new_key(owner.id, "first pair", kind="pair")
    return FirstKey(key=key.secret, access_key=pair.access_key or "", secret_key=pair.secret)


def bound(settings: Settings) -> socket.socket:
    """The socket to listen on; raises `InputError` when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        # At once: the system lets two bind the same port as long as neither listens.
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "ports go up to 65535"
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on ({why}); name another with --port."
        ) from error
    return listening


def serve(service: Service, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; then workers end their tasks or give them back."""
    from kinora.service.api.app import create_app

    settings, ended = service.settings, threading.Event()
    keeper = Keeper(settings, Workers(service.database, settings))
    sender = Sender(service.database, service.sealer, settings)

    def sweep() -> None:
        service.engine.warm()
        Sweeper(service).run(ended)

    def ready() -> None:
        on_ready()
        # Only now: what they load would hold up the first answer.
        for name, work in (("workers", keeper.run), ("callbacks", sender.run)):
            threading.Thread(target=work, args=(ended,), name=name, daemon=True).start()
        threading.Thread(target=sweep, name="sweep", daemon=True).start()

    app = create_app(service)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5,
        proxy_headers=False,
    )  # fmt: skip
    # Streams of events end at once: they would go on for as long as a client listens.
    server = Server(config, ready, on_exit=app.state.feed.close)
    try:
        server.run(sockets=[listening])
    finally:
        ended.set()
        keeper.stop()


class Server(uvicorn.Server):
    """Says when it is ready, and returns after a signal: uvicorn's own way ends the process before its workers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_exit()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


class Keeper:
    """Keeps worker processes alive: one that ended is started again, one that hangs is killed first."""

    def __init__(self, settings: Settings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers
        self._kept: list[Kept] = [Kept(settings) for _ in range(settings.workers)]
        self._turn = threading.Lock()
        self._stopped = False

    def run(self, ended: threading.Event) -> None:
        """Watch until told otherwise. The workers die with this thread's process, not with the thread."""
        while not ended.is_set():
            try:
                dead = [row for row in self._workers.page(here_only=False) if row.state == "dead" and row.is_here]
            except SQLAlchemyError as error:
                log.warning("workers cannot be looked up", error=str(error))
                dead = []
            with self._turn:
                for kept in self._kept:
                    if not self._stopped:
                        kept.look(dead)
            ended.wait(WATCH_SECONDS)

    def stop(self) -> None:
        """End all workers, gently at first."""
        with self._turn:
            self._stopped = True  # none is started after it
        for kept in self._kept:
            kept.tell(signal.SIGTERM)
        until = time.monotonic() + self._settings.grace_seconds + 60
        for kept in self._kept:
            kept.wait(max(0.1, until - time.monotonic()))


class Kept:
    """One worker process and its successors."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {**os.environ, **environment_of(settings)}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._next = 0.0
        self._started_ms = 0
        self._backoff = 0.5

    def look(self, dead: Sequence[WorkerRow]) -> None:
        """Start it, or start it again; `dead` are those of this host that were declared so."""
        now = time.monotonic()
        process = self._process
        if process is not None and process.poll() is None:
            # A number alone may be that of an earlier process: in a container they begin at 1 each time.
            if any(row.pid == process.pid and row.started_at >= self._started_ms for row in dead):
                log.warning("killing a worker that hangs", pid=process.pid)
                process.kill()
            return
        if process is not None:
            log.warning("worker ended", pid=process.pid, code=process.returncode)
            self._process = None
            lived = now - self._started
            self._backoff = 0.5 if lived > HEALTHY_SECONDS else min(self._backoff * 2, MOST_BACKOFF)
            self._next = now + (0.0 if lived > HEALTHY_SECONDS else self._backoff)
        if now >= self._next:
            self._started, self._started_ms = now, now_ms()
            command = [sys.executable, "-m", "kinora.cli.main", "worker", "--parent", str(os.getpid())]
            # A session of its own: Ctrl-C is ours to pass on, in order.
            self._process = subprocess.Popen(command, env=self._environment, start_new_session=True)  # noqa: S603

    def tell(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The settings as the environment of another process of the same service."""
    told = settings.model_dump(mode="json", exclude_none=True)
    return {
        f"KINORA_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in told.items()
    }
