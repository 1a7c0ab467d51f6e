"""Connections to addresses that were checked, with a deadline for the whole exchange and a size for the head."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from functools import cache

import certifi
import httpcore

from kinora.service.addresses import Address

__all__ = ["Pinned", "public_authorities"]

HEAD_BYTES = 128 * 1024
"""Read until the head ends. One read may bring 64 KiB of the body with it, so that a head may have half of this."""
CONNECT_SECONDS = 5.0
"""For one address; a host with several gets the next one."""


@cache
def public_authorities() -> ssl.SSLContext:
    """Public authorities, and those of the system: an operator adds one with SSL_CERT_FILE."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Pinned(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever the host is called."""

    def __init__(self, addresses: Sequence[Address], deadline: float) -> None:
        self.addresses = addresses
        self.deadline = deadline
        self.head_left = HEAD_BYTES
        self.reading_head = True

    def head_is_read(self) -> None:
        self.reading_head = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        last: Exception = httpcore.ConnectTimeout()
        for address in self.addresses:
            seconds = min(CONNECT_SECONDS, self.left())
            try:
                plain = httpcore.SyncBackend().connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                return _Timed(plain, self)
        raise last

    def left(self) -> float:
        """Seconds; raises when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left

    def count(self, size: int) -> None:
        """Bytes that were read: until the head is there they are all of it."""
        if self.reading_head:
            self.head_left -= size
            if self.head_left < 0:
                raise httpcore.RemoteProtocolError("the head is too large")


class _Timed(httpcore.NetworkStream):
    """A stream with a deadline for all of it, not for each read."""

    def __init__(self, inner: httpcore.NetworkStream, owner: Pinned) -> None:
        self.inner = inner
        self.owner = owner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self.inner.read(max_bytes, self.owner.left())
        self.owner.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.owner.left())

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Timed(self.inner.start_tls(ssl_context, server_hostname, self.owner.left()), self.owner)

    def get_extra_info(self, info: str) -> object:
        return self.inner.get_extra_info(info)
