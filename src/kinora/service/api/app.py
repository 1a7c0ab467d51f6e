"""The HTTP application: every wire format on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from kinora.service.api.limiting import Limiter
from kinora.service.api.middleware import Bodies, Observed, Paths
from kinora.service.api.routes import family_of, respond
from kinora.service.observing import Metrics

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["FAMILIES", "create_app"]

FAMILIES = ("kling", "openai", "native", "files", "health")
"""Modules of `kinora.service.api` that add routes, in this order: Kling's fixed segments (`/v1/videos/text2video`) come
before OpenAI's ids in the same place, and native, the last that claims paths, takes what nobody else does.
"""


def create_app(service: Service) -> FastAPI:
    """The application over a service that is open already; it starts and stops nothing that is not its own."""
    app = FastAPI(
        title="Kinora",
        summary="From a sentence to a film, on your own machine.",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.state.families = []
    app.state.limiter = Limiter(service.settings)
    app.state.metrics = Metrics(service.database, service.settings)
    for family in FAMILIES:
        import_module(f"kinora.service.api.{family}").register(app, service)
    app.add_exception_handler(HTTPException, _outside_of_routes)
    # The last one added is the first one asked.
    app.add_middleware(Bodies, settings=service.settings)
    app.add_middleware(Paths)
    app.add_middleware(Observed, metrics=app.state.metrics, settings=service.settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.feed.close()


async def _outside_of_routes(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the shape of the format that the path looks like."""
    return respond(family_of(request), error, request)
