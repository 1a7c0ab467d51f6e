"""Tasks in Kling's two shapes: ids, durations and units as text, times as milliseconds.

Beside Kling's own fields an output tells its real `width` and `height`, and a legacy task the `model_name` that makes
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinora.service.api.kling.wishes import STANDARD

if TYPE_CHECKING:
    from kinora.service.service import Service
    from kinora.service.tasks import Output, Task

__all__ = ["Shower", "seconds_text"]

CANCELLED = "The task was cancelled."
STATUSES = {"succeed": "succeeded", "cancelled": "failed"}
"""Of the standard family; other states are called the same."""


def seconds_text(seconds: float) -> str:
    """`5.041`, and `5` for whole seconds."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


class Shower:
    """Shows tasks to one client: `base` is how it reaches the service."""

    def __init__(self, service: Service, base: str) -> None:
        self._assets = service.assets
        self._base = base

    def legacy(self, task: Task) -> dict[str, Any]:
        """The `data` of a query, a list and a callback."""
        shown = self.created(task) | {
            "task_status_msg": _message(task),
            "model_name": task.model,
            "watermark_info": {"enabled": bool(task.wire.get("marked"))},
        }
        if task.ended:
            shown["final_unit_deduction"] = str(task.charged or 0)
        if task.outputs:
            items = "images" if task.slot_kind == "image" else "videos"
            shown["task_result"] = {items: [self._legacy_item(task, output) for output in task.outputs]}
        return shown

    def created(self, task: Task) -> dict[str, Any]:
        """The `data` of a legacy create."""
        status = "failed" if task.state == "cancelled" else task.state
        return {
            "task_id": str(task.id), "task_status": status, "task_info": self._info(task),
            "created_at": task.created_at, "updated_at": task.updated_at,
        }  # fmt: skip

    def standard(self, task: Task) -> dict[str, Any]:
        """A task of the standard family."""
        shown: dict[str, Any] = self.standard_created(task) | {
            "message": _message(task),
            "outputs": [self._standard_item(task, output) for output in task.outputs],
            "billing": [],
        }
        if task.state == "succeed":
            kind = {"charge_type": "unit", "package_type": task.slot_kind, "amount": str(task.charged or 0)}
            shown["billing"] = [kind]
        return shown

    def standard_created(self, task: Task) -> dict[str, Any]:
        """The `data` of a create of the standard family."""
        return {
            "id": str(task.id), "status": STATUSES.get(task.state, task.state), "message": "",
            "create_time": task.created_at, "update_time": task.updated_at, "external_id": task.external_id or "",
        }  # fmt: skip

    def callback(self, task: Task) -> dict[str, Any]:
        """The body of a callback, in the shape of the family that the task came in by."""
        return self.standard(task) if task.wire.get("family") == STANDARD else self.legacy(task)

    def link(self, account_id: int, digest: str, name: str) -> str:
        """The address of a file, good for a while."""
        return self._base + self._assets.link(account_id, digest, name=name)

    def _info(self, task: Task) -> dict[str, Any]:
        info: dict[str, Any] = {} if task.external_id is None else {"external_task_id": task.external_id}
        parent = task.wire.get("parent_video")
        if parent is not None:
            url = self.link(task.account_id, parent["digest"], f"{parent['id']}.mp4")
            info["parent_video"] = {"id": str(parent["id"]), "url": url, "duration": seconds_text(parent["seconds"])}
        return info

    def _legacy_item(self, task: Task, output: Output) -> dict[str, Any]:
        if output.kind == "image":
            return {"index": output.place, **self._files(task, output), **_size(output)}
        told = {"id": str(output.id), **self._files(task, output)}
        return {**told, "duration": seconds_text(output.seconds), **_size(output)}

    def _standard_item(self, task: Task, output: Output) -> dict[str, Any]:
        if output.kind == "image":
            return {"type": "image", **self._files(task, output), **_size(output)}
        told = {"type": "video", "id": str(output.id), **self._files(task, output)}
        return {**told, "duration": seconds_text(output.seconds), **_size(output)}

    def _files(self, task: Task, output: Output) -> dict[str, str]:
        ending = "png" if output.kind == "image" else "mp4"
        files = {"url": self.link(task.account_id, output.digest, f"{output.id}.{ending}")}
        if task.wire.get("marked") and output.marked is not None:
            files["watermark_url"] = self.link(task.account_id, output.marked, f"{output.id}-marked.{ending}")
        return files


def _message(task: Task) -> str:
    return CANCELLED if task.state == "cancelled" else task.message or ""


def _size(output: Output) -> dict[str, int]:
    return {"width": output.width, "height": output.height}
