"""The bodies of callbacks: a legacy one is the `data` of a query itself, a standard one the task as `/tasks` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinora.service.api.kling.showing import Shower

if TYPE_CHECKING:
    from kinora.service.service import Service
    from kinora.service.tasks import Task

__all__ = ["body_for"]


def body_for(task: Task, service: Service) -> dict[str, Any]:
    """What a task's callback address is told. Links lead to where the client found the service when it asked."""
    base = service.settings.public_url.rstrip("/") or str(task.wire.get("base", ""))
    return Shower(service, base).callback(task)
