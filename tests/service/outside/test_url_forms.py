"""Hundreds of forms of URLs that lead, or might lead some reader of URLs, to this machine or into a private network. A
canary listens on every address of this machine; a resolver says 127.0.0.1 to every name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kinora.service import outside
from kinora.service.addresses import resolve_host
from kinora.service.errors import Invalid
from kinora.service.settings import Settings

FOLDER = Path(__file__).parent
# Forms that some system's inet_aton reads as an address, the networks that are not public, and near misses.
NUMBERS = (FOLDER / "hosts_four.txt").read_text(encoding="utf-8").split()

SIX = (FOLDER / "hosts_six.txt").read_text(encoding="utf-8").split()

NAMES = [
    *(FOLDER / "hosts_named.txt").read_text(encoding="utf-8").split(),
    "local\u200bhost",
    "local\u00adhost",
    "localhost\u200d",
    "\u202elocalhost",
]

WHOLE = [
    "http://user@127.0.0.1:{port}/", "http://user:pass@localhost:{port}/", "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.com/", "http://example.com:80@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/",
    "http://:@localhost:{port}/", "http://example.com%40127.0.0.1:{port}/", "http://example.com#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/", "http://127.0.0.1:{port}?@example.com/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://example.com\\@127.0.0.1:{port}/", "http://example.com\\.127.0.0.1:{port}/", "http:\\\\127.0.0.1:{port}\\",
    "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/", "127.0.0.1:{port}", "://127.0.0.1:{port}/", "http//127.0.0.1:{port}/",
    "/127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/ ", "\thttp://127.0.0.1:{port}/",
    "\nhttp://127.0.0.1:{port}/",
    "ht\ntp://127.0.0.1:{port}/", "http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1:{port}/\x00",
    "http://\x00127.0.0.1:{port}/",
    "http://127.0.0.1\x00.example.com:{port}/", "http://127.0.0.1 :{port}/", "http:// 127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/", "http://127.0.0.1\r\n.example.com:{port}/", "http://127.0.0.1\u3000:{port}/",
    "http://127.0.0.1\u2028:{port}/", "http://example.com \u2029127.0.0.1:{port}/", "http://\u00a0127.0.0.1:{port}/",
    "http://127.0.0.1:0{port}/", "http://127.0.0.1:+{port}/", "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1::{port}/",
    "http://127.0.0.1:-1/", "http://127.0.0.1:99999/", "http://127.0.0.1:65536/", "http://127.0.0.1:0/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:８０/", "http://127.0.0.1:8o80/", "http://127.0.0.1:0x50/", "http://127.0.0.1:{port}.0/",
    "http://localhost:{port}:",
    "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:{port}/_GET", "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "wss://127.0.0.1:{port}/", "tftp://127.0.0.1:{port}/",
    "jar:http://127.0.0.1:{port}/!/",
    "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "javascript:fetch('http://127.0.0.1:{port}')",
    "data:text/html,http://127.0.0.1:{port}/", "view-source:http://127.0.0.1:{port}/",
    "feed:http://127.0.0.1:{port}/",
    "netdoc:///etc/passwd", "phar://127.0.0.1:{port}/", "expect://id", "php://filter",
    "blob:http://127.0.0.1:{port}/", "about:blank",
    "concat:http://127.0.0.1:{port}/", "http1://127.0.0.1:{port}/", "https://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "hTTp://LOCALHOST:{port}/", "httpx://127.0.0.1:{port}/", "rtsp://127.0.0.1:{port}/", "s3://127.0.0.1/{port}", "",
    "http://", "https://", "http:///", "http://?", "http://#", "http://@", "http://:80", "http://.", "http://..",
    "http://../",
    "http://[", "http://]", "http://[::1", "http://::1:{port}/", "http://::1]:{port}/", "http://[::1]{port}/",
    "http://[::1]:{port}:/",
    "http://[::1%25lo]:{port}/", "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}@example.com/",
    "http://example.com:25/", "http://example.com:22/", "http://example.com:6379/", "http://example.com:11211/",
    "http://example.com:3306/",
    "http://example.com:5432/", "http://example.com:9200/", "http://example.com:2375/",
    "https://example.com:10250/", "http://example.com:1/",
    "http://" + "a" * 64 + ".com:{port}/", "http://" + "a." * 130 + "com:{port}/",
    "http://example.com:{port}/" + "x" * 9000,
]  # fmt: skip

FORMS = [
    *(f"{scheme}://{host}:{{port}}/x.png" for host in NUMBERS for scheme in ("http", "https")),
    *(f"http://[{host}]:{{port}}/x.png" for host in SIX),
    *(f"http://{host}:{{port}}/x.png" for host in NAMES),
    *WHOLE,
]


def test_no_form_of_a_private_place_reaches_the_canary(canary, internet, closed, tmp_path: Path) -> None:
    assert len(set(FORMS)) >= 300
    internet.names = _Everything("127.0.0.1")
    let_in = []
    for form in FORMS:
        for action in (_fetch, _post):
            try:
                action(form.replace("{port}", str(canary.port)), closed, internet.resolve, tmp_path)
            except Invalid:
                continue
            let_in.append(form)
    assert let_in == []
    assert (canary.visits, internet.connected) == (0, [])


def test_the_system_s_own_resolver_changes_nothing(canary, internet, closed, tmp_path: Path) -> None:
    for host in [*NUMBERS, "localhost", "LOCALHOST", "localhost.localdomain", "ip6-localhost"]:
        with pytest.raises(Invalid):
            _fetch(f"http://{host}:{canary.port}/", closed, resolve_host, tmp_path)
    assert canary.visits == 0


def test_odd_forms_are_refused_before_anything_is_looked_up(internet, closed, tmp_path: Path) -> None:
    looked_up = ("127.0.0.1.nip.io", "localtest.me", "lvh.me", "rebind.example.org", "app.127-0-0-1.sslip.io")
    looked_up += ("7f000001.c0a80001.rbndr.us", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    for host in [*NUMBERS, *(name for name in NAMES if name not in looked_up)]:
        with pytest.raises(Invalid):
            _fetch(f"http://{host}/", closed, internet.resolve, tmp_path)
    assert internet.asked == []


def test_the_canary_sings_when_loopback_is_open(canary, internet, opened, tmp_path: Path) -> None:
    """The forms above are refused for what they are, not because nothing would have come of them."""
    internet.names = _Everything("127.0.0.1")
    for host in ("127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "localhost", "LOCALHOST", "localtest.me"):
        before = canary.visits
        _fetch(f"http://{host}:{canary.port}/x.png", opened, internet.resolve, tmp_path)
        assert canary.visits == before + 1, host


def test_loopback_opens_loopback_alone(canary, internet, opened, tmp_path: Path) -> None:
    internet.names = _Everything("127.0.0.1")
    reached = []
    for host in [*NUMBERS, *(f"[{six}]" for six in SIX)]:
        if re.fullmatch(r"127(\.(0|[1-9][0-9]*)){3}", host):
            continue
        try:
            _fetch(f"http://{host}:{canary.port}/x.png", opened, internet.resolve, tmp_path)
        except Invalid:
            continue
        reached.append(host)
    assert set(reached) <= {"[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000::0001]"}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "http://EXAMPLE.com:8080/a?b#c", "https://xn--fiqs8s.xn--fiqs8s/",
        "https://中文.com/图.png",
        "https://a_b.example.com/", "https://93.184.216.34/x", "https://[2606:4700::1111]:8443/x",
        "https://example.com/a b".replace(" ", "%20"),
        "https://bücher.de/", "https://1password.com/", "https://123.com/", "https://x.co/@user",
        "https://example.com/?u=http://127.0.0.1/",
    ],
)  # fmt: skip
def test_ordinary_urls_pass(url: str, closed: Settings) -> None:
    assert outside.check(url, settings=closed).startswith(("http://", "https://"))


def test_the_canonical_form(closed: Settings) -> None:
    canonical = outside.check("HTTPS://EXAMPLE.Com:443?q=图 #f".replace(" ", ""), settings=closed)
    assert canonical == "https://example.com/?q=%E5%9B%BE"
    assert outside.check("http://中文.com:8080/a", settings=closed) == "http://xn--fiq228c.com:8080/a"
    assert outside.check(canonical, settings=closed) == canonical


class _Everything(dict):
    """Every name has this address."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> list[str]:
        return [self.address]


def _fetch(url: str, settings: Settings, resolve, folder: Path) -> None:
    outside.fetch(url, folder / "x", settings=settings, limit=100, seconds=5, resolve=resolve)


def _post(url: str, settings: Settings, resolve, folder: Path) -> None:
    outside.post(url, b"{}", {}, settings=settings, timeout=5, resolve=resolve)
