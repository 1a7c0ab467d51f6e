"""Hundreds of forms of URLs that lead, or might lead some reader of URLs, to this machine or into a private network. A
canary listens on every address of this machine; a resolver says 127.0.0.1 to every name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kinora.service import outside
from kinora.service.addresses import resolve_host
from kinora.service.errors import Invalid
from kinora.service.settings import Settings

# Forms that some system's inet_aton reads as an address, the networks that are not public, and near misses.
NUMBERS = """
127.0.0.1 127.0.0.2 127.1.1.1 127.255.255.254 127.1 127.0.1 127 0.0.0.0 0 0.0.0.1 0.1.2.3 0x7f000001 0x7f.0.0.1 0x7f.1
0x7F.0x0.0x0.0x1 0X7F000001 0x0000007f.0.0.1 0177.0.0.1 0177.1 00177.00.00.01 017700000001 2130706433 2130706434
02130706433 127.0.0.01 127.00.0.1 127.000.000.001 0127.0.0.1 127.0.0.0x1 127.0x0.0.1 0x7f.0.0x1 127.0.257 127.65537
127.0.0.1.0 256.0.0.1 1.2.3.4.5 127.0.0 0x7f.0.1 00000177.0.0.1 4294967295 0xffffffff 3232235777 0xc0a80101 0xa9fea9fe
2852039166 169.254.169.254 0251.0376.0251.0376 169.254.43518 192.168.1.1 192.168.257 10.0.0.1 10.1 012.0.0.1 0xa.0.0.1
172.16.0.1 172.31.255.254 100.64.0.1 100.127.255.254 100.100.100.200 192.0.0.1 192.0.0.192 192.0.2.1 198.18.0.1
198.19.255.254 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.88.99.1 168.63.129.16
192.31.196.1 192.52.193.1 192.175.48.1 169.254.170.2 169.254.0.1 10.255.255.255 192.168.255.255 172.20.10.2
0b1111111 0o177.0.0.1 +127.0.0.1 -127.0.0.1 127.0.0.1- 127..0.1 .127.0.0.1 127.0.0.1. 127.0.0.1.. 0x 0x. 08.8.8.8
09.0.0.1 127.0.0.1e0 127.0.0.-1
""".split()

SIX = """
::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:0:127.0.0.1 ::127.0.0.1 ::7f00:1 0:0:0:0:0:0:0:1 0000:0000::0001
0:0:0:0:0:ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:192.168.0.1 ::ffff:100.64.0.1 ::ffff:0.0.0.0
::ffff:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::100.64.0.1 64:ff9b:1::1
64:ff9b:1::8.8.8.8 2002:7f00:1:: 2002:7f00:0001::1 2002:a00:1:: 2002:c0a8:101:: 2002:a9fe:a9fe:: 2002:808:808::1
2001:0:7f00:1::1 2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:0:53aa:64c:0:fffe:5601:fefe 2001:10::1 2001:20::1
2001:2::1 fe80::1 fe80::1%lo fe80::1%251 fe80::1%25eth0 febf::1 fec0::1 fc00::1 fd00::1 fd00:ec2::254 fdff:ffff::1
ff02::1 ff05::2 ff0e::1 100::1 2001:db8::1 3fff::1 5f00::1 4000::1 ::2 ::ffff 1::1 200::1 2620:4f:8000::1
2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:10.0.0.1 ::1%1 1:2:3 ::g ::1::1 12345::1 :::1 127.0.0.1 ::ffff:127.1
::ffff:0x7f.0.0.1 localhost example.com v1.::1
""".split()

NAMES = """
localhost LOCALHOST LocalHost localhost. localhost.. localhost.localdomain localhost6 ip6-localhost broadcasthost
printer router intranet a www metadata metadata.google.internal instance-data.ec2.internal host.docker.internal
kubernetes.default.svc kubernetes.default.svc.cluster.local app.local my.printer.local foo.localhost a.b.localhost
nas.lan router.home fritz.box.home db.corp x.intranet y.private z.internal 1.0.0.127.in-addr.arpa home.arpa x.home.arpa
hidden.onion service.test name.invalid an.example x.alt 127.0.0.1.nip.io localtest.me lvh.me rebind.example.org
app.127-0-0-1.sslip.io 7f000001.c0a80001.rbndr.us example.com. example..com .example.com example.com.. -example.com
example-.com ex%61mple.com %6cocalhost %31%32%37.0.0.1 127.0.0.1%2f.example.com 127.0.0.1%00.example.com localhost%20
%[::1] 127%2e0%2e0%2e1 localhost%2e ①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1 127．0．0．1 127｡0｡0｡1 １２７。０。０。１
ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ ʟocalhost localhoſt 𝐥𝐨𝐜𝐚𝐥𝐡𝐨𝐬𝐭 local\u200bhost local\u00adhost localhost\u200d
\u202elocalhost example。com example．evil.org xn--0 xn-- xn--a xn--n3h..com xn--80ak6aa92e。com ex℀mple.com
exa⁄mple.com example.com／@localhost [example.com] [localhost] [127.0.0.1] [::1 ::1] [[::1]] [::1]localhost
localhost[::1] [] [:] [.] [::1].example.com 例え.localhost 中文.local xn--fiq228c.local a_b ＠localhost
""".split()

WHOLE = [
    "http://user@127.0.0.1:{port}/", "http://user:pass@localhost:{port}/", "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.com/", "http://example.com:80@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/",
    "http://:@localhost:{port}/", "http://example.com%40127.0.0.1:{port}/", "http://example.com#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/", "http://127.0.0.1:{port}?@example.com/", "http://127.0.0.1:{port}\\@example.com/",
    "http://example.com\\@127.0.0.1:{port}/", "http://example.com\\.127.0.0.1:{port}/", "http:\\\\127.0.0.1:{port}\\",
    "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/", "127.0.0.1:{port}", "://127.0.0.1:{port}/", "http//127.0.0.1:{port}/", "/127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/ ", "\thttp://127.0.0.1:{port}/", "\nhttp://127.0.0.1:{port}/",
    "ht\ntp://127.0.0.1:{port}/", "http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1:{port}/\x00", "http://\x00127.0.0.1:{port}/",
    "http://127.0.0.1\x00.example.com:{port}/", "http://127.0.0.1 :{port}/", "http:// 127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/", "http://127.0.0.1\r\n.example.com:{port}/", "http://127.0.0.1\u3000:{port}/",
    "http://127.0.0.1\u2028:{port}/", "http://example.com \u2029127.0.0.1:{port}/", "http://\u00a0127.0.0.1:{port}/",
    "http://127.0.0.1:0{port}/", "http://127.0.0.1:+{port}/", "http://127.0.0.1:{port}:80/", "http://127.0.0.1::{port}/",
    "http://127.0.0.1:-1/", "http://127.0.0.1:99999/", "http://127.0.0.1:65536/", "http://127.0.0.1:0/", "http://127.0.0.1:/",
    "http://127.0.0.1:８０/", "http://127.0.0.1:8o80/", "http://127.0.0.1:0x50/", "http://127.0.0.1:{port}.0/", "http://localhost:{port}:",
    "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "file://127.0.0.1/etc/passwd", "gopher://127.0.0.1:{port}/_GET", "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "wss://127.0.0.1:{port}/", "tftp://127.0.0.1:{port}/", "jar:http://127.0.0.1:{port}/!/",
    "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "javascript:fetch('http://127.0.0.1:{port}')",
    "data:text/html,http://127.0.0.1:{port}/", "view-source:http://127.0.0.1:{port}/", "feed:http://127.0.0.1:{port}/",
    "netdoc:///etc/passwd", "phar://127.0.0.1:{port}/", "expect://id", "php://filter", "blob:http://127.0.0.1:{port}/", "about:blank",
    "concat:http://127.0.0.1:{port}/", "http1://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/",
    "hTTp://LOCALHOST:{port}/", "httpx://127.0.0.1:{port}/", "rtsp://127.0.0.1:{port}/", "s3://127.0.0.1/{port}", "",
    "http://", "https://", "http:///", "http://?", "http://#", "http://@", "http://:80", "http://.", "http://..", "http://../",
    "http://[", "http://]", "http://[::1", "http://::1:{port}/", "http://::1]:{port}/", "http://[::1]{port}/", "http://[::1]:{port}:/",
    "http://[::1%25lo]:{port}/", "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/", "http://[::ffff:127.0.0.1]:{port}@example.com/",
    "http://example.com:25/", "http://example.com:22/", "http://example.com:6379/", "http://example.com:11211/", "http://example.com:3306/",
    "http://example.com:5432/", "http://example.com:9200/", "http://example.com:2375/", "https://example.com:10250/", "http://example.com:1/",
    "http://" + "a" * 64 + ".com:{port}/", "http://" + "a." * 130 + "com:{port}/", "http://example.com:{port}/" + "x" * 9000,
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
        if host.startswith("127.") and host.count(".") == 3 and ".0" + host[-1] not in host:
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
        "https://example.com", "http://EXAMPLE.com:8080/a?b#c", "https://xn--fiqs8s.xn--fiqs8s/", "https://中文.com/图.png",
        "https://a_b.example.com/", "https://93.184.216.34/x", "https://[2606:4700::1111]:8443/x", "https://example.com/a b".replace(" ", "%20"),
        "https://bücher.de/", "https://1password.com/", "https://123.com/", "https://x.co/@user", "https://example.com/?u=http://127.0.0.1/",
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
