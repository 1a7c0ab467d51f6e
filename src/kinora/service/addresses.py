"""URLs that users give, and whether they lead to the public internet.

A URL is read once, by the rules here alone, and taken apart into a `Place`; the request is made from its parts, so no
second parser can read it otherwise. A host is resolved once, every address it has must be public, and the connection
goes to one of those very addresses (see `outside`).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

import idna

from kinora.service.errors import Invalid

__all__ = ["Address", "Place", "Resolve", "addresses_of", "is_public", "place_of", "resolve_host"]

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""From a host and a port to the addresses, as text, that the system has for them. Raises OSError."""

LONGEST = 8192
PORTS = frozenset({80, 443, 8080, 8443})
DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 6890 and IANA's special-purpose registry as of 2025; the last is the platform service of Azure's machines.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    )
)  # fmt: skip
# Of IPv6 only this block is handed out. Everything that wraps an IPv4 address lies outside it or is taken out of it.
_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(net)
    # Protocol assignments with Teredo, documentation, 6to4, AS112, documentation again.
    for net in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)

# Names that mean something on a private network alone (RFC 6761, 6762, 8375, 9476 and common practice).
_PRIVATE_ENDINGS = (
    "local", "localhost", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "onion",
    "test", "invalid", "example", "alt",
)  # fmt: skip
_URL = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_V4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_UNWANTED = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a URL says: `host` is an ASCII name or an address without brackets, `target` begins with a slash."""

    scheme: str
    host: str
    port: int
    target: str
    literal: Address | None

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority; the URL goes on with a slash."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The URL in its one canonical form, without a fragment."""
        return self.origin + self.target


def place_of(url: str, *, loopback: bool = False, field: str = "") -> Place:
    """Read a URL. Nothing is looked up or connected to.

    Raises:
        Invalid: not http or https, of an odd form, or leading to a private place by its very words.
    """
    if len(url) > LONGEST:
        raise Invalid(f"The URL has {len(url)} characters; {LONGEST} are allowed.", field=field)
    parts = _URL.fullmatch(url)
    if _UNWANTED.search(url) or parts is None or parts["scheme"].lower() not in DEFAULT_PORTS:
        raise Invalid(f"{_short(url)} is not an http or https URL without spaces and backslashes.", field=field)
    scheme = parts["scheme"].lower()
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise Invalid(
            f"{_short(url)} must name a plain host after {scheme}://, with at most a port: no user, no brackets.",
            field=field,
        )
    host, literal = _host(authority["host"], loopback=loopback, field=field)
    port = int(authority["port"] or DEFAULT_PORTS[scheme])
    place = Place(scheme=scheme, host=host, port=port, target=_target(parts["target"]), literal=literal)
    if literal is not None:
        _check([literal], place, loopback=loopback, field=field)
    elif not loopback:
        _check_port(place, field)
    return place


def addresses_of(
    place: Place, *, loopback: bool, resolve: Resolve, seconds: float, field: str = ""
) -> tuple[Address, ...]:
    """Every address of the place, looked up once and checked; connect to these and to nothing else.

    Raises:
        Invalid: not found in time, or one of the addresses is not public.
    """
    if place.literal is not None:
        found: list[Address] = [place.literal]
    else:
        found = [ip_address(text) for text in dict.fromkeys(_looked_up(place, resolve, seconds, field))]
    _check(found, place, loopback=loopback, field=field)
    return tuple(found)


def is_public(address: Address) -> bool:
    """Whether it is a global unicast address, and not one that stands for a private IPv4 address."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _NOT_PUBLIC_V4)
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:  # what a network without IPv4 makes of a public address
        return is_public(low)
    if address.scope_id or address not in _UNICAST_V6 or any(address in net for net in _NOT_PUBLIC_V6):
        return False
    wraps = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return not wraps or is_public(low)


def resolve_host(host: str, port: int) -> list[str]:
    """The system's own resolver."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _host(text: str, *, loopback: bool, field: str) -> tuple[str, Address | None]:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except ValueError:
            raise Invalid(f"{text} is not an IPv6 address.", field=field) from None
        return str(address), address
    labels = [_label(label) for label in text.lower().split(".")]
    host = ".".join(labels)
    if not all(labels) or len(host) > 253:
        raise Invalid(f"{_short(text)} is not a host's name: letters, digits, single dots.", field=field)
    if not labels[-1][0].isalpha():
        # Systems read 127.1, 0177.0.0.1, 2130706433 and 0x7f000001 as addresses, each in its own way: only one form. No
        # top-level domain begins with a digit.
        if not _V4.fullmatch(host):
            raise Invalid(f"{host} is not an IPv4 address of four decimal numbers.", field=field)
        try:
            return host, IPv4Address(host)
        except ValueError:
            raise Invalid(f"{host} is not an IPv4 address of four decimal numbers.", field=field) from None
    private = len(labels) == 1 or labels[-1] in _PRIVATE_ENDINGS
    if private and not (loopback and host == "localhost"):
        raise Invalid(f"{host} is a name of a private network; give a host on the public internet.", field=field)
    return host, None


def _label(label: str) -> str:
    """A host's label in ASCII; empty if it is none. Names in other scripts must be written as IDNA 2008 has them."""
    if label.isascii() and not label.startswith("xn--"):
        return label if _LABEL.fullmatch(label) else ""
    try:
        return idna.alabel(label).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


def _target(text: str) -> str:
    target = quote(text, safe="/?:@!$&'()*+,;=-._~%[]")
    return target if target.startswith("/") else "/" + target


def _looked_up(place: Place, resolve: Resolve, seconds: float, field: str) -> Sequence[str]:
    # The system's resolver cannot be told when to give up. The thread ends when it does.
    found: list[Sequence[str]] = []

    def look_up() -> None:
        try:
            found.append(resolve(place.host, place.port))
        except OSError:
            found.append(())

    thread = threading.Thread(target=look_up, daemon=True, name="resolve")
    thread.start()
    thread.join(seconds)
    if not found or not found[0]:
        raise Invalid(f"The host {place.host} was not found; check the URL.", field=field)
    return found[0]


def _check(addresses: Sequence[Address], place: Place, *, loopback: bool, field: str) -> None:
    inside = [loopback and address.is_loopback for address in addresses]
    for address, open_here in zip(addresses, inside, strict=True):
        if not open_here and (not is_public(address) or _is_ours(address)):
            # Not the address: what a name means inside is nobody's business outside.
            raise Invalid(f"{place.host} does not lead to the public internet; give a public URL.", field=field)
    if not all(inside):
        _check_port(place, field)


def _check_port(place: Place, field: str) -> None:
    if place.port not in PORTS:
        allowed = ", ".join(str(port) for port in sorted(PORTS))
        raise Invalid(f"Port {place.port} of {place.host} is not allowed; use one of {allowed}.", field=field)


def _is_ours(address: Address) -> bool:
    """Whether a public address is this machine's: what we would send to it, we would send from it. Sends nothing."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False  # no way there at all: connecting will say so


def _short(text: str) -> str:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return repr(shown)
