"""Who asks: a bearer token, or the studio's session cookie.

Routes name their caller by annotation: `caller: Signed` for any account, `caller: Admin` for administrators. Sessions
may change things only with the header `x-kinora: 1`, which no other site's form or script can send without our leave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from kinora.service.accounts import Caller
from kinora.service.api.limiting import Limiter, address_of
from kinora.service.errors import Forbidden, TooManyRequests, Unauthenticated
from kinora.service.service import Service

__all__ = ["COOKIE", "CSRF_HEADER", "Admin", "Serving", "Signed", "admin_of", "caller_of", "service_of", "token_of"]

COOKIE = "kinora_session"
CSRF_HEADER = "x-kinora"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request) -> str | None:
    """The bearer token, or a session's; None where neither is sent. Raises `Forbidden` for a session that would change
    something without the header that shows our own page asked.
    """
    said = request.headers.get("authorization", "").strip()
    if said:
        kind, _, token = said.partition(" ")
        # A bare token without its scheme is taken for a mistake, not for nobody.
        return token.strip() if kind.lower() == "bearer" else said
    session = request.cookies.get(COOKIE)
    if session and request.method not in SAFE_METHODS and request.headers.get(CSRF_HEADER) != "1":
        raise Forbidden(f"A session changes things only with the header {CSRF_HEADER}: 1; send it, or use a key.")
    return session


async def service_of(request: Request) -> Service:
    """The service that the application was made for."""
    return request.app.state.service


def caller(request: Request) -> Caller:
    """The account that asks, within its rate. Raises `Unauthenticated`, `Suspended`, `Forbidden`, `TooManyRequests`."""
    limiter: Limiter = request.app.state.limiter
    try:
        known: Caller = request.app.state.service.accounts.authenticate(token_of(request))
    except Unauthenticated:
        if not limiter.may_fail(address_of(request)):
            raise TooManyRequests(
                "Too many requests without valid credentials from this address; wait a minute.", retry_after=60.0
            ) from None
        raise
    request.state.account_id = known.account.id
    limiter.check(known.account)
    return known


def admin(request: Request) -> Caller:
    """`caller`, who must be an administrator."""
    known = caller(request)
    if known.account.role != "admin":
        raise Forbidden("This is for administrators; ask for the role, or use another key.")
    return known


_KEY = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key, or a token signed with a pair of keys as Kling's are."
)
_SESSION = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description=f"Changes need the header {CSRF_HEADER}: 1, too."
)


# For the description alone: `token_of` reads what is sent.
_Key = Annotated[object, Depends(_KEY)]
_Session = Annotated[object, Depends(_SESSION)]


def _caller(request: Request, _key: _Key, _session: _Session) -> Caller:
    return caller(request)


def _admin(request: Request, _key: _Key, _session: _Session) -> Caller:
    return admin(request)


Serving = Annotated[Service, Depends(service_of)]
Signed = Annotated[Caller, Depends(_caller)]
Admin = Annotated[Caller, Depends(_admin)]


def caller_of(service: Service) -> Callable[[Request], Caller]:
    """The dependency behind `Signed`, for families that close over their service."""
    assert service is not None
    return caller


def admin_of(service: Service) -> Callable[[Request], Caller]:
    """The dependency behind `Admin`."""
    assert service is not None
    return admin
