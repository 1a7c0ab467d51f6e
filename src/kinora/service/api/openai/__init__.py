"""OpenAI's wire format: videos, images, models. Under `/openai/v1`, and under the bare `/v1` beside Kling's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI

from kinora.service.api.openai import characters, images, models, videos
from kinora.service.api.openai.retries import Retries
from kinora.service.api.openai.shapes import OpenAIRoute
from kinora.service.api.routes import claim

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["register"]

PREFIXES = ("/openai/v1", "/v1")
BARE = "/v1"


def register(app: FastAPI, service: Service) -> None:
    """Add the routes, and answer errors near them in OpenAI's shape. Kling's fixed words under `/v1/videos` must be
    there already: what comes first is taken.
    """
    assert app.state.service is service
    app.state.openai_retries = Retries()
    for prefix in PREFIXES:
        router = APIRouter(prefix=prefix, route_class=OpenAIRoute, include_in_schema=False)
        characters.add_routes(router)
        videos.add_routes(router)
        models.add_routes(router)
        if prefix == BARE:
            router.add_api_route("/images/generations", images.dispatch, methods=["POST"])
        else:
            images.add_routes(router)
        app.include_router(router)
    claim(app, OpenAIRoute)
