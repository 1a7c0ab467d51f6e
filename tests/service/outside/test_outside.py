"""Fetching and posting over real sockets: rebinding, redirects, sizes, times, TLS, and what is never done."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from kinora.service import outside, pinned
from kinora.service.errors import Invalid
from kinora.service.outside import fetch, post

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"
PICTURE = b"\x89PNG" + bytes(range(256)) * 40


def picture(handler) -> None:
    handler.reply(200, PICTURE, Content_Type="image/png")


# What works


def test_a_file_is_fetched(serve, opened, tmp_path: Path) -> None:
    server = serve(picture)
    into = tmp_path / "x.png"
    got = fetch(f"http://localhost:{server.port}/a/%E5%9B%BE.png?x=1#f", into, settings=opened, limit=len(PICTURE))
    assert into.read_bytes() == PICTURE
    assert (got.bytes, got.media_type, got.name) == (len(PICTURE), "image/png", "图.png")
    method, path, headers, _ = server.seen[0]
    assert (method, path, headers["Host"]) == ("GET", "/a/%E5%9B%BE.png?x=1", f"localhost:{server.port}")
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers
    assert "Cookie" not in headers


def test_the_checked_address_is_connected_to_and_the_host_header_keeps_the_name(
    serve, internet, closed, tmp_path: Path
) -> None:
    server = serve(picture)
    internet.names["files.example.org"], internet.servers[PUBLIC] = [PUBLIC], server.port
    fetch("http://files.example.org/x.png", tmp_path / "x", settings=closed, limit=20_000, resolve=internet.resolve)
    assert internet.connected == [(PUBLIC, 80)]
    assert server.seen[0][2]["Host"] == "files.example.org"


def test_the_next_address_is_tried(serve, internet, closed, tmp_path: Path) -> None:
    server = serve(picture)
    internet.names["files.example.org"], internet.servers[OTHER] = [PUBLIC, OTHER], server.port
    fetch("http://files.example.org/x.png", tmp_path / "x", settings=closed, limit=20_000, resolve=internet.resolve)
    assert internet.connected == [(PUBLIC, 80), (OTHER, 80)]


def test_a_callback_is_posted(serve, opened) -> None:
    server = serve(lambda handler: handler.reply(202, b"x" * 100_000, Retry_After="7"))
    answer = post(f"http://127.0.0.1:{server.port}/hook", b'{"a":1}', {"webhook-id": "3"}, settings=opened)
    assert (answer.status, answer.headers["retry-after"], len(answer.body)) == (202, "7", outside.ANSWER_BYTES)
    method, path, headers, body = server.seen[0]
    assert (method, path, body, headers["Content-Type"]) == ("POST", "/hook", b'{"a":1}', "application/json")
    assert headers["webhook-id"] == "3"


# Rebinding


def test_a_host_is_looked_up_once(canary, internet, closed, tmp_path: Path) -> None:
    """First public, then private: who looks twice connects to the second."""
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with pytest.raises(Invalid, match="could not be reached"):
        fetch(f"http://rebind.example.org:{canary.port}/", tmp_path / "x", settings=closed, limit=9, resolve=rebinding)
    assert (asked, internet.connected, canary.visits) == (["rebind.example.org"], [(PUBLIC, canary.port)], 0)


@pytest.mark.parametrize(
    "found",
    [
        [PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"], [PUBLIC, "fe80::1%lo"], ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"], [PUBLIC, "10.0.0.1"], ["2606:4700::1111", "fd00:ec2::254"], ["100.100.100.200"],
    ],
)  # fmt: skip
def test_one_private_address_is_enough_to_refuse(found, canary, internet, closed, tmp_path: Path) -> None:
    internet.names["mixed.example.org"] = found
    url = f"http://mixed.example.org:{canary.port}/"
    for _ in range(3):
        with pytest.raises(Invalid, match="does not lead to the public internet"):
            fetch(url, tmp_path / "x", settings=closed, limit=9, resolve=internet.resolve)
        with pytest.raises(Invalid, match="does not lead to the public internet"):
            post(url, b"", {}, settings=closed, resolve=internet.resolve)
    assert (internet.connected, canary.visits) == ([], 0)


def test_this_machine_s_own_public_address_is_refused(monkeypatch, canary, internet, closed, tmp_path: Path) -> None:
    """As where a machine's interface has a public address: what is sent to it comes from it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((PUBLIC, 9))
        except OSError:
            pytest.skip("this machine has no way out")
        own = probe.getsockname()[0]
    monkeypatch.setattr("kinora.service.addresses._NOT_PUBLIC_V4", ())
    for address in (own, "127.0.0.1"):
        with pytest.raises(Invalid, match="does not lead to the public internet"):
            fetch(f"http://{address}:{canary.port}/", tmp_path / "x", settings=closed, limit=9)
    assert canary.visits == 0


# Redirects


def test_redirect_chains_into_private_space_do_not_arrive(serve, canary, internet, closed, tmp_path: Path) -> None:
    targets = [
        f"http://127.0.0.1:{canary.port}/", f"http://localhost:{canary.port}/", f"http://[::1]:{canary.port}/",
        f"http://2130706433:{canary.port}/", f"//127.0.0.1:{canary.port}/",
        f"http://private.example.org:{canary.port}/",
        f"http:\\\\127.0.0.1:{canary.port}/", f"http://a@127.0.0.1:{canary.port}/", "file:///etc/passwd",
        "gopher://127.0.0.1/",
        f"http://127.0.0.1:{canary.port}\\@example.org/", f" http://127.0.0.1:{canary.port}/",
        "http://169.254.169.254/", "",
        f"http://[::ffff:127.0.0.1]:{canary.port}/", f"HTTP://0:{canary.port}/", "http://[",
        f"\x0bhttp://127.1:{canary.port}/",
    ]  # fmt: skip
    internet.names.update({"start.example.org": [PUBLIC], "private.example.org": ["127.0.0.1"]})

    def answer(handler) -> None:
        # /2/5: two more hops, then to the sixth target
        _, left, which = handler.path.split("/")
        onward = targets[int(which)] if left == "0" else f"http://start.example.org/{int(left) - 1}/{which}"
        handler.reply(int("30" + "12378"[int(which) % 5]), Location=onward)

    server = serve(answer)
    internet.servers[PUBLIC] = server.port
    for hops in range(3):
        for which in range(len(targets)):
            url = f"http://start.example.org/{hops}/{which}"
            with pytest.raises(Invalid):
                fetch(url, tmp_path / "x", settings=closed, limit=99, resolve=internet.resolve)
    assert canary.visits == 0
    assert {address for address, _ in internet.connected} == {PUBLIC}
    assert not (tmp_path / "x").exists()


def test_three_redirects_are_followed_and_a_fourth_is_not(serve, internet, closed, tmp_path: Path) -> None:
    def answer(handler) -> None:
        left = int(handler.path.strip("/"))
        picture(handler) if left == 0 else handler.reply(302, Location=f"/{left - 1}")

    internet.names["a.example.org"], internet.servers[PUBLIC] = [PUBLIC], serve(answer).port
    fetch("http://a.example.org/3", tmp_path / "x", settings=closed, limit=20_000, resolve=internet.resolve)
    assert internet.asked == ["a.example.org"] * 4  # each hop is checked anew
    with pytest.raises(Invalid, match="more than 3 times"):
        fetch("http://a.example.org/4", tmp_path / "y", settings=closed, limit=20_000, resolve=internet.resolve)


def test_callbacks_follow_no_redirect(serve, canary, internet, closed) -> None:
    server = serve(lambda handler: handler.reply(307, Location=f"http://127.0.0.1:{canary.port}/"))
    internet.names["hook.example.org"], internet.servers[PUBLIC] = [PUBLIC], server.port
    answer = post("http://hook.example.org/", b"{}", {}, settings=closed, resolve=internet.resolve)
    assert (answer.status, canary.visits, len(internet.connected)) == (307, 0, 1)


def test_environment_proxies_are_not_used(serve, canary, internet, closed, tmp_path: Path, monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    internet.names["a.example.org"], internet.servers[PUBLIC] = [PUBLIC], serve(picture).port
    fetch("http://a.example.org/", tmp_path / "x", settings=closed, limit=20_000, resolve=internet.resolve)
    assert canary.visits == 0


# Ports


def test_only_web_ports(internet, closed, tmp_path: Path) -> None:
    internet.names["a.example.org"] = [PUBLIC]
    for port in (80, 443, 8080, 8443):
        with pytest.raises(Invalid, match="could not be reached"):
            post(f"http://a.example.org:{port}/", b"", {}, settings=closed, resolve=internet.resolve)
    for port in (1, 22, 25, 81, 3306, 5432, 6379, 8000, 9200, 65535):
        with pytest.raises(Invalid, match=f"Port {port} "):
            post(f"http://a.example.org:{port}/", b"", {}, settings=closed, resolve=internet.resolve)
    assert len(internet.connected) == 4


def test_open_loopback_opens_no_other_port(internet, opened) -> None:
    internet.names["a.example.org"] = [PUBLIC]
    with pytest.raises(Invalid, match="Port 6379"):
        post("http://a.example.org:6379/", b"", {}, settings=opened, resolve=internet.resolve)


# Sizes and kinds


def test_a_file_too_large_is_refused_by_its_header(serve, opened, tmp_path: Path) -> None:
    server = serve(lambda handler: handler.reply(200, b"x", Content_Type="image/png", Content_Length="1000000001"))
    started = time.monotonic()
    with pytest.raises(Invalid, match="larger than 1000 bytes"):
        fetch(f"http://127.0.0.1:{server.port}/", tmp_path / "x", settings=opened, limit=1000)
    assert time.monotonic() - started < 2


def test_a_file_without_an_end_stops_at_the_limit(opened, tmp_path: Path) -> None:
    sent = []

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
            sent.append(65536)

    with _raw(endless) as port, pytest.raises(Invalid, match="larger than 300000 bytes"):
        fetch(f"http://127.0.0.1:{port}/", tmp_path / "x", settings=opened, limit=300_000)
    assert sum(sent) < 20_000_000
    assert not (tmp_path / "x").exists()


def test_exactly_the_limit_is_taken(serve, opened, tmp_path: Path) -> None:
    server = serve(picture)
    url = f"http://127.0.0.1:{server.port}/"
    assert fetch(url, tmp_path / "x", settings=opened, limit=len(PICTURE)).bytes == len(PICTURE)
    with pytest.raises(Invalid, match="larger"):
        fetch(url, tmp_path / "y", settings=opened, limit=len(PICTURE) - 1)


def test_compressed_answers_are_refused(serve, opened, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        server = serve(
            lambda handler, e=encoding: handler.reply(200, bomb, Content_Type="image/png", Content_Encoding=e)
        )
        with pytest.raises(Invalid, match="compresses"):
            fetch(f"http://127.0.0.1:{server.port}/", tmp_path / "x", settings=opened, limit=20_000_000)


def test_a_huge_head_is_refused(opened, tmp_path: Path) -> None:
    def talkative(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-A: " + b"a" * 1000 + b"\r\n")

    def hesitant(connection: socket.socket) -> None:
        while True:  # informational answers without an end
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX-A: a\r\n\r\n" * 50)

    for server in (talkative, hesitant):
        with _raw(server) as port, pytest.raises(Invalid, match="not HTTP"):
            fetch(f"http://127.0.0.1:{port}/", tmp_path / "x", settings=opened, limit=1000, seconds=10)


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 500, 503])
def test_only_200_is_a_file(status: int, serve, opened, tmp_path: Path) -> None:
    server = serve(lambda handler: handler.reply(status, Content_Type="image/png"))
    with pytest.raises(Invalid, match=f"answered {status}"):
        fetch(f"http://127.0.0.1:{server.port}/", tmp_path / "x", settings=opened, limit=1000)


def test_a_page_is_not_a_picture(serve, opened, tmp_path: Path) -> None:
    server = serve(lambda handler: handler.reply(200, b"<html>", Content_Type="text/html; charset=utf-8"))
    url = f"http://127.0.0.1:{server.port}/"
    with pytest.raises(Invalid, match="'text/html', not image") as caught:
        fetch(url, tmp_path / "x", settings=opened, limit=1000, kinds=("image",), field="image_url")
    assert caught.value.field == "image_url"
    server.answer = lambda handler: handler.reply(200, PICTURE, Content_Type="application/octet-stream")
    assert fetch(url, tmp_path / "x", settings=opened, limit=20_000).media_type == "application/octet-stream"


# Times


def test_a_slow_drip_is_cut_off(opened, tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    def drip_head(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    def silent(connection: socket.socket) -> None:
        connection.recv(1)
        time.sleep(30)

    for server in (drip, drip_head, silent):
        started = time.monotonic()
        with _raw(server) as port, pytest.raises(Invalid, match="in time"):
            fetch(f"http://127.0.0.1:{port}/", tmp_path / "x", settings=opened, limit=200_000, seconds=0.5)
        assert time.monotonic() - started < 1.5, server
    assert not (tmp_path / "x").exists()


def test_a_mute_tls_server_and_a_slow_resolver_are_cut_off(opened, tmp_path: Path) -> None:
    ended = threading.Event()

    def slow(_host: str, _port: int) -> list[str]:
        ended.wait(20)
        return []

    with _raw(lambda connection: (connection.recv(1), ended.wait(20))) as port:
        started = time.monotonic()
        with pytest.raises(Invalid, match="in time"):
            post(f"https://127.0.0.1:{port}/", b"", {}, settings=opened, timeout=0.4)
        with pytest.raises(Invalid, match="not found"):
            post("https://a.example.org/", b"", {}, settings=opened, timeout=0.4, resolve=slow)
        assert time.monotonic() - started < 2
        ended.set()


def test_what_is_not_http_is_said_to_be_so(opened, tmp_path: Path) -> None:
    with (
        _raw(lambda connection: (connection.recv(999), connection.sendall(b"220 mail ESMTP\r\n"))) as port,
        pytest.raises(Invalid, match="not HTTP"),
    ):
        fetch(f"http://127.0.0.1:{port}/", tmp_path / "x", settings=opened, limit=10)
    with (
        _raw(lambda connection: (connection.recv(999), connection.sendall(b"SSH-2.0\r\n"))) as port,
        pytest.raises(Invalid, match="could not be reached"),
    ):
        fetch(f"https://127.0.0.1:{port}/", tmp_path / "x", settings=opened, limit=10)


# TLS


def test_tls_keeps_the_name_and_checks_the_certificate(serve, internet, closed, tmp_path: Path, monkeypatch) -> None:
    authority, chain = _certificate(tmp_path, "files.example.org")
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = serve(picture)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    internet.names.update({"files.example.org": [PUBLIC], "other.example.org": [PUBLIC]})
    internet.servers[PUBLIC] = server.port

    def get(host: str) -> None:
        fetch(f"https://{host}/x.png", tmp_path / "x", settings=closed, limit=20_000, resolve=internet.resolve)

    pinned.public_authorities.cache_clear()
    with pytest.raises(Invalid, match="certificate is not valid"):
        get("files.example.org")  # nobody we know signed it
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    pinned.public_authorities.cache_clear()
    get("files.example.org")
    with pytest.raises(Invalid, match="certificate is not valid"):
        get("other.example.org")
    pinned.public_authorities.cache_clear()
    assert asked == ["files.example.org", "files.example.org", "other.example.org"]
    assert server.seen[0][2]["Host"] == "files.example.org"


class _raw:
    """One connection's worth of a server that writes what a function writes."""

    def __init__(self, talk) -> None:
        self.talk = talk

    def __enter__(self) -> int:
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self.socket.getsockname()[1]

    def _serve(self) -> None:
        connection, _ = self.socket.accept()
        with connection, contextlib.suppress(OSError):
            self.talk(connection)

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """An authority of our own and a chain for a name: PEM files."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(subject: str, issuer: str, key, signer, *, ca: bool):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = make("Test Authority", "Test Authority", root_key, root_key, ca=True)
    leaf = make(name, "Test Authority", key, root_key, ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "root.pem").write_bytes(root)
    (folder / "chain.pem").write_bytes(leaf + private)
    return folder / "root.pem", folder / "chain.pem"
