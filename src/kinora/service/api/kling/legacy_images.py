"""images/generations and omni-image: pictures from words, and with what other pictures show."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.figures import ElementItem, figures_of
from kinora.service.api.kling.intake import picture
from kinora.service.api.kling.legacy_films import accepted
from kinora.service.api.kling.lenient import Number, Text, Wire
from kinora.service.api.kling.wishes import Options, Wish
from kinora.service.errors import Invalid

__all__ = ["generations", "multi_image2image", "omni_image"]

MOST_PICTURES = 9
MOST_REFERENCES = 7
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=MOST_PICTURES)]


class PictureItem(Wire):
    """A reference."""

    image: Text


class SubjectItem(Wire):
    """A subject of multi-image2image."""

    subject_image: Text


class ImageBody(Options):
    """What every picture may be asked with."""

    model_name: Text = ""
    prompt: Text
    resolution: Text | None = None
    aspect_ratio: Text | None = None
    n: Count = 1
    element_list: Annotated[tuple[ElementItem, ...], Field(max_length=MOST_REFERENCES)] = ()


class Generations(ImageBody):
    """`POST /v1/images/generations`."""

    negative_prompt: Text = ""
    image: Text | None = None
    image_reference: Text | None = None
    image_fidelity: Share = 0.5
    human_fidelity: Share = 0.45


class OmniImage(ImageBody):
    """`POST /v1/images/omni-image`."""

    image_list: Annotated[tuple[PictureItem, ...], Field(max_length=MOST_REFERENCES)] = ()
    result_type: Text = "single"


class MultiImage(ImageBody):
    """`POST /v1/images/multi-image2image`."""

    subject_image_list: Annotated[tuple[SubjectItem, ...], Field(max_length=4)] = ()
    scene_image: Text | None = None
    style_image: Text | None = None


def generations(call: Call) -> dict[str, Any]:
    """1 to 9 pictures from words, and a reference if there is one."""
    body = call.read(Generations)
    if body.image is not None and body.negative_prompt:
        raise Invalid("negative_prompt and image exclude each other; leave one out.", field="negative_prompt")
    return _drawn(call, body, [] if body.image is None else [body.image], "image", negative=body.negative_prompt)


def omni_image(call: Call) -> dict[str, Any]:
    """Pictures with what other pictures show."""
    body = call.read(OmniImage)
    if body.result_type != "single":
        raise Invalid(f"result_type {body.result_type!r} cannot be made here; ask for single.", field="result_type")
    return _drawn(call, body, [item.image for item in body.image_list], "image_list")


def multi_image2image(call: Call) -> dict[str, Any]:
    """Pictures with up to four subjects."""
    body = call.read(MultiImage)
    if not body.subject_image_list:
        raise Malformed("subject_image_list is missing; give 1 to 4 subjects.", field="subject_image_list")
    for field in ("scene_image", "style_image"):
        if getattr(body, field) is not None:
            raise Invalid(
                f"No model here takes a {field}; leave it out, or say in the prompt what it shows.", field=field
            )
    return _drawn(call, body, [item.subject_image for item in body.subject_image_list], "subject_image_list")


def _drawn(call: Call, body: ImageBody, brought: list[str], field: str, *, negative: str = "") -> dict[str, Any]:
    pictures = [(f"image_{place}", picture(call, told, field)) for place, told in enumerate(brought, start=1)]
    figures, (prompt, *_) = figures_of(call, body.element_list, pictures, [body.prompt])
    wish = Wish(
        kind="text_to_image", options=body, prompt=prompt, negative=negative, model=body.model_name,
        mode=body.resolution, aspect=body.aspect_ratio, count=body.n, conditions=figures,
    )  # fmt: skip
    return accepted(call, wish)
