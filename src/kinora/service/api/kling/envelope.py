"""Kling's envelope, and its code for every error.

HTTP  code   when
200   0      done
401   1000   the credentials do not hold: a signature that is not the secret key's
401   1001   no Authorization          401   1002   malformed, unknown or revoked
401   1003   a token used too early    401   1004   a token used too late
429   1100   the account is suspended  429   1101   in arrears: never, everything here is paid before
429   1102   not enough units          403   1103   no right to it
400   1200   no JSON, or something missing
400   1201   a value that breaks a rule, or what the loaded model cannot do; the message says which
404   1202   a method the path does not take
404   1203   no such path, task, output, model, or a product that no model here makes
400   1300   a rule of the platform: a person's likeness without consent
400   1301   against the content rules
429   1302   too fast                  429   1303   too many tasks at once
429   1304   not an allowed address: never, a firewall's business
500   5000   our fault      503   5001   maintenance or overload      504   5002   something took too long
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastapi import Request
from fastapi.responses import JSONResponse

from kinora.service.api.routes import FamilyRoute, request_id
from kinora.service.errors import (
    Clash,
    Forbidden,
    Invalid,
    Missing,
    OutOfUnits,
    Refused,
    ServiceError,
    Suspended,
    TooManyRequests,
    TooManyTasks,
    Unauthenticated,
    Unavailable,
)

__all__ = ["CODES", "AgainstPolicy", "KlingRoute", "Malformed", "NoSuchProduct", "code_of", "success"]

CODES = {
    1000: 401, 1001: 401, 1002: 401, 1003: 401, 1004: 401, 1100: 429, 1101: 429, 1102: 429, 1103: 403, 1200: 400,
    1201: 400, 1202: 404, 1203: 404, 1300: 400, 1301: 400, 1302: 429, 1303: 429, 1304: 429, 5000: 500, 5001: 503,
    5002: 504,
}  # fmt: skip
"""Code -> HTTP status, all there are."""


class Malformed(Invalid):
    """The body is no JSON object, or lacks what it needs."""


class NoSuchProduct(Missing):
    """Something Kling sells that no model here makes."""


class AgainstPolicy(Refused):
    """A rule of the platform, not of content: a likeness without consent."""


REASONS = {"missing": 1001, "invalid": 1002, "early": 1003, "expired": 1004}
OF_KINDS: tuple[tuple[type[ServiceError], int], ...] = (
    (Suspended, 1100),
    (OutOfUnits, 1102),
    (TooManyTasks, 1303),
    (TooManyRequests, 1302),
    (Forbidden, 1103),
    (Missing, 1203),
    (AgainstPolicy, 1300),
    (Refused, 1301),
    (Invalid, 1201),
    (Clash, 1201),
    (Unavailable, 5001),
)


class KlingRoute(FamilyRoute):
    """A route that answers errors in Kling's envelope."""

    prefixes: ClassVar[tuple[str, ...]] = (
        "/kling",
        "/proxy/kling",
        "/account",
        "/tasks",
        "/text-to-video",
        "/image-to-video",
        "/omni-video",
        "/motion-control",
    )

    @classmethod
    def render(cls, error: ServiceError, request: Request) -> JSONResponse:
        code = code_of(error)
        field = error.field if isinstance(error, Invalid) else ""
        # The envelope has no place of its own for the field.
        message = error.message if not field or field in error.message else f"{field}: {error.message}"
        body = {"code": code, "message": message, "request_id": request_id(request)}
        return JSONResponse(body, status_code=CODES[code])


def success(data: Any, request: Request) -> JSONResponse:
    """The envelope around a result."""
    return JSONResponse({"code": 0, "message": "SUCCEED", "request_id": request_id(request), "data": data})


def code_of(error: ServiceError) -> int:
    """Kling's code for an error."""
    match error:
        case Unauthenticated():
            return REASONS.get(error.reason, 1000)
        case Malformed():
            return 1200
        case Missing() if error.status == 405:
            return 1202
        case _ if error.status == 504:
            return 5002
    return next((code for kind, code in OF_KINDS if isinstance(error, kind)), 5000)
