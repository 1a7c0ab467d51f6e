"""A real service behind a real socket, a real worker with the stub model, and servers of our own for pictures and
callbacks.
"""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import numpy as np
import pytest
from PIL import Image

from kinora.service.accounts import Account, NewKey
from kinora.service.settings import Settings
from running import Running, settings_of, with_worker


@dataclass(kw_only=True)
class Reply:
    """An answer, its envelope checked."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def code(self) -> int:
        return self.body["code"]

    @property
    def data(self) -> Any:
        assert self.code == 0, self.body
        return self.body["data"]

    @property
    def message(self) -> str:
        return self.body["message"]


@dataclass(kw_only=True)
class Client:
    """An account's client: posts and gets, with its key."""

    url: str
    account: Account
    key: NewKey
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        headers = {"Authorization": f"Bearer {self.key.secret}", **options.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        if isinstance(body, bytes | str):
            options["content"] = body
        elif body is not None:
            options["json"] = body
        answer = self.http.request(method, self.url + path, headers=headers, **options)
        told = answer.json()
        assert isinstance(told["code"], int)
        assert isinstance(told["message"], str)
        assert isinstance(told["request_id"], str)
        assert told["request_id"]
        assert ("data" in told) == (told["code"] == 0), told
        assert (answer.status_code == 200) == (told["code"] == 0), (answer.status_code, told)
        return Reply(status=answer.status_code, body=told, headers=answer.headers)

    def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return self("POST", path, body, **options)

    def get(self, path: str, **options: Any) -> Reply:
        return self("GET", path, **options)

    def wait(self, path: str, task_id: str, seconds: float = 20) -> dict[str, Any]:
        """The legacy task, when it is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            task = self.get(f"{path}/{task_id}").data
            if task["task_status"] in ("succeed", "failed"):
                return task
            time.sleep(0.05)
        raise AssertionError(f"{task_id} is still {task['task_status']}")


class Served(Running):
    """A service that listens, and its clients."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._clients: list[Client] = []

    def client(self, *, plan: str = "house", units: int = 1_000_000) -> Client:
        """A new account's client."""
        account = self.account(plan=plan, units=units)
        made = Client(url=self.url, account=account, key=self.service.accounts.new_key(account.id, "test"))
        self._clients.append(made)
        return made

    def close(self) -> None:
        for client in self._clients:
            client.http.close()
        super().close()


@pytest.fixture(scope="session")
def served_class() -> type[Served]:
    return Served


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    """Settings of a service in a folder."""
    return settings_of


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service without a worker: tasks stay where they are."""
    made = Served(settings_of(tmp_path_factory.mktemp("kling")))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def served_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """The same on both kinds of database, a new one for each test."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    made = Served(settings_of(tmp_path, database=url))
    yield made
    made.close()


@pytest.fixture
def client(served: Served) -> Client:
    return served.client()


@dataclass(kw_only=True)
class Studio:
    """A service with a worker of its own."""

    served: Served
    client: Client


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A service whose tasks are made, by a worker process."""
    from kinora.service.webhooks import Sender

    made = Served(settings_of(tmp_path_factory.mktemp("studio")))
    sender, ended = Sender(made.service.database, made.service.sealer, made.settings), threading.Event()
    thread = threading.Thread(target=sender.run, args=(ended,), daemon=True)
    thread.start()
    with with_worker(made):
        yield Studio(served=made, client=made.client())
    ended.set()
    thread.join(10)
    made.close()


@dataclass(kw_only=True)
class Elsewhere:
    """A server that is not ours: serves files, takes callbacks."""

    url: str
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    received: queue.Queue[tuple[str, dict[str, str], bytes]] = field(default_factory=queue.Queue)

    def add(self, name: str, kind: str, content: bytes) -> str:
        self.files[f"/{name}"] = (kind, content)
        return f"{self.url}/{name}"


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = made.files.get(self.path, ("text/plain", b""))
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.received.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def picture_bytes() -> Callable[..., bytes]:
    """A PNG of noise."""

    def make(width: int = 320, height: int = 300, seed: int = 0) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture
def pair(served: Served) -> Callable[..., tuple[Client, Callable[..., str]]]:
    """A client and a maker of its tokens, as the vendor's sample makes them."""

    def make() -> tuple[Client, Callable[..., str]]:
        client = served.client()
        new = served.service.accounts.new_key(client.account.id, "pair", kind="pair")

        def token(*, lives: float = 1800, begins: float = -5, secret: str = new.secret, **claims: Any) -> str:
            now = int(time.time())
            told = {"iss": new.access_key, "exp": now + lives, "nbf": now + begins, **claims}
            return jwt.encode(told, secret, headers={"alg": "HS256", "typ": "JWT"})

        return client, token

    return make
