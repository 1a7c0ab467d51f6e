"""`/videos`: create, look, list, delete, download, and what is made of a video that is there."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from kinora.service.accounts import Caller
from kinora.service.api.auth import Serving, Signed
from kinora.service.api.files import deliver, file_of
from kinora.service.api.openai.accepting import accept_video, poll_after
from kinora.service.api.openai.inputs import output_of, video_task
from kinora.service.api.openai.retries import retries_of
from kinora.service.api.openai.shapes import POLL_AFTER_MS, VIDEOS, list_of, task_id_of, video_id, video_of
from kinora.service.api.openai.wishes import edit_wish, extension_wish, film_wish, remix_wish
from kinora.service.assets import Asset
from kinora.service.errors import Clash, Invalid, Missing
from kinora.service.service import Service
from kinora.service.sheets import spritesheet
from kinora.service.tasks import Output

__all__ = ["add_routes"]

LIMITS = (1, 100)
PAGE = 20
ORDERS = ("asc", "desc")
VARIANTS = ("video", "thumbnail", "spritesheet")


def add_routes(router: APIRouter) -> None:
    """Add the routes; fixed words before ids."""
    router.add_api_route("/videos", create, methods=["POST"])
    router.add_api_route("/videos", page, methods=["GET"])
    router.add_api_route("/videos/edits", edit, methods=["POST"])
    router.add_api_route("/videos/extensions", extend, methods=["POST"])
    router.add_api_route("/videos/{video}", retrieve, methods=["GET"])
    router.add_api_route("/videos/{video}", remove, methods=["DELETE"])
    router.add_api_route("/videos/{video}/content", content, methods=["GET", "HEAD"])
    router.add_api_route("/videos/{video}/remix", remix, methods=["POST"])


async def create(request: Request, service: Serving, caller: Signed) -> Response:
    return await accept_video(request, service, caller, "videos", lambda asked: film_wish(service, caller, asked))


async def remix(request: Request, video: str, service: Serving, caller: Signed) -> Response:
    route = f"videos/{video}/remix"
    return await accept_video(request, service, caller, route, lambda asked: remix_wish(service, caller, video, asked))


async def extend(request: Request, service: Serving, caller: Signed) -> Response:
    return await accept_video(
        request, service, caller, "videos/extensions", lambda asked: extension_wish(service, caller, asked)
    )


async def edit(request: Request, service: Serving, caller: Signed) -> Response:
    return await accept_video(request, service, caller, "videos/edits", lambda asked: edit_wish(service, caller, asked))


def retrieve(request: Request, video: str, service: Serving, caller: Signed) -> Response:
    task = video_task(service, caller, video)
    retries_of(request).named(task.id)
    return JSONResponse(video_of(service, task), headers={POLL_AFTER_MS: poll_after(task)})


def page(
    service: Serving,
    caller: Signed,
    after: Annotated[str, Query()] = "",
    limit: Annotated[str, Query()] = "",
    order: Annotated[str, Query()] = "",
) -> Response:
    most = _limit(limit)
    if order and order not in ORDERS:
        raise Invalid(f"order is asc or desc, not {order[:20]!r}.", field="order")
    from_id = task_id_of(after) if after else None
    upward = order == "asc"
    found = service.tasks.page(
        caller.account.id,
        kinds=VIDEOS,
        limit=most + 1,
        after=from_id if upward else None,
        before=None if upward else from_id,
        oldest_first=upward,
    )
    videos = [video_of(service, task) for task in found[:most]]
    return JSONResponse(list_of(videos, more=len(found) > most))


def remove(video: str, service: Serving, caller: Signed) -> dict[str, Any]:
    """A video that waits is cancelled first; one that is being made is stopped, and deleted when it is asked again."""
    task = video_task(service, caller, video)
    if not task.ended:
        task = service.tasks.cancel(caller.account.id, task.id)
    if not task.ended:
        raise Clash(f"The video {video} is being made and is told to stop; delete it again in a moment.")
    service.tasks.delete(caller.account.id, task.id)
    return {"id": video_id(task.id), "object": "video.deleted", "deleted": True}


def content(
    request: Request, video: str, service: Serving, caller: Signed, variant: Annotated[str, Query()] = ""
) -> Response:
    variant = variant or "video"
    if variant not in VARIANTS:
        raise Invalid(f"There is no variant {variant[:40]!r}; choose one of {', '.join(VARIANTS)}.", field="variant")
    output = output_of(video_task(service, caller, video))
    asset = _variant(service, caller, output, variant)
    suffix = asset.media_type.rpartition("/")[2].replace("jpeg", "jpg")
    name = f"{video}.{suffix}" if variant == "video" else f"{video}-{variant}.{suffix}"
    return deliver(request, service.objects, file_of(asset, name))


def _variant(service: Service, caller: Caller, output: Output, variant: str) -> Asset:
    """The stored file of a variant."""
    if variant == "spritesheet":
        return spritesheet(service, output)
    digest = output.digest if variant == "video" else output.thumbnail
    if digest is None:
        raise Missing("This video has no thumbnail.")
    return service.assets.get(caller.account.id, digest)


def _limit(said: str) -> int:
    low, high = LIMITS
    if not said:
        return PAGE
    if not (said.isascii() and said.isdigit() and len(said) < 10 and low <= int(said)):
        raise Invalid(f"limit is a whole number from {low} to {high}, not {said[:20]!r}.", field="limit")
    return min(int(said), high)
