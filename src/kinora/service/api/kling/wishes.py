"""What both families ask for in the same way, and how it becomes a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinora.core.conditions import Condition, Keyframe
from kinora.core.request import Line
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import AgainstPolicy
from kinora.service.api.kling.lenient import Identifier, Text, Wire
from kinora.service.api.kling.wording import aspect_of, quality_for, seconds_for
from kinora.service.creating import Wanted
from kinora.service.errors import Forbidden
from kinora.service.outside import check

if TYPE_CHECKING:
    from kinora.service.catalogue import Card
    from kinora.service.tasks import Output, Task

__all__ = ["LEGACY", "STANDARD", "Options", "Wish", "accept"]

LEGACY, STANDARD = "kling", "kling-standard"
"""Families, as tasks remember them: the callback's body depends on it."""
MOVING = {"zh": "画面自然地动起来", "en": "the picture begins to move"}
"""What a picture without words is asked to do."""


class Watermark(Wire):
    """Whether a copy with a mark is wanted beside the clean one."""

    enabled: bool = False


class Options(Wire):
    """What goes with every task."""

    watermark_info: Watermark = Watermark()
    callback_url: Text | None = None
    external_task_id: Identifier | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A task in Kling's words, its pictures taken in."""

    kind: str
    family: str = LEGACY
    options: Options
    prompt: str
    negative: str = ""
    model: str = ""
    mode: str | None = None
    """A mode or a resolution."""
    quality: str | None = None
    """In our own words, where it is known: of a film that goes on."""
    aspect: str | None = None
    seconds: float | None = None
    conditions: tuple[Condition, ...] = ()
    script: tuple[Line, ...] = ()
    count: int = 1
    parent: Output | None = None
    """The film that it goes on from."""


def accept(call: Call, wish: Wish) -> Task:
    """The accepted task. Raises what `Studio.create` raises, and `AgainstPolicy` without a needed consent."""
    service = call.service
    card = service.catalogue.resolve(wish.model)
    options, url = wish.options, wish.options.callback_url
    wanted = Wanted(
        kind=wish.kind,
        prompt=wish.prompt or _unsaid(call, wish),
        negative=wish.negative,
        model=card.name,
        seconds=_seconds(wish, card),
        aspect=_shape(wish) or aspect_of(wish.aspect),
        quality=wish.quality or quality_for(wish.mode, card),
        count=wish.count,
        conditions=wish.conditions,
        script=wish.script,
        marked=options.watermark_info.enabled,
        external_id=options.external_task_id,
        callback_url=None if url is None else check(url, settings=service.settings, field="callback_url"),
        wire=_wire(call, wish),
        parent_id=None if wish.parent is None else wish.parent.id,
    )
    try:
        return service.studio.create(call.caller, wanted, key=call.key, asked=call.asked)
    except Forbidden as error:
        raise AgainstPolicy(error.message) from error


def _unsaid(call: Call, wish: Wish) -> str:
    """What a picture is asked to do when nobody says; nothing without a picture, which is refused."""
    return MOVING.get(call.caller.account.language, MOVING["en"]) if _shape(wish) else ""


def _seconds(wish: Wish, card: Card) -> float | None:
    """The film's length; that of a film of which a part is made anew stays."""
    if wish.kind == "text_to_image":
        return None
    return wish.seconds if wish.kind == "edit" else seconds_for(wish.seconds, card, exactly=bool(wish.script))


def _shape(wish: Wish) -> str | None:
    """The shape of the film's first picture, which decides where there is one."""
    stills = [condition.still for condition in wish.conditions if isinstance(condition, Keyframe)]
    if not stills:
        return None
    height, width, _ = stills[0].rgb_HW3.shape
    return f"{width}:{height}"


def _wire(call: Call, wish: Wish) -> dict[str, Any]:
    """What answers and callbacks want to know again."""
    told: dict[str, Any] = {"family": wish.family, "route": call.route, "base": call.base, "model": wish.model}
    if wish.options.watermark_info.enabled:
        told["marked"] = True
    if wish.parent is not None:
        told["parent_video"] = {"id": wish.parent.id, "digest": wish.parent.digest, "seconds": wish.parent.seconds}
    return told
