"""What happens to every request before and after its route: plain ASGI, since each microsecond here is paid by all.

Observed   request id, security headers, log line, metrics; the last net for exceptions
Paths      `//` and trailing slashes are forgiven
Bodies     no body beyond what its kind may have
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinora.service.api.routes import family_of, respond
from kinora.service.observing import Metrics, log
from kinora.service.settings import Settings

__all__ = ["JSON_BYTES", "Bodies", "Observed", "Paths"]

JSON_BYTES = 64 * 2**20
"""Largest body that is no file: pictures come inside JSON, a third larger in base64."""
FORM_BYTES = 2**20
"""What a form may have beside its file."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for every few seconds by machines: counted, not logged."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECURITY = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
)
"""For JSON and media; a route that serves pages sets its own."""
HSTS = "max-age=31536000"


class Observed:
    """Gives each request an id, its answer the security headers, and tells the operator how it went."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, settings: Settings) -> None:
        self.app = app
        self._metrics = metrics
        self._log = log("kinora.http")
        self._https = settings.public_url.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = str(uuid.uuid4())
        began, status, seconds = time.perf_counter(), 0, 0.0

        async def send_on(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
                self._add_headers(message, scope)
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except Exception as error:
            # A stream broke after its headers, or something outside of every route: nothing but the id goes out.
            if status:
                self._log.error("broken", request_id=state["request_id"], exc_info=error)
                raise
            request = Request(scope, receive)
            await respond(family_of(request), error, request)(scope, receive, send_on)
        finally:
            self._tell(scope, status, seconds)

    def _add_headers(self, message: Message, scope: Scope) -> None:
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = scope["state"]["request_id"]
        for name, value in SECURITY:
            headers.setdefault(name, value)
        if self._https or scope.get("scheme") == "https":
            headers.setdefault("strict-transport-security", HSTS)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = _template(scope)
        # Strangers choose methods; only known ones make series.
        self._metrics.count(scope["method"] if scope["method"] in METHODS else "other", route, status, seconds)
        if route in QUIET:
            return
        state = scope["state"]
        told: dict[str, Any] = {"method": scope["method"], "route": route, "status": status}
        told |= {"ms": round(seconds * 1000, 1), "request_id": state["request_id"]}
        account = state.get("account_id")
        self._log.info("request", **told, **({} if account is None else {"account_id": str(account)}))


class Paths:
    """Clients join base URLs and paths in every way: `//v1/videos/text2video/` is `/v1/videos/text2video`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and ("//" in path or (len(path) > 1 and path.endswith("/"))):
            scope["path"] = re.sub("/+", "/", path).rstrip("/") or "/"
            raw = scope.get("raw_path")
            if raw is not None:
                scope["raw_path"] = re.sub(b"/+", b"/", raw).rstrip(b"/") or b"/"
        await self.app(scope, receive, send)


class Bodies:
    """Refuses bodies that are too large: at once where the length is said, else as soon as it is passed."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self._file = settings.upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = self._most(scope["method"], headers.get("content-type", ""))
        said = headers.get("content-length", "")
        if said.isdigit() and int(said) > most:
            request = Request(scope, receive)
            response = respond(family_of(request), _too_large(most), request)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _too_large(most)
            return message

        await self.app(scope, receive_counted, send)

    def _most(self, method: str, content_type: str) -> int:
        """Forms lay their files onto the disk as they come, and a PUT is a file; all else is held in memory."""
        if content_type.lower().startswith("multipart/"):
            return self._file + FORM_BYTES
        return self._file if method == "PUT" else JSON_BYTES


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than the {most} bytes taken here; send less")


def _template(scope: Scope) -> str:
    """The path with the names of its parameters in place of their values; `unknown` where no route took it."""
    if "endpoint" not in scope:
        return "unknown"
    path: str = scope["path"]
    for name, value in scope.get("path_params", {}).items():
        before, found, after = path.rpartition(f"/{value}")
        if found:
            path = f"{before}/{{{name}}}{after}"
    return path
