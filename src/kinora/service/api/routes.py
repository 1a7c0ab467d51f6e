"""Families of routes: each wire format tells errors in its own shape, on its own routes and on the paths near them.

A family is a route class. Its routes are made by `APIRouter(route_class=KlingRoute)`; `claim(app, KlingRoute)` says
that what happens outside of any route (an unknown path, a body too large) on its paths is told in its shape too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

import sqlalchemy.exc
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from kinora.core.errors import KinoraError, MemoryShortage
from kinora.core.values import shown
from kinora.service.errors import (
    Invalid,
    Missing,
    ServiceError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from kinora.service.observing import log

__all__ = ["FamilyRoute", "add_routes", "claim", "family_of", "request_id", "respond", "told"]

RETRY_SECONDS = 5
"""When to come back to a service that is unavailable."""
SECRET_FIELDS = ("password", "secret", "token")
"""Fields whose values no message repeats."""


class FamilyRoute(APIRoute):
    """A route whose errors its family renders: override `render`, and `prefixes` or `claims`."""

    prefixes: ClassVar[tuple[str, ...]] = ()
    """Paths of the family begin with one of these, such as `/api`."""

    @classmethod
    def claims(cls, request: Request) -> bool:
        """Whether an error on no route at all is this family's to tell."""
        path = request.scope["path"]
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in cls.prefixes)

    @classmethod
    def render(cls, error: ServiceError, request: Request) -> Response:
        """The error in the family's shape, with the status that belongs to it."""
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, with every exception told by `render`."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and told without a traceback
                return respond(type(self), error, request)

        return handler


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Add a router's routes as the application's own. The framework tries included routers twice for every request, and
    each of their routes: with all formats that was half a millisecond.
    """
    app.router.routes.extend(router.routes)


def claim(app: FastAPI, family: type[FamilyRoute]) -> None:
    """Let a family tell the errors of the paths it claims. Those that came first are asked first; native claims all."""
    app.state.families.append(family)


def family_of(request: Request) -> type[FamilyRoute]:
    """The family that an error on no route belongs to."""
    families: list[type[FamilyRoute]] = request.app.state.families
    return next(family for family in families if family.claims(request))


def request_id(request: Request) -> str:
    """The id that the answer's `x-request-id` carries too."""
    return str(request.state.request_id)


def respond(family: type[FamilyRoute], error: Exception, request: Request) -> Response:
    """Any exception as the family's answer, with the headers that go with it."""
    known = told(error)
    if known.status >= 500 and not isinstance(error, Unavailable):
        log("kinora.http").error("unexpected", request_id=request_id(request), exc_info=error)
    response = family.render(known, request)
    for name, value in _headers(known, error).items():
        response.headers.setdefault(name, value)
    return response


def told(error: Exception) -> ServiceError:
    """What the client is told of any exception; what nobody foresaw becomes an internal error without details."""
    match error:
        case ServiceError():
            return error
        case MemoryShortage():
            return Unsupported(str(error))
        case KinoraError():
            return Invalid(str(error))
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _of_status(error)
        case sqlalchemy.exc.DataError() | OverflowError():
            # Postgres stores no NUL in text, SQLite no number beyond 64 bits.
            return Invalid("A value cannot be stored: numbers have at most 64 bits, and text holds no NUL characters.")
        case sqlalchemy.exc.OperationalError() | sqlalchemy.exc.TimeoutError() | sqlalchemy.exc.InterfaceError():
            return Unavailable("The database does not answer at the moment; try again in some seconds.")
        case _:
            return ServiceError("Something went wrong on our side; try again, or tell us the request id.")


def _of_status(error: HTTPException) -> ServiceError:
    if error.status_code == 404:
        return Missing("There is no such path; see the documentation for those there are.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "others")
        return Missing(f"This path does not take this method; it takes {allowed}.", status=405)
    invalid = Invalid(str(error.detail).rstrip(".") + ".")
    invalid.status = error.status_code
    return invalid


def _headers(known: ServiceError, error: Exception) -> Mapping[str, str]:
    if isinstance(known, TooManyRequests):
        return {"Retry-After": str(max(1, math.ceil(known.retry_after)))}
    if isinstance(known, Unavailable):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(known, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return (error.headers or {}) if isinstance(error, HTTPException) else {}


def _invalid(error: RequestValidationError) -> Invalid:
    """The first thing wrong as a sentence, and how many more there are."""
    problems = error.errors()
    first = problems[0]
    field = "" if first["type"] == "json_invalid" else _path(first["loc"])
    more = f" {len(problems) - 1} more values are wrong." if len(problems) > 1 else ""
    return Invalid(_sentence(first, field) + more, field=field)


def _sentence(problem: Mapping[str, Any], field: str) -> str:
    kind, said = problem["type"], str(problem.get("msg", ""))
    if kind == "json_invalid":
        return f"The body is not JSON: {problem['ctx']['error']}."
    if kind == "missing":
        return f"{field or 'The body'} is missing; add it."
    if kind == "extra_forbidden":
        return f"There is no field {field} here; leave it out or mend its name."
    said = _text(said.removeprefix("Value error, ")).rstrip(".")
    if kind == "value_error" or any(word in field for word in SECRET_FIELDS):
        return f"{field}: {said}." if field else f"{said}."
    return f"{field or 'The body'} cannot be {_text(shown(problem.get('input')))}: {said[:1].lower()}{said[1:]}."


def _path(location: tuple[int | str, ...]) -> str:
    """`("body", "strokes", 1, "points")` as `strokes[1].points`."""
    path = ""
    for step in location[1:]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return _text(path.removeprefix("."))[:200]


def _text(words: str) -> str:
    """Words of strangers as text that any answer can carry: JSON can hold half a character."""
    return words.encode(errors="backslashreplace").decode()
