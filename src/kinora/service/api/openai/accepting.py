"""Accepting a create: the body read, the wish made of it, a task accepted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from kinora.service.accounts import Caller
from kinora.service.api.openai.forms import Asked, read_body
from kinora.service.api.openai.retries import Once, once
from kinora.service.api.openai.shapes import POLL_AFTER_MS, video_of
from kinora.service.creating import Wanted
from kinora.service.tasks import Task

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["Wish", "accept", "accept_video", "answered", "poll_after"]

Wish = Callable[[Asked], Wanted]
POLL_BOUNDS_MS = (200, 5000)
POLLS = 20
"""How often a client may look while a video of the expected length is made."""


async def accept(request: Request, service: Service, caller: Caller, route: str, wish: Wish) -> tuple[Task, Once]:
    """The task of a create, and what makes it happen once; `route` tells it from others with the same content."""

    def create(asked: Asked) -> tuple[Task, Once]:
        one = once(service, caller.account.id, request, asked.mark(route))
        return service.studio.create(caller, wish(asked), key=one.key, asked=one.mark.encode()), one

    async with read_body(request) as asked:
        return await run_in_threadpool(create, asked)


async def accept_video(request: Request, service: Service, caller: Caller, route: str, wish: Wish) -> Response:
    """The answer to a create: the video as it was accepted."""
    task, one = await accept(request, service, caller, route, wish)
    return JSONResponse(
        await run_in_threadpool(video_of, service, task),
        headers={POLL_AFTER_MS: poll_after(task)},
        background=await answered(request, service, one),
    )


async def answered(request: Request, service: Service, one: Once) -> BackgroundTask | None:
    """What is to be done once the answer is out; nothing for a client that is gone, which will ask again."""
    return None if await request.is_disconnected() else BackgroundTask(one.forget, service)


def poll_after(task: Task) -> str:
    """Milliseconds until it is worth asking again. The client keeps to what its first poll was told."""
    low, high = POLL_BOUNDS_MS
    return str(round(min(max((task.expected or 0.0) * 1000 / POLLS, low), high)))
