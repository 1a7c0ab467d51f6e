"""Everything that leaves the service on a user's word: fetching their pictures and films, posting their callbacks.

The connection goes to an address that was checked (`addresses`); the Host header and TLS keep the name. Environment
proxies are not used. A whole exchange, looking up the host included, has one deadline; its answer's head and body have
a size. Answers are asked for without compression, and refused with it. Fetches follow three redirects, each checked
anew; callbacks follow none.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin

import httpcore

from kinora.service.addresses import Place, Resolve, addresses_of, place_of, resolve_host
from kinora.service.errors import Invalid
from kinora.service.pinned import Pinned, public_authorities
from kinora.service.settings import Settings

__all__ = ["Answer", "Fetched", "check", "decoded", "fetch", "is_url", "post"]

REDIRECTS = 3
MOVED = (301, 302, 303, 307, 308)
ADDRESSES_TRIED = 3
ANSWER_BYTES = 4096
"""So much of a callback's answer is read."""
PLAIN_TYPES = ("", "application/octet-stream", "binary/octet-stream")
AGENT = "Kinora"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched: where it was found in the end, its size, its type as the server has it (in lower case,
    without parameters), and a name for it.
    """

    url: str
    bytes: int
    media_type: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a callback's receiver said. `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check(url: str, *, settings: Settings, field: str = "") -> str:
    """The canonical form of a URL that may be used later, without looking anything up.

    Raises:
        Invalid: it could never be used.
    """
    return place_of(url, loopback=settings.loopback, field=field).url


def is_url(text: str) -> bool:
    """Whether a field that takes a URL or base64 was given a URL."""
    return "://" in text[:16] and text[:5].lower() != "data:"


def fetch(
    url: str,
    into: Path,
    *,
    settings: Settings,
    limit: int,
    kinds: Sequence[str] = ("image", "video", "audio"),
    seconds: float = 60.0,
    field: str = "",
    resolve: Resolve = resolve_host,
) -> Fetched:
    """Fetch a file of at most `limit` bytes into `into`; nothing is left there after an error.

    `kinds` are the main types that a server may call it; a server that does not say is believed, and the file is
    looked at by whoever takes it.

    Raises:
        Invalid: the address, a redirect, the answer, its size or its time; `field` is handed on.
    """
    deadline = time.monotonic() + seconds
    for _ in range(REDIRECTS + 1):
        place = place_of(url, loopback=settings.loopback, field=field)
        with _exchange(
            "GET", place, headers=[], body=None, settings=settings, deadline=deadline, resolve=resolve, field=field
        ) as response:
            if response.status not in MOVED:
                return _kept(response, place, into, limit=limit, kinds=kinds, field=field)
            url = _onward(response, place, field)
    raise Invalid(f"{place.host} redirects more than {REDIRECTS} times; give the final URL.", field=field)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    settings: Settings,
    timeout: float = 15.0,
    resolve: Resolve = resolve_host,
) -> Answer:
    """Post JSON and give the answer, whatever its status; a redirect is an answer like any other.

    Raises:
        Invalid: the address may not be used, cannot be reached, or does not answer in `timeout` seconds.
    """
    place = place_of(url, loopback=settings.loopback)
    sent = [(b"Content-Type", b"application/json"), (b"Content-Length", str(len(body)).encode())]
    sent += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    with _exchange(
        "POST", place, headers=sent, body=body, settings=settings, deadline=time.monotonic() + timeout, resolve=resolve
    ) as response:
        start = b""
        for chunk in response.iter_stream():
            start += chunk
            if len(start) >= ANSWER_BYTES:
                break
        return Answer(status=response.status, headers=_headers(response), body=start[:ANSWER_BYTES])


_DATA = re.compile(r"data:[^,]{0,200}?(?P<base64>;base64)?,", re.IGNORECASE)
_SPACES = str.maketrans("", "", " \t\r\n")


def decoded(text: str, limit: int, *, field: str = "") -> bytes:
    """The bytes of base64, with or without a `data:` prefix, line breaks and padding.

    Raises:
        Invalid: not base64, empty, or more than `limit` bytes; size is judged before anything is decoded.
    """
    prefix = _DATA.match(text, 0, 256)
    if prefix is not None and prefix["base64"] is None:
        raise Invalid("A data: URL must say ;base64 before its comma.", field=field)
    start = prefix.end() if prefix is not None else 0
    # A line break every 76 characters is usual; twice that is padding out.
    if (len(text) - start) * 3 > limit * 4 * 1.06 + 1024:
        raise Invalid(f"The base64 holds more than {limit} bytes, the most that is taken here.", field=field)
    plain = text[start:].translate(_SPACES).rstrip("=")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("Neither an http(s) URL nor base64 of a file.", field=field) from None
    if not data:
        raise Invalid("The base64 is empty.", field=field)
    if len(data) > limit:
        raise Invalid(f"The base64 holds more than {limit} bytes, the most that is taken here.", field=field)
    return data


@contextmanager
def _exchange(
    method: str,
    place: Place,
    *,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes | None,
    settings: Settings,
    deadline: float,
    resolve: Resolve,
    field: str = "",
) -> Iterator[httpcore.Response]:
    addresses = addresses_of(
        place, loopback=settings.loopback, resolve=resolve, seconds=deadline - time.monotonic(), field=field
    )
    url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
    all_headers = [
        (b"Host", place.authority.encode()),
        (b"User-Agent", AGENT.encode()),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
        *headers,
    ]
    backend = Pinned(addresses[:ADDRESSES_TRIED], deadline)
    tls = public_authorities() if place.scheme == "https" else None
    seconds = max(0.001, deadline - time.monotonic())
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        with (
            httpcore.HTTPConnection(origin=url.origin, ssl_context=tls, network_backend=backend) as connection,
            connection.stream(
                method, url, headers=all_headers, content=body, extensions={"timeout": timeouts}
            ) as response,
        ):
            backend.head_is_read()
            yield response
    except httpcore.TimeoutException:
        raise Invalid(f"{place.host} did not answer in time.", field=field) from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Invalid(f"{place.host} could not be reached over {place.scheme}: {_why(error)}.", field=field) from None


def _kept(
    response: httpcore.Response, place: Place, into: Path, *, limit: int, kinds: Sequence[str], field: str
) -> Fetched:
    headers = _headers(response)
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()[:64]
    if response.status != 200:
        raise Invalid(f"{place.host} answered {response.status}; the URL must be open to everyone.", field=field)
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Invalid(f"{place.host} compresses the file, which is not taken; serve it as it is.", field=field)
    if media_type not in PLAIN_TYPES and media_type.split("/")[0] not in kinds:
        raise Invalid(
            f"{place.host} serves {media_type!r}, not {' or '.join(kinds)}; give the URL of the file itself.",
            field=field,
        )
    told = headers.get("content-length", "")
    too_large = Invalid(f"The file at {place.host} is larger than {limit} bytes, the most that is taken.", field=field)
    if told.isdecimal() and int(told) > limit:
        raise too_large
    size = 0
    try:
        with into.open("wb") as file:
            for chunk in response.iter_stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                file.write(chunk)
    except BaseException:
        into.unlink(missing_ok=True)
        raise
    name = PurePosixPath(unquote(place.target.split("?")[0])).name[:100]
    return Fetched(url=place.url, bytes=size, media_type=media_type, name=name)


def _onward(response: httpcore.Response, place: Place, field: str) -> str:
    where = _headers(response).get("location", "")
    # urljoin drops line breaks and the like in silence; what has them is not a URL.
    if not where or not where.isprintable() or " " in where or "\\" in where:
        raise Invalid(f"{place.host} redirects to nowhere; give the final URL.", field=field)
    try:
        return urljoin(place.url, where)
    except ValueError:
        raise Invalid(f"{place.host} redirects to nowhere; give the final URL.", field=field) from None


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _why(error: Exception) -> str:
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    return "the connection failed" if isinstance(error, httpcore.NetworkError) else "its answer is not HTTP"
