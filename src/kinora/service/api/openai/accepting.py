"""Accepting a create: the body read, the wish made of it, a task accepted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from kinora.service.accounts import Caller
from kinora.service.api.openai.forms import Asked, read_body
from kinora.service.api.openai.retries import retries_of
from kinora.service.api.openai.shapes import POLL_AFTER_MS, video_of
from kinora.service.creating import Wanted
from kinora.service.errors import ServiceError
from kinora.service.tasks import Task

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["Wish", "accept", "accept_video", "poll_after"]

Wish = Callable[[Asked], Wanted]
POLL_BOUNDS_MS = (200, 5000)
POLLS = 20
"""How often a client may look while a video of the expected length is made."""


async def accept(request: Request, service: Service, caller: Caller, route: str, wish: Wish) -> Task:
    """The task of a create; `route` tells it from others with the same content."""
    retries, account_id = retries_of(request), caller.account.id

    def create(asked: Asked) -> Task:
        one = retries.once(service, account_id, request, asked.mark(route))
        try:
            return service.studio.create(caller, wish(asked), key=one.key, asked=one.mark.encode())
        except ServiceError as error:
            retries.refused(account_id, error, one.mark)
            raise

    async with read_body(request) as asked:
        return await run_in_threadpool(create, asked)


async def accept_video(request: Request, service: Service, caller: Caller, route: str, wish: Wish) -> Response:
    """The answer to a create: the video as it was accepted."""
    task = await accept(request, service, caller, route, wish)
    return JSONResponse(await run_in_threadpool(video_of, service, task), headers={POLL_AFTER_MS: poll_after(task)})


def poll_after(task: Task) -> str:
    """Milliseconds until it is worth asking again. The client keeps to what its first poll was told."""
    low, high = POLL_BOUNDS_MS
    return str(round(min(max((task.expected or 0.0) * 1000 / POLLS, low), high)))
