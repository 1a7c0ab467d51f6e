"""Tasks and their outputs as the native format shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from kinora.service.api.native.shapes import Digest, Id, Shape
from kinora.service.service import Service
from kinora.service.tasks import Output, Task

__all__ = ["OutputAnswer", "State", "TaskAnswer", "TaskPage", "answer_of", "output_of"]

EXTENSIONS = {"video/mp4": ".mp4", "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
State = Literal["submitted", "processing", "succeed", "failed", "cancelled"]


class OutputAnswer(Shape):
    """A file that a task made."""

    id: Id = Field(description="The output's id.")
    task_id: Id = Field(description="The task that made it.")
    place: int = Field(description="Its place among the task's outputs, from 0.")
    kind: Literal["video", "image"] = Field(description="What it is.")
    digest: Digest = Field(description="Its sha256; it is an asset of the account by this name.")
    url: str = Field(description="A signed link to the file; it ends, ask again for a fresh one.")
    marked_url: str | None = Field(description="The same for the copy with the visible label throughout, if asked for.")
    thumbnail_url: str | None = Field(description="The same for a small picture of it.")
    media_type: str = Field(description="Such as video/mp4 or image/png.")
    bytes: int = Field(description="Size of the file.")
    width: int = Field(description="Pixels across.")
    height: int = Field(description="Pixels down.")
    frames: int = Field(description="Pictures of a film; 1 for a picture.")
    seconds: float = Field(description="How long it plays; 0 for a picture.")
    created_at: int = Field(description="Milliseconds since 1970.")
    expires_at: int = Field(description="When it is deleted: milliseconds since 1970.")


class Trouble(Shape):
    """Why a task failed."""

    code: str = Field(description="input, refused, weights, memory, media, stalled, lost, expired or internal.")
    message: str = Field(description="A sentence for people.")


class TaskAnswer(Shape):
    """A task and how it stands."""

    id: Id = Field(description="The task's id; later tasks have higher ones.")
    kind: str = Field(description="What is made of what, as it was asked for.")
    state: State = Field(description="submitted (waits), processing, or over: succeed, failed, cancelled.")
    model: str = Field(description="The model that makes it.")
    prompt: str = Field(description="What it shows.")
    request: dict[str, Any] = Field(description="All that was asked for, as it is kept in the file's recipe too.")
    external_id: str | None = Field(description="The client's own id of it.")
    callback_url: str | None = Field(description="Who is told of its changes.")
    parent_output_id: Id | None = Field(description="The output that it goes on from or works over.")
    units: int = Field(description="Units held when it was accepted: its price.")
    charged: int | None = Field(description="Units charged in the end; null while it is under way, 0 if it failed.")
    position: int | None = Field(description="How many tasks are made before it; null unless it waits.")
    paused: bool = Field(description="Whether its owner keeps it from being made.")
    cancelling: bool = Field(description="Whether it stops before its next step.")
    attempt: int = Field(description="How often a worker has taken it; above 1 a worker was lost.")
    stage: str | None = Field(description="What is being done.")
    step: int = Field(description="Steps done of this stage.")
    steps: int = Field(description="Steps of this stage in all; 0 before it is known.")
    progress: float = Field(description="Share that is done, 0 to 1.")
    seconds_left: float | None = Field(description="About how long it still takes.")
    expected_seconds: float | None = Field(description="How long the work was expected to take.")
    error: Trouble | None = Field(description="Why it failed.")
    outputs: list[OutputAnswer] = Field(description="What it made.")
    created_at: int = Field(description="When it was accepted: milliseconds since 1970.")
    updated_at: int = Field(description="When it last changed: milliseconds since 1970.")
    started_at: int | None = Field(description="When a worker first took it: milliseconds since 1970.")
    ended_at: int | None = Field(description="When it was over: milliseconds since 1970.")


class TaskPage(Shape):
    """Tasks, the newest first."""

    tasks: list[TaskAnswer] = Field(description="The tasks.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


def answer_of(service: Service, task: Task, base: str, *, place: bool = True) -> TaskAnswer:
    """A task as it is told, with links below `base`; `place` False spares the question for its position."""
    return TaskAnswer(
        id=str(task.id),
        kind=task.kind,
        state=task.state,  # type: ignore[arg-type] # the store holds no other
        model=task.model,
        prompt=task.request["prompt"],
        request=dict(task.request),
        external_id=task.external_id,
        callback_url=task.callback_url,
        parent_output_id=None if task.parent_id is None else str(task.parent_id),
        units=task.units,
        charged=task.charged,
        position=service.tasks.position(task) if place and task.state == "submitted" else None,
        paused=task.paused,
        cancelling=task.cancelling,
        attempt=task.attempts,
        stage=task.stage,
        step=task.done,
        steps=task.total,
        progress=task.share,
        seconds_left=task.seconds_left,
        expected_seconds=task.expected,
        error=None if task.code is None else Trouble(code=task.code, message=task.message or ""),
        outputs=[output_of(service, output, base) for output in task.outputs],
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        ended_at=task.ended_at,
    )


def output_of(service: Service, output: Output, base: str) -> OutputAnswer:
    """An output with fresh links below `base`."""
    suffix = EXTENSIONS.get(output.media_type, "")

    def link(digest: str | None, name: str) -> str | None:
        return None if digest is None else base + service.assets.link(output.account_id, digest, name=name)

    url = link(output.digest, f"{output.id}{suffix}")
    assert url is not None
    return OutputAnswer(
        id=str(output.id),
        task_id=str(output.task_id),
        place=output.place,
        kind=output.kind,  # type: ignore[arg-type] # the store holds no other
        digest=output.digest,
        url=url,
        marked_url=link(output.marked, f"{output.id}-marked{suffix}"),
        thumbnail_url=link(output.thumbnail, f"{output.id}-small.jpg"),
        media_type=output.media_type,
        bytes=output.bytes,
        width=output.width,
        height=output.height,
        frames=output.frames,
        seconds=output.seconds,
        created_at=output.created_at,
        expires_at=output.expires_at,
    )
