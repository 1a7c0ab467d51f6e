"""The route class of the native format, with its one error shape."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kinora.service.api.native.shapes import Shape
from kinora.service.api.routes import FamilyRoute, request_id
from kinora.service.errors import Invalid, OutOfUnits, ServiceError, Suspended

__all__ = ["Failure", "NativeRoute", "Problem", "native_router"]

STATUSES: dict[type[ServiceError], int] = {OutOfUnits: 402, Suspended: 403}
"""Where the native format is plainer than the formats that the errors' own statuses come from."""


class Problem(Shape):
    """What went wrong."""

    code: str = Field(description="A word for programs, such as invalid, not_found or out_of_units.")
    message: str = Field(description="A sentence or two for people: the value, the rule and the remedy.")
    field: str | None = Field(description="Path of the value that is wrong, such as strokes[1].points, or null.")
    request_id: str = Field(description="Names this request in the service's logs; also in the header x-request-id.")


class Failure(Shape):
    """Every error of the native format."""

    error: Problem = Field(description="What went wrong.")


class NativeRoute(FamilyRoute):
    """A route of the native format."""

    @classmethod
    def claims(cls, request: Request) -> bool:
        """Whatever no other format claimed."""
        return True

    @classmethod
    def render(cls, error: ServiceError, request: Request) -> Response:
        field = error.field if isinstance(error, Invalid) else ""
        problem = Problem(code=error.code, message=error.message, field=field or None, request_id=request_id(request))
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), error.status)
        return JSONResponse(Failure(error=problem).model_dump(), status_code=status)


def native_router(tag: str, *, prefix: str = "/api") -> APIRouter:
    """A router of native routes under one tag of the documentation."""
    told = {"model": Failure, "description": "What went wrong."}
    return APIRouter(prefix=prefix, route_class=NativeRoute, tags=[tag], responses={"4XX": told, "5XX": told})
