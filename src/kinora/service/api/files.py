"""Files over HTTP: `/files/{digest}/{name}` behind a signed link, and how any stored file is answered.

A file is known by the sha256 of its content, which is its ETag: it never changes. Single ranges are served (206, 416),
several at once are answered with the whole file, as RFC 9110 (14.2) allows. What is read lies under a digest that was
checked; no path comes from a client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from kinora.service.assets import Asset, headers_for
from kinora.service.errors import Forbidden, Missing
from kinora.service.objects import Objects, digest_path, is_digest

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["File", "Span", "deliver", "file_of", "register", "span_of"]

RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, kw_only=True)
class File:
    """A stored file and how it is told."""

    path: str
    """In the object store."""
    bytes: int
    digest: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        return f'"{self.digest}"'


@dataclass(frozen=True, kw_only=True)
class Span:
    """Bytes from `first` on, `length` of them."""

    first: int
    length: int


def register(app: FastAPI, service: Service) -> None:
    """Add the route behind signed links; its errors have the native shape."""
    from kinora.service.api.native.route import NativeRoute

    router = APIRouter(route_class=NativeRoute)

    # Links are opened by browsers and players, which send no key: the signature names the account and the time.
    @router.api_route("/files/{digest}/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    def get_file(
        request: Request,
        digest: str,
        name: str,
        account: Annotated[str, Query()] = "",
        until: Annotated[str, Query()] = "",
        sign: Annotated[str, Query()] = "",
    ) -> Response:
        if not is_digest(digest):
            raise Missing("There is no such file; links to files are made by the service.")
        numbers = account, until
        if any(not (number.isascii() and number.isdigit() and len(number) <= 19) for number in numbers):
            raise Forbidden("This link is not whole; ask for the task or asset again to get a new one.")
        asset = service.assets.check_link(digest, name, int(account), int(until), sign)
        return deliver(request, service.objects, file_of(asset, name))

    app.include_router(router)


def file_of(asset: Asset, name: str = "") -> File:
    """An asset, called `name` where it is saved."""
    headers = headers_for(asset, name)
    if asset.ours:  # the type of what we made is no stranger's word
        headers["Content-Type"] = asset.media_type
    return File(path=digest_path(asset.digest), bytes=asset.bytes, digest=asset.digest, headers=headers)


def deliver(request: Request, objects: Objects, file: File) -> Response:
    """The answer to GET or HEAD: 200, 206 with one range, 304 for what the client has, 416 beyond the end.

    Raises `Missing` when the file is gone.
    """
    headers = {**file.headers, "ETag": file.tag, "Accept-Ranges": "bytes"}
    if _has_it(request.headers.get("if-none-match", ""), file.tag):
        return Response(
            status_code=304, headers={key: value for key, value in headers.items() if key != "Content-Type"}
        )
    span, status = Span(first=0, length=file.bytes), 200
    asked = request.headers.get("range")
    if request.method == "GET" and asked and request.headers.get("if-range", file.tag).strip() == file.tag:
        part = span_of(asked, file.bytes)
        if part is not None and not part.length:
            return Response(
                status_code=416, headers={"Content-Range": f"bytes */{file.bytes}", "Accept-Ranges": "bytes"}
            )
        if part is not None:
            span, status = part, 206
            headers["Content-Range"] = f"bytes {span.first}-{span.first + span.length - 1}/{file.bytes}"
    headers["Content-Length"] = str(span.length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    pieces = objects.stream(file.path, span.first, span.length)
    first = next(pieces, b"")  # before the headers go out: a file that is gone is still a 404
    return StreamingResponse(_after(first, pieces), status_code=status, headers=headers)


def span_of(said: str, size: int) -> Span | None:
    """The bytes that a Range header asks for of `size`, of length 0 where none of them exist; None to ignore it
    (another unit, a form that is not understood, several ranges at once).
    """
    unit, _, ranges = said.partition("=")
    found = RANGE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or found is None or ranges.strip() == "-":
        return None
    first, last = found[1], found[2]
    if not first:
        length = min(int(last), size)
        return Span(first=size - length, length=length)
    begin = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < begin:
        return None
    return Span(first=begin, length=max(0, end - begin + 1))


def _has_it(said: str, tag: str) -> bool:
    """Whether If-None-Match names the file's tag."""
    return said.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in said.split(",")]


def _after(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces
