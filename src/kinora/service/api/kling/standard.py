"""The standard family's creates: the model is part of the path, pictures and words are contents."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from kinora.core.conditions import Condition, Keyframe
from kinora.core.materials import Still
from kinora.core.request import Line
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.figures import ElementItem, figures_of
from kinora.service.api.kling.intake import picture
from kinora.service.api.kling.legacy_references import region_of
from kinora.service.api.kling.lenient import Number, Text, Wire
from kinora.service.api.kling.shots import shots_in, told_in_order
from kinora.service.api.kling.showing import Shower
from kinora.service.api.kling.wishes import STANDARD, Options, Wish, accept
from kinora.service.errors import Invalid

__all__ = ["image_to_video", "omni_video", "text_to_video"]

AUDIO = ("native", "original", "off")
FRAMES = {"first_frame": 0.0, "last_frame": None}
PLAIN = ("prompt",)
FRAMED = ("prompt", "first_frame", "last_frame", "element")
OMNI = ("prompt", "first_frame", "last_frame", "refer_image", "base_video", "element")
MOST_CONTENTS = 24


class Content(Wire):
    """One thing that a request brings; which fields it has depends on its type."""

    type: Text
    text: Text = ""
    url: Text | None = None
    id: Text | None = None
    element_id: Text | None = None
    mask: Text | None = None
    """Ours: of a base video, white where it is made anew."""


class Settings(Wire):
    """What the film is to be like."""

    resolution: Text | None = None
    aspect_ratio: Text | None = None
    duration: Number | None = None
    multi_shot: bool = True
    audio: Text = "off"


class Body(Wire):
    """The body of every create."""

    prompt: Text = ""
    contents: Annotated[tuple[Content, ...], Field(max_length=MOST_CONTENTS)] = ()
    settings: Settings = Settings()
    options: Options = Options()


class Brought:
    """Contents, sorted and taken in."""

    def __init__(self) -> None:
        self.frames: list[Keyframe] = []
        self.pictures: list[tuple[str, Still]] = []
        self.elements: list[ElementItem] = []
        self.films: list[Content] = []
        self.shown: list[str] = []
        """Names of frames and films, in prompts."""


def text_to_video(call: Call) -> dict[str, Any]:
    """`POST /text-to-video/{model}`."""
    return _create(call, PLAIN)


def image_to_video(call: Call) -> dict[str, Any]:
    """`POST /image-to-video/{model}`: a first picture, and a last one if there is one."""
    return _create(call, FRAMED)


def omni_video(call: Call) -> dict[str, Any]:
    """`POST /omni-video/{model}`: frames, references, elements, or a film of which a part is made anew."""
    return _create(call, OMNI)


def _create(call: Call, types: tuple[str, ...]) -> dict[str, Any]:
    body = call.read(Body)
    prompt = body.prompt or next((item.text for item in body.contents if item.type == "prompt" and item.text), "")
    if body.settings.audio not in AUDIO:
        raise Invalid(f"There is no audio {body.settings.audio!r}; choose {', '.join(AUDIO)}.", field="settings.audio")
    brought = _sorted(call, body, types)
    if not prompt and not brought.frames:
        raise Malformed("prompt is missing; write what the film shows.", field="prompt")
    if types is FRAMED and not brought.frames:
        raise Malformed("A first_frame is missing among the contents; give its url.", field="contents")
    prompt, script, seconds = _told(prompt, body.settings)
    prompts = [prompt, *(line.prompt for line in script)]
    figures, (prompt, *lines) = figures_of(call, brought.elements, brought.pictures, prompts, shown=brought.shown)
    conditions: tuple[Condition, ...] = (*brought.frames, *figures)
    kind = "image_to_video" if conditions else "text_to_video"
    for item in brought.films:
        region = region_of(call, item.url or "", item.mask, call.path["model"], "base_video")
        kind, seconds, conditions = "edit", region.footage.clip.seconds, (*conditions, region)
    wish = Wish(
        kind=kind, family=STANDARD, options=body.options, prompt=prompt, model=call.path["model"],
        mode=body.settings.resolution, aspect=body.settings.aspect_ratio, seconds=seconds, conditions=conditions,
        script=tuple(Line(at=line.at, prompt=text) for line, text in zip(script, lines, strict=True)),
    )  # fmt: skip
    return Shower(call.service, call.base).standard_created(accept(call, wish))


def _told(prompt: str, settings: Settings) -> tuple[str, tuple[Line, ...], float | None]:
    """First prompt, later ones and length: several shots where the prompt is written as such."""
    shots = shots_in(prompt) if settings.multi_shot else []
    return told_in_order(shots, settings.duration) if shots else (prompt, (), settings.duration)


def _sorted(call: Call, body: Body, types: tuple[str, ...]) -> Brought:
    brought = Brought()
    for place, item in enumerate(body.contents):
        if item.type not in types:
            raise _unknown(item, types, place)
        if item.type != "prompt":
            _add(call, brought, item, f"contents[{place}]")
    if len({frame.at for frame in brought.frames}) < len(brought.frames):
        raise Invalid("A film has one first_frame and one last_frame; leave the others out.", field="contents")
    if any(frame.at is None for frame in brought.frames) and len(brought.frames) < 2:
        raise Invalid("A last_frame needs a first_frame; add one.", field="contents")
    if len(brought.films) > 1:
        raise Invalid("A film is made of one base_video; leave the others out.", field="contents")
    return brought


def _add(call: Call, brought: Brought, item: Content, field: str) -> None:
    if item.type == "element":
        if item.element_id is None:
            raise Malformed(f"{field}.element_id is missing; add it.", field=f"{field}.element_id")
        brought.elements.append(ElementItem(element_id=item.element_id, id=item.id))
        return
    if item.url is None:
        raise Malformed(f"{field}.url is missing; add it.", field=f"{field}.url")
    if item.type == "base_video":
        brought.films.append(item)
        brought.shown.append(item.id or "video_1")
        return
    still = picture(call, item.url, f"{field}.url")
    if item.type in FRAMES:
        brought.frames.append(Keyframe(still=still, at=FRAMES[item.type]))
        brought.shown.append(item.id or item.type)
    else:
        brought.pictures.append((item.id or f"image_{len(brought.pictures) + 1}", still))


def _unknown(item: Content, types: tuple[str, ...], place: int) -> Invalid:
    """A type that this path does not take, or that no model here can follow."""
    why = {
        "feature_video": "no model here takes motion or style from a film",
        "voice": "the films of this service are silent",
        "middle_frame": "pictures in between have no time of their own here; the native API takes them",
    }.get(item.type, f"this path takes {', '.join(types)}")
    return Invalid(f"contents[{place}] is a {item.type!r}: {why}. Leave it out.", field=f"contents[{place}].type")
