"""text2video and image2video."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field

from kinora.core.conditions import Condition, Keyframe
from kinora.core.request import Line
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.figures import ElementItem, figures_of
from kinora.service.api.kling.intake import picture
from kinora.service.api.kling.lenient import Number, Text, Wire
from kinora.service.api.kling.motion import CameraControl, DynamicMask, brush_of, moves_of
from kinora.service.api.kling.shots import Shot, told_in_order
from kinora.service.api.kling.showing import Shower
from kinora.service.api.kling.wishes import Options, Wish, accept
from kinora.service.api.kling.wording import pointed
from kinora.service.errors import Invalid

__all__ = ["FilmBody", "Told", "VoiceItem", "accepted", "image2video", "refuse_voices", "text2video", "told_in"]

SOUNDS = ("on", "off")
SHOT_TYPES = ("customize", "intelligence")


class ShotItem(Wire):
    """One of several shots."""

    index: int | None = None
    prompt: Text
    duration: Number


class VoiceItem(Wire):
    """A voice that a film would speak with."""

    voice_id: Text


class FilmBody(Options):
    """What every film of the legacy family may be asked with."""

    model_name: Text = ""
    prompt: Text = ""
    negative_prompt: Text = ""
    multi_shot: bool = False
    shot_type: Text | None = None
    multi_prompt: tuple[ShotItem, ...] = ()
    voice_list: tuple[VoiceItem, ...] = ()
    sound: Text = "off"
    cfg_scale: Annotated[Number, Field(ge=0, le=1)] = 0.5
    mode: Text | None = None
    duration: Number | None = None


class Text2Video(FilmBody):
    """`POST /v1/videos/text2video`."""

    camera_control: CameraControl | None = None
    aspect_ratio: Text | None = None


class Image2Video(FilmBody):
    """`POST /v1/videos/image2video`."""

    image: Text | None = None
    image_tail: Text | None = None
    camera_control: CameraControl | None = None
    static_mask: Text | None = None
    dynamic_masks: Annotated[tuple[DynamicMask, ...], Field(max_length=6)] = ()
    element_list: Annotated[tuple[ElementItem, ...], Field(max_length=3)] = ()


class Told(NamedTuple):
    """What a body tells of a film."""

    prompt: str
    script: tuple[Line, ...]
    """Later prompts."""
    seconds: float | None


def text2video(call: Call) -> dict[str, Any]:
    """A film from words."""
    body = call.read(Text2Video)
    told = told_in(body)
    if not told.prompt:
        raise Malformed("prompt is missing; write what the film shows.", field="prompt")
    moves = None if body.camera_control is None else moves_of(body.camera_control)
    wish = Wish(
        kind="text_to_video", options=body, prompt=pointed(told.prompt, ()), negative=body.negative_prompt,
        model=body.model_name, mode=body.mode, aspect=body.aspect_ratio, seconds=told.seconds,
        conditions=() if moves is None else (moves,), script=_pointed_lines(told.script),
    )  # fmt: skip
    return accepted(call, wish)


def image2video(call: Call) -> dict[str, Any]:
    """A film from a first picture, a last one, or both."""
    body = call.read(Image2Video)
    _check_groups(body)
    if body.image is None and body.image_tail is None:
        raise Malformed("image is missing; give image, image_tail, or both.", field="image")
    told = told_in(body)
    conditions = _conditions(call, body)
    figures, (prompt, *lines) = figures_of(
        call, body.element_list, (), [told.prompt, *(line.prompt for line in told.script)], shown=("image_1", "image_2")
    )
    script = tuple(Line(at=line.at, prompt=text) for line, text in zip(told.script, lines, strict=True))
    wish = Wish(
        kind="image_to_video", options=body, prompt=prompt, negative=body.negative_prompt, model=body.model_name,
        mode=body.mode, seconds=told.seconds, conditions=(*conditions, *figures), script=script,
    )  # fmt: skip
    return accepted(call, wish)


def accepted(call: Call, wish: Wish) -> dict[str, Any]:
    """The task that a wish became, as a legacy create shows it."""
    return Shower(call.service, call.base).created(accept(call, wish))


def told_in(body: FilmBody) -> Told:
    """Prompt, script and length. Raises `Invalid` for shots that do not fit together, and for a voice."""
    if body.sound.lower() not in SOUNDS:
        raise Invalid(f"sound is on or off, not {body.sound!r}.", field="sound")
    refuse_voices(body.voice_list)
    if body.shot_type is not None and body.shot_type not in SHOT_TYPES:
        raise Invalid(f"There is no shot_type {body.shot_type!r}; choose {' or '.join(SHOT_TYPES)}.", field="shot_type")
    if not body.multi_shot or body.shot_type == "intelligence" or not body.multi_prompt:
        if body.multi_shot and body.shot_type == "customize":
            raise Malformed("multi_prompt is missing; give the shots, or leave multi_shot out.", field="multi_prompt")
        return Told(body.prompt, (), body.duration)
    shots = [
        Shot(index=place if item.index is None else item.index, seconds=item.duration, words=item.prompt)
        for place, item in enumerate(body.multi_prompt, start=1)
    ]
    return Told(*told_in_order(shots, body.duration))


def refuse_voices(voices: tuple[VoiceItem, ...]) -> None:
    """Films here are silent: a voice that is asked for by its id is none that there is."""
    if voices:
        raise Invalid(
            f"Voice id not found: {voices[0].voice_id}; the films of this service are silent.", field="voice_list"
        )


def _pointed_lines(script: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(Line(at=line.at, prompt=pointed(line.prompt, ())) for line in script)


def _check_groups(body: Image2Video) -> None:
    """Three groups that Kling does not take together, and two that contradict each other."""
    masks = body.static_mask is not None or bool(body.dynamic_masks)
    groups = {"image_tail": body.image_tail is not None, "static_mask and dynamic_masks": masks}
    groups["camera_control"] = body.camera_control is not None
    given = [name for name, there in groups.items() if there]
    if len(given) > 1:
        raise Invalid(f"{' and '.join(given)} exclude each other; keep one of them.", field=given[1].split()[0])
    if masks and body.image is None:
        raise Malformed("image is missing; masks are painted on the first picture.", field="image")
    if body.element_list and body.voice_list:
        raise Invalid("element_list and voice_list exclude each other; keep one of them.", field="voice_list")


def _conditions(call: Call, body: Image2Video) -> list[Condition]:
    """First and last picture, and how things or the camera move."""
    found: list[Condition] = []
    if body.image is not None:
        first = picture(call, body.image, "image")
        found.append(Keyframe(still=first))
        if body.static_mask is not None or body.dynamic_masks:
            found.append(brush_of(call, body.static_mask, body.dynamic_masks, first))
    if body.image_tail is not None:
        found.append(Keyframe(still=picture(call, body.image_tail, "image_tail"), at=None))
    moves = None if body.camera_control is None else moves_of(body.camera_control)
    return found if moves is None else [*found, moves]
