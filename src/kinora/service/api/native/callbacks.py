"""What a callback of a native task says: the task, as `GET /api/tasks/{id}` would."""

from __future__ import annotations

from typing import Any

from kinora.service.api.native.answers import answer_of
from kinora.service.service import Service
from kinora.service.tasks import Task

__all__ = ["body_for"]


def body_for(task: Task, service: Service) -> dict[str, Any]:
    """The body, before it is JSON. Links lead to where the client found the service when it asked."""
    base = service.settings.public_url.rstrip("/") or str(task.wire.get("base", ""))
    return answer_of(service, task, base, place=False).model_dump(mode="json")
