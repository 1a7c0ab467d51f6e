"""From HTTP to an act and back: who asks, the body, and the envelope around what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from kinora.service.api.auth import caller
from kinora.service.api.kling.envelope import success
from kinora.service.api.kling.lenient import Body, read
from kinora.service.errors import Invalid

if TYPE_CHECKING:
    from kinora.service.accounts import Caller
    from kinora.service.service import Service

__all__ = ["Act", "Call", "answer"]

LONGEST_KEY = 255
"""Characters of an Idempotency-Key."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request whose sender is known."""

    service: Service
    caller: Caller
    raw: bytes
    """The body as it was sent."""
    path: Mapping[str, str]
    query: Mapping[str, str]
    route: str
    """The path without prefix and version: `/videos/text2video`."""
    base: str
    """How the client reaches the service, for links."""
    key: str | None
    """Idempotency-Key: not Kling's, honoured where it is sent."""

    @property
    def account_id(self) -> int:
        return self.caller.account.id

    @property
    def asked(self) -> bytes:
        """What is asked for, to tell repetitions of a key from other requests."""
        return "\n".join([self.route, *self.path.values(), ""]).encode() + self.raw

    def read(self, model: type[Body]) -> Body:
        """The body; raises `Malformed` or `Invalid`."""
        return read(model, self.raw)


Act = Callable[[Call], Any]
"""What a route does: gives the envelope's `data`."""


async def answer(request: Request, route: str, act: Act) -> Response:
    """What an act comes to, in the envelope. The sender is known before a byte of the body is read."""
    known = await run_in_threadpool(caller, request)
    service: Service = request.app.state.service
    call = Call(
        service=service,
        caller=known,
        raw=await request.body(),
        path=request.path_params,
        query=request.query_params,
        route=route,
        base=service.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/"),
        key=_key(request),
    )
    return success(await run_in_threadpool(act, call), request)


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_KEY:
        raise Invalid(f"The Idempotency-Key has {len(key)} characters; at most {LONGEST_KEY} are kept.")
    return key or None
