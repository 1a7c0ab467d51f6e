"""A small internet: names and public addresses that lead to real servers of this machine, and a canary that nothing
may reach.
"""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from kinora.service import addresses
from kinora.service.settings import Settings

PUBLIC = "93.184.216.34"


class Canary:
    """Listens on one port of every address of this machine and counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 6\r\n\r\nsecret")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    """The canary; its port is one that URLs may name, so that the addresses alone keep everybody away."""
    listening = Canary()
    monkeypatch.setattr(addresses, "PORTS", addresses.PORTS | {listening.port})
    yield listening
    listening.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test's function writes."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), self.rfile.read(length)))
        self.server.answer(self)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.port: int = self.server_address[1]

    def handle_error(self, *_: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Handler], None]], Server]]:
    """Starts HTTP servers on loopback that answer with a function."""
    servers: list[Server] = []

    def start(answer: Callable[[Handler], None]) -> Server:
        server = Server(answer)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Internet:
    """Names to addresses, and public addresses to ports of this machine. All other connections are made as asked."""

    def __init__(self) -> None:
        self.names: dict[str, Sequence[str]] = {}
        self.servers: dict[str, int] = {}
        self.asked: list[str] = []
        self.connected: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.names[host]


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    net = Internet()
    real = socket.create_connection

    def connect(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        net.connected.append(address)
        if address[0] in net.servers:
            return real(("127.0.0.1", net.servers[address[0]]), *args, **kwargs)
        if addresses.is_public(addresses.ip_address(address[0])):
            raise ConnectionRefusedError("nobody there")  # tests leave the machine alone
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", connect)
    return net


@pytest.fixture
def closed() -> Settings:
    """Settings as of a service in the world: nothing leads to this machine."""
    return Settings(loopback=False)


@pytest.fixture
def opened() -> Settings:
    return Settings(loopback=True)
