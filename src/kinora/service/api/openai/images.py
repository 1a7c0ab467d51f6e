"""`/images/generations`: pictures while the client waits. Kling has a route of the same path."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from kinora.service.accounts import Caller
from kinora.service.api.auth import Serving, Signed, caller
from kinora.service.api.openai.accepting import accept
from kinora.service.api.openai.forms import Asked
from kinora.service.api.openai.retries import retries_of
from kinora.service.api.openai.shapes import Failed
from kinora.service.api.openai.sizes import size_text
from kinora.service.api.openai.whose import is_kling
from kinora.service.api.openai.wishes import image_wish
from kinora.service.creating import Wanted
from kinora.service.errors import Invalid, Refused, Unavailable, Unsupported
from kinora.service.objects import digest_path
from kinora.service.service import Service
from kinora.service.tasks import Output, Task

__all__ = ["add_routes", "dispatch"]

WAIT_SECONDS = 540.0
"""OpenAI's client gives up after 600 s."""
LOOKS = (0.05, 1.0)
"""Seconds between two looks at the task: from, to."""
FORMATS = ("url", "b64_json")
INLINE = ("gpt-image", "chatgpt-image")
"""Models whose clients expect the picture itself and never say so."""


def add_routes(router: APIRouter) -> None:
    router.add_api_route("/images/generations", generate, methods=["POST"])


async def dispatch(request: Request) -> Response:
    """The route on the bare `/v1`: Kling's or OpenAI's, by what the request carries."""
    if is_kling(request.headers, await _json(request)):
        from kinora.service.api import kling

        return await kling.generations(request)
    known = await run_in_threadpool(caller, request)
    return await generate(request, request.app.state.service, known)


async def generate(request: Request, service: Serving, caller: Signed) -> Response:
    """Accept, wait, answer. A client that asks again, having lost the answer, gets the same pictures."""

    def wish(asked: Asked) -> Wanted:
        if asked.get("stream") not in (None, False, "false"):
            raise Unsupported("Pictures do not come in a stream here; leave stream out.", field="stream")
        made = image_wish(service, asked)
        return replace(made, wire={**made.wire, "answer": _format(asked)})

    task = await accept(request, service, caller, "images/generations", wish)
    task = await _ended(request, service, task)
    if not await request.is_disconnected():
        retries_of(request).named(task.id)
    return JSONResponse(await run_in_threadpool(_answer, request, service, caller, task))


async def _json(request: Request) -> object:
    """The body as JSON; None for anything else. It can be read again."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return None
    try:
        return await run_in_threadpool(json.loads, await request.body())
    except (ValueError, RecursionError):
        return None


async def _ended(request: Request, service: Service, task: Task) -> Task:
    """The task when it is over; raises `Unavailable` when that takes too long or the client is gone: who asks again
    waits for the same task.
    """
    until = time.monotonic() + WAIT_SECONDS
    pause, most = LOOKS
    while True:
        task = await run_in_threadpool(service.tasks.get, task.account_id, task.id)
        if task.ended:
            return task
        if time.monotonic() > until or await request.is_disconnected():
            raise Unavailable("The pictures take longer than a client waits; ask again for the same.", status=504)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, most)


def _format(asked: Asked) -> str:
    said = asked.text("response_format") or ("b64_json" if asked.text("model").startswith(INLINE) else "url")
    if said not in FORMATS:
        raise Invalid(f"response_format is url or b64_json, not {said[:20]!r}.", field="response_format")
    return said


def _answer(request: Request, service: Service, caller: Caller, task: Task) -> dict[str, Any]:
    """OpenAI's answer to a task that is over; raises what a failure is to the client."""
    if task.state != "succeed":
        told = task.message or f"The pictures were not made: the task was {task.state}."
        raise Refused(told) if task.code == "refused" else Failed(told)
    if not task.outputs:
        raise Failed("The pictures were deleted before they could be sent.")
    first, how = task.outputs[0], str(task.wire["answer"])
    base = service.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return {
        "created": task.created_at // 1000,
        "data": [_picture(service, caller, output, how, base) for output in task.outputs],
        "output_format": first.media_type.rpartition("/")[2],
        "size": size_text(first.width, first.height),
    }


def _picture(service: Service, caller: Caller, output: Output, how: str, base: str) -> dict[str, str]:
    if how == "b64_json":
        return {"b64_json": base64.b64encode(service.objects.read(digest_path(output.digest))).decode()}
    name = f"{output.id}.{output.media_type.rpartition('/')[2]}"
    return {"url": base + service.assets.link(caller.account.id, output.digest, name=name)}
