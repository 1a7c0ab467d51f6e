"""Kling's wire format, both families: the legacy one under `/v1`, the standard one at the root, each with aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response

from kinora.service.api.kling import (
    absent,
    legacy_account,
    legacy_elements,
    legacy_extend,
    legacy_films,
    legacy_images,
    legacy_references,
    legacy_tasks,
    standard,
    standard_tasks,
)
from kinora.service.api.kling.calling import Act
from kinora.service.api.kling.envelope import KlingRoute
from kinora.service.api.kling.table import Paths, Table, answered
from kinora.service.api.routes import claim

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["generations", "register"]

SHARED = "/images/generations"
"""OpenAI has the same path: on the bare `/v1` its route takes a POST, and hands it on where it is Kling's."""

CREATES: dict[str, Act] = {
    "/videos/text2video": legacy_films.text2video,
    "/videos/image2video": legacy_films.image2video,
    "/videos/multi-image2video": legacy_references.multi_image2video,
    "/videos/omni-video": legacy_references.omni_video,
    "/videos/video-extend": legacy_extend.video_extend,
    "/images/generations": legacy_images.generations,
    "/images/omni-image": legacy_images.omni_image,
    "/images/multi-image2image": legacy_images.multi_image2image,
}
ELEMENTS = "/general/advanced-custom-elements"


def register(app: FastAPI, service: Service) -> None:
    """Add both families' paths, and answer errors near them in their shape."""
    assert app.state.service is service
    app.router.routes.append(Table(_legacy(), _standard(), frozenset({("POST", f"/v1{SHARED}")})))
    claim(app, _Near)


class _Near(KlingRoute):
    """Errors outside of any route: the bare `/v1` is Kling's where the path says so."""

    prefixes = (
        *KlingRoute.prefixes,
        *(f"/v1{path}" for path in (*CREATES, *absent.PRODUCTS, *absent.ACTS) if path != SHARED),
    )


async def generations(request: Request) -> Response:
    """`POST /v1/images/generations`, for whoever has found out that the request is Kling's."""
    return await answered(request, SHARED, legacy_images.generations)


def _legacy() -> Paths:
    table: dict[str, Mapping[str, Act]] = {}
    for path, act in CREATES.items():
        table |= _product(path, act, legacy_tasks.queried)
    table |= _product(ELEMENTS, legacy_elements.create, legacy_elements.queried, listed=legacy_elements.listed)
    table |= {path: {"POST": legacy_elements.delete} for path in legacy_elements.DELETES}
    for path, what in absent.PRODUCTS.items():
        table |= _product(path, absent.refusal(what), absent.unknown_task)
    table |= {path: {"POST": absent.refusal(what)} for path, what in absent.ACTS.items()}
    return table | {path: {"GET": legacy_tasks.nothing} for path in absent.LISTS}


def _product(path: str, create: Act, query: Act, *, listed: Act = legacy_tasks.listed) -> Paths:
    return {path: {"POST": create, "GET": listed}, f"{path}/{{task_id}}": {"GET": query}}


def _standard() -> Paths:
    return {
        "/text-to-video/{model}": {"POST": standard.text_to_video},
        "/image-to-video/{model}": {"POST": standard.image_to_video},
        "/omni-video/{model}": {"POST": standard.omni_video},
        "/motion-control/{model}": {"POST": absent.refusal("motion transfer")},
        "/tasks": {"GET": standard_tasks.queried, "POST": standard_tasks.search},
        "/account/costs": {"GET": legacy_account.costs},
        "/account/billing/balance": {"POST": absent.refusal("bills")},
        "/account/billing/package": {"POST": absent.refusal("bills")},
    }
