"""video-extend: an output of this service goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from kinora.core.conditions import Continue
from kinora.core.materials import Footage
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.legacy_films import accepted
from kinora.service.api.kling.lenient import Number, Text
from kinora.service.api.kling.listing import number_of
from kinora.service.api.kling.wishes import Options, Wish
from kinora.service.api.kling.wording import pointed
from kinora.service.errors import Invalid, Missing
from kinora.service.materials import footage_of

if TYPE_CHECKING:
    from kinora.service.tasks import Output, Task

__all__ = ["video_extend"]

ADDED = 5.0
"""Seconds a call adds."""
LONGEST = 180.0
"""Seconds that a film may reach this way, as Kling has it."""


class Extend(Options):
    """`POST /v1/videos/video-extend`."""

    video_id: Text
    prompt: Text = ""
    negative_prompt: Text = ""
    cfg_scale: Annotated[Number, Field(ge=0, le=1)] = 0.5


def video_extend(call: Call) -> dict[str, Any]:
    """The whole film, five seconds longer, by the model and in the quality that made it."""
    body = call.read(Extend)
    output, task, footage = _source(call, body.video_id)
    if output.seconds + ADDED > LONGEST:
        raise Invalid(
            f"The film lasts {output.seconds:g} s; {ADDED:g} s more would pass the {LONGEST:g} s that it may reach.",
            field="video_id",
        )
    told = _told(task)
    wish = Wish(
        kind="extend", options=body, prompt=pointed(body.prompt, ()) or told, negative=body.negative_prompt,
        model=task.model, quality=str(task.request.get("quality", "standard")),
        aspect=f"{output.width}:{output.height}", seconds=ADDED, parent=output,
        conditions=(Continue(footage=footage, before=_ends_alone(task), told=told),),
    )  # fmt: skip
    return accepted(call, wish)


def _source(call: Call, video_id: str) -> tuple[Output, Task, Footage]:
    """The film as it was made, the task that made it, and the film as something to go on from.

    Raises `Invalid` for an id that is no film of this account's.
    """
    missing = Invalid(
        f"There is no video {video_id!r}; give the `id` of a video in a task's result, made within its time.",
        field="video_id",
    )
    try:
        output = call.service.tasks.output(call.account_id, number_of(video_id))
        task = call.service.tasks.get(call.account_id, output.task_id)
        asset = call.service.assets.get(call.account_id, output.digest)
    except Missing:
        raise missing from None
    if output.kind != "video":
        raise missing
    return output, task, footage_of(asset, call.service.catalogue.resolve(task.model).frame_rate)


def _told(task: Task) -> str:
    """The prompt that the film's end was made from."""
    script = task.request.get("script") or ()
    return pointed(str(script[-1]["prompt"] if script else task.request["prompt"]), ())


def _ends_alone(task: Task) -> bool:
    """Whether the film was made from its last picture alone: what is added comes before it."""
    frames = [one.get("at", 0.0) for one in task.request.get("conditions", ()) if one["kind"] == "keyframe"]
    return frames == [None]
