"""What the service refuses, each with a word that every wire format has its own code for.

    ServiceError                 code, HTTP status, message
    ├── Unauthenticated          401 missing, invalid, early or expired credentials (`reason`)
    ├── Forbidden                403 the account may not do this
    ├── Missing                  404 no such thing, or not this account's
    ├── Invalid                  400 a value that breaks a rule (`field`)
    │   └── Unsupported          400 well formed, but the loaded model cannot do it
    ├── Refused                  400 against the content rules
    ├── Clash                    409 the same key or id is in use; 422 with another body
    ├── OutOfUnits               429 (402 in the native format) not enough units
    ├── TooManyTasks             429 the account's slots are taken
    ├── TooManyRequests          429 too fast (`retry_after`)
    ├── Suspended                429 (403 in the native format) the account is not active
    └── Unavailable              503 maintenance, draining, overload

A message names the value, the rule and the remedy, and never another account's data.
"""

from __future__ import annotations

from typing import ClassVar

from kinora.core.errors import KinoraError

__all__ = [
    "Clash", "Forbidden", "Invalid", "Missing", "OutOfUnits", "Refused", "ServiceError", "Suspended", "TooManyRequests",
    "TooManyTasks", "Unauthenticated", "Unavailable", "Unsupported",
]  # fmt: skip


class ServiceError(KinoraError):
    """Root of what a client is told."""

    code: ClassVar[str] = "internal"
    status: int = 500

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status


class Unauthenticated(ServiceError):
    """`reason` is one of missing, invalid, early, expired."""

    code = "unauthenticated"
    status = 401

    def __init__(self, message: str, *, reason: str = "invalid") -> None:
        super().__init__(message)
        self.reason = reason


class Forbidden(ServiceError):
    code = "forbidden"
    status = 403


class Missing(ServiceError):
    code = "not_found"
    status = 404


class Invalid(ServiceError):
    """`field` is the JSON path of the value, such as `strokes[1].points`; empty where no single one is wrong."""

    code = "invalid"
    status = 400

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Unsupported(Invalid):
    code = "unsupported"


class Refused(ServiceError):
    code = "refused"
    status = 400


class Clash(ServiceError):
    code = "conflict"
    status = 409


class OutOfUnits(ServiceError):
    code = "out_of_units"
    status = 429


class TooManyTasks(ServiceError):
    code = "too_many_tasks"
    status = 429


class TooManyRequests(ServiceError):
    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Suspended(ServiceError):
    code = "suspended"
    status = 429


class Unavailable(ServiceError):
    code = "unavailable"
    status = 503
