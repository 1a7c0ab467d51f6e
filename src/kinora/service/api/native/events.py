"""Server-sent events: what happens to tasks, as it happens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.answers import State
from kinora.service.api.native.feed import Feed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Id, IdPath, Shape
from kinora.service.tasks import ENDED, Event

__all__ = ["TaskEvent", "router"]

HEARTBEAT_SECONDS = 15.0
"""A comment is sent when nothing happens for so long: proxies keep the connection, and the dead ones are found out."""
STREAM_SECONDS = 1800.0
"""A stream ends after so long; the client comes again and is asked for its key again."""
RETRY_MS = 2000

router = native_router("events")

Seen = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, lt=2**53, description="The last id that was seen: go on from there."),
]
After = Annotated[
    int | None, Query(ge=0, lt=2**53, description="The same as Last-Event-ID, where no header can be sent.")
]


class TaskEvent(Shape):
    """The data of an event. What an event of its kind does not carry is left out."""

    task_id: Id = Field(description="The task it happened to.")
    created_at: int = Field(description="When: milliseconds since 1970.")
    state: State | None = Field(default=None, description="The state it has come to.")
    attempt: int | None = Field(default=None, description="How often a worker has taken it by now.")
    paused: bool | None = Field(default=None, description="Whether its owner keeps it from being made.")
    stage: str | None = Field(default=None, description="What is being done.")
    step: int | None = Field(default=None, description="Steps done of this stage.")
    total: int | None = Field(default=None, description="Steps of this stage in all.")
    seconds_left: float | None = Field(default=None, description="About how long it still takes.")
    preview: str | None = Field(default=None, description="A small picture of how it looks, as a data URL.")
    code: str | None = Field(default=None, description="Why it failed, as a word.")
    message: str | None = Field(default=None, description="A sentence for people.")


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What happens, event by event; lines that begin with a colon mean nothing.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "description": "Counts up; send it back to go on from there."},
                        "event": {"enum": ["state", "progress", "preview", "note"]},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": TaskEvent.model_json_schema(),
                        },
                    },
                    "required": ["id", "event", "data"],
                }
            }
        },
    },
    204: {"description": "The task is over and nothing is left to tell: do not come again."},
}


NAMES = {"done": "step", "url": "preview"}
"""Where the store's words are others."""


@router.get("/events", operation_id="listen", response_class=Response, responses=STREAM)
async def listen(request: Request, caller: Signed, seen: Seen = None, after: After = None) -> Response:
    """What happens to all tasks of the account, from now on or from the last event seen."""
    return _stream(request, caller.account.id, None, seen if seen is not None else after)


@router.get("/tasks/{task_id}/events", operation_id="listen_to_task", response_class=Response, responses=STREAM)
async def listen_to_task(
    request: Request, service: Serving, caller: Signed, task_id: IdPath, seen: Seen = None, after: After = None
) -> Response:
    """What happens to one task, from its beginning or from the last event seen; the stream ends with the task."""
    account_id, number = caller.account.id, int(task_id)
    since = seen if seen is not None else after or 0
    task = await run_in_threadpool(service.tasks.get, account_id, number)
    if task.ended:
        left = await run_in_threadpool(service.tasks.events, account_id, since, task_id=number, limit=1)
        if not left:
            return Response(status_code=204)
    return _stream(request, account_id, number, since)


def _stream(request: Request, account_id: int, task_id: int | None, after: int | None) -> Response:
    feed: Feed = request.app.state.feed
    feed.admit(account_id)  # what is refused is told as an error, before the stream begins
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(_lines(feed, account_id, task_id, after), media_type="text/event-stream", headers=headers)


async def _lines(feed: Feed, account_id: int, task_id: int | None, after: int | None) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    with feed.listening(account_id, task_id) as listener:
        last = after or 0
        async for event in feed.since(listener, after):
            last = event.id
            yield _line(event)
            if task_id is not None and _ends(event):
                return
        until = time.monotonic() + STREAM_SECONDS
        while time.monotonic() < until:
            try:
                heard = await listener.next(HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b": heartbeat\n\n"
                continue
            if heard is None:
                return
            if heard.id > last:  # else it was among those told already
                last = heard.id
                yield _line(heard)
                if task_id is not None and _ends(heard):
                    return


def _ends(event: Event) -> bool:
    return event.kind == "state" and event.body.get("state") in ENDED


def _line(event: Event) -> bytes:
    told = {NAMES.get(name, name): value for name, value in event.body.items()}
    known = {name: value for name, value in told.items() if name in TaskEvent.model_fields}
    data = TaskEvent(task_id=str(event.task_id), created_at=event.created_at, **known)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()
