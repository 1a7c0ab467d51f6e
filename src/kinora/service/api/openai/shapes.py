"""OpenAI's objects, made of ours, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from kinora.core.errors import KinoraError
from kinora.service.api.openai.retries import retries_of
from kinora.service.api.openai.sizes import length_of, size_text
from kinora.service.api.routes import FamilyRoute
from kinora.service.errors import (
    Forbidden,
    Invalid,
    Missing,
    OutOfUnits,
    ServiceError,
    Suspended,
    TooManyRequests,
    TooManyTasks,
    Unauthenticated,
)
from kinora.service.tasks.task import IMAGES, KINDS, Task

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = [
    "POLL_AFTER_MS", "VIDEOS", "Failed", "OpenAIRoute", "error_body", "list_of", "task_id_of", "video_id", "video_of",
]  # fmt: skip

VIDEOS = tuple(kind for kind in KINDS if kind not in IMAGES)
PREFIX = "video_"
POLL_AFTER_MS = "openai-poll-after-ms"
"""Header: when the client should ask again."""
STATES = {"submitted": "queued", "processing": "in_progress", "succeed": "completed"}
TYPES: dict[type[ServiceError], str] = {
    Unauthenticated: "authentication_error",
    Forbidden: "permission_error",
    Suspended: "permission_error",
    OutOfUnits: "insufficient_quota",
    TooManyTasks: "rate_limit_error",
    TooManyRequests: "rate_limit_error",
}
CODES: dict[type[ServiceError], str] = {
    Unauthenticated: "invalid_api_key",
    OutOfUnits: "insufficient_quota",
    TooManyTasks: "rate_limit_exceeded",
    TooManyRequests: "rate_limit_exceeded",
}
"""Where OpenAI has a word of its own; else ours stands."""


class Failed(ServiceError):
    """A task that was waited for ended without what was asked; asking the same again would end the same."""

    code = "failed"


class OpenAIRoute(FamilyRoute):
    """A route whose errors are `{"error": {message, type, param, code}}`."""

    prefixes = ("/openai", "/v1")

    @classmethod
    def render(cls, error: ServiceError, request: Request) -> Response:
        account_id = getattr(request.state, "account_id", None)
        if isinstance(error, TooManyRequests) and account_id is not None:
            retries_of(request).refused(account_id, error)
        response = JSONResponse(error_body(error), status_code=error.status)
        if isinstance(error, OutOfUnits | Failed):
            response.headers["x-should-retry"] = "false"  # the client would ask twice more, for nothing
        return response


def error_body(error: ServiceError) -> dict[str, Any]:
    kind = next((word for family, word in TYPES.items() if isinstance(error, family)), None)
    code = next((word for family, word in CODES.items() if isinstance(error, family)), error.code)
    fallback = "server_error" if error.status >= 500 else "invalid_request_error"
    param = error.field or None if isinstance(error, Invalid) else None
    return {"error": {"message": error.message, "type": kind or fallback, "param": param, "code": code}}


def video_id(task_id: int) -> str:
    return f"{PREFIX}{task_id}"


def task_id_of(said: str) -> int:
    """The task of a video's id; raises `Missing` for what is no id, as for one that does not exist."""
    number = said.removeprefix(PREFIX)
    if number == said or not (number.isascii() and number.isdigit() and len(number) <= 19):
        raise Missing(f"There is no video {said[:40]!r}; ids begin with {PREFIX} and a number.")
    return int(number)


def video_of(service: Service, task: Task) -> dict[str, Any]:
    """A task as OpenAI's Video. Size and length are what is made, not what was asked for."""
    made = task.outputs[0] if task.outputs else None
    if made is not None:
        size, seconds = size_text(made.width, made.height), length_of(made.seconds)
    else:
        size, seconds = _size_of(service, task), length_of(float(task.request.get("seconds", 0)))
    ended = task.ended_at is not None and task.state == "succeed"
    return {
        "id": video_id(task.id),
        "object": "video",
        "created_at": task.created_at // 1000,
        "completed_at": task.ended_at // 1000 if ended and task.ended_at else None,
        "expires_at": made.expires_at // 1000 if made is not None else None,
        "model": task.model,
        "progress": _progress(task),
        "prompt": task.request.get("prompt"),
        "remixed_from_video_id": task.wire.get("remixed_from"),
        "seconds": seconds,
        "size": size,
        "status": STATES.get(task.state, "failed"),
        "error": _error_of(task),
    }


def list_of(items: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page of OpenAI's cursor lists."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": more}


def _progress(task: Task) -> int:
    """Percent; 100 only for what is there."""
    return 100 if task.state == "succeed" else min(99, int(task.share * 100)) if task.state != "submitted" else 0


def _error_of(task: Task) -> dict[str, Any] | None:
    if task.state == "cancelled":
        return {"code": "cancelled", "message": "The video was cancelled before it was finished."}
    if task.state != "failed":
        return None
    return {"code": task.code or "internal", "message": task.message or "The video could not be made; try again."}


def _size_of(service: Service, task: Task) -> str:
    """The size that a task under way will come out in."""
    said = task.request.get("size")
    if said:
        return size_text(*said)
    try:
        return size_text(*service.catalogue.card(task.model).sizes[task.request["aspect"]])
    except (KinoraError, KeyError):
        return str(task.wire.get("size", ""))  # the model is no longer served
