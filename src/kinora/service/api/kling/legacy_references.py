"""multi-image2video and omni-video: films of what pictures show, and films made anew in part."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from kinora.core.conditions import Condition, Keyframe, Region
from kinora.core.materials import Still
from kinora.core.request import Line
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.figures import ElementItem, figures_of
from kinora.service.api.kling.intake import film, mask_file, picture
from kinora.service.api.kling.legacy_films import FilmBody, accepted, told_in
from kinora.service.api.kling.lenient import Text, Wire
from kinora.service.api.kling.wishes import Wish
from kinora.service.errors import Invalid

__all__ = ["multi_image2video", "omni_video", "region_of"]

MOST_PICTURES = 7
"""Pictures and elements of one film."""
FRAMES = {"first_frame": 0.0, "end_frame": None}


class PictureItem(Wire):
    """A picture to take people and things from; some clients send it alone."""

    image: Text

    @model_validator(mode="before")
    @classmethod
    def _named(cls, sent: Any) -> Any:
        return {"image": sent} if isinstance(sent, str) else sent


class MultiImage(FilmBody):
    """`POST /v1/videos/multi-image2video`."""

    image_list: Annotated[tuple[PictureItem, ...], Field(max_length=MOST_PICTURES)] = ()
    aspect_ratio: Text | None = None


class OmniPicture(Wire):
    """A picture as a reference, or as the film's first or last."""

    image_url: Text
    type: Text | None = None


class OmniFilm(Wire):
    """A film to work on. `mask`, a picture that is white where the film is made anew, is ours."""

    video_url: Text
    refer_type: Text = "base"
    keep_original_sound: Text | None = None
    mask: Text | None = None


class Omni(FilmBody):
    """`POST /v1/videos/omni-video`."""

    image_list: tuple[OmniPicture, ...] = ()
    element_list: tuple[ElementItem, ...] = ()
    video_list: Annotated[tuple[OmniFilm, ...], Field(max_length=1)] = ()
    mode: Text | None = "pro"
    aspect_ratio: Text | None = None


def multi_image2video(call: Call) -> dict[str, Any]:
    """A film with what up to four pictures show."""
    body = call.read(MultiImage)
    if not body.image_list or not body.prompt:
        missing = "prompt" if body.image_list else "image_list"
        raise Malformed(f"{missing} is missing; give pictures and a prompt.", field=missing)
    pictures = [
        (f"image_{place}", picture(call, item.image, f"image_list[{place - 1}]"))
        for place, item in enumerate(body.image_list, start=1)
    ]
    figures, (prompt, *_) = figures_of(call, (), pictures, [body.prompt])
    wish = Wish(
        kind="image_to_video", options=body, prompt=prompt, negative=body.negative_prompt, model=body.model_name,
        mode=body.mode, aspect=body.aspect_ratio, seconds=body.duration, conditions=figures,
    )  # fmt: skip
    return accepted(call, wish)


def omni_video(call: Call) -> dict[str, Any]:
    """A film from first and last pictures, references and elements, or a film of which a part is made anew."""
    body = call.read(Omni)
    told = told_in(body)
    if not told.prompt:
        raise Malformed("prompt is missing; write what the film shows.", field="prompt")
    if len(body.image_list) + len(body.element_list) > MOST_PICTURES:
        raise Invalid(
            f"At most {MOST_PICTURES} pictures and elements are looked at; leave some out.", field="image_list"
        )
    frames, pictures, shown = _pictures(call, body)
    prompts = [told.prompt, *(line.prompt for line in told.script)]
    films = ("video_1",) if body.video_list else ()
    figures, (prompt, *lines) = figures_of(call, body.element_list, pictures, prompts, shown=(*shown, *films))
    script = tuple(Line(at=line.at, prompt=text) for line, text in zip(told.script, lines, strict=True))
    conditions: tuple[Condition, ...] = (*frames, *figures)
    kind, seconds = ("image_to_video" if conditions else "text_to_video"), told.seconds
    if body.video_list:
        region = _base(call, body)
        kind, seconds, conditions = "edit", region.footage.clip.seconds, (*conditions, region)
    wish = Wish(
        kind=kind, options=body, prompt=prompt, negative=body.negative_prompt, model=body.model_name, mode=body.mode,
        aspect=body.aspect_ratio, seconds=seconds, conditions=conditions, script=script,
    )  # fmt: skip
    return accepted(call, wish)


def region_of(call: Call, url: str, mask: str | None, model: str, field: str) -> Region:
    """A film of which the white of a mask is made anew. Raises `Invalid` without a mask: no model here finds for itself
    what words mean in a film.
    """
    if mask is None:
        raise Invalid(
            f"{field} would be changed by words alone, and no model here does that. Add `mask`, a picture of the "
            "film's size that is white where it is made anew, or leave the film out.",
            field=field,
        )
    footage = film(call, url, field, call.service.catalogue.resolve(model).frame_rate)
    shape = footage.clip.shape
    return Region(footage=footage, mask=mask_file(call, mask, f"{field}.mask", (shape.width, shape.height)))


def _base(call: Call, body: Omni) -> Region:
    item = body.video_list[0]
    if item.refer_type != "base":
        raise Invalid(
            f"video_list[0] is a {item.refer_type} video, and no model here takes motion or style from a "
            "film; leave it out.",
            field="video_list[0].refer_type",
        )
    return region_of(call, item.video_url, item.mask, body.model_name, "video_list[0]")


def _pictures(call: Call, body: Omni) -> tuple[list[Keyframe], list[tuple[str, Still]], list[str]]:
    """Frames, references by name, and the names of frames."""
    frames: list[Keyframe] = []
    references: list[tuple[str, Still]] = []
    shown: list[str] = []
    for place, item in enumerate(body.image_list, start=1):
        still = picture(call, item.image_url, f"image_list[{place - 1}]")
        if item.type is None:
            references.append((f"image_{place}", still))
            continue
        if item.type not in FRAMES:
            raise Invalid(
                f"There is no picture of type {item.type!r}; choose {' or '.join(FRAMES)}, or leave it out.",
                field=f"image_list[{place - 1}].type",
            )
        frames.append(Keyframe(still=still, at=FRAMES[item.type]))
        shown.append(f"image_{place}")
    if len({frame.at for frame in frames}) < len(frames):
        raise Invalid("A film has one first frame and one end frame; leave the others out.", field="image_list")
    if any(frame.at is None for frame in frames) and len(frames) < 2:
        raise Invalid("An end frame needs a first frame; add one of type first_frame.", field="image_list")
    return frames, references, shown
