"""From what OpenAI's format says to what the studio makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinora.core.conditions import Condition, Continue, Keyframe, Region
from kinora.core.materials import Material
from kinora.core.request import SEED_LIMIT, Request
from kinora.service.accounts import Caller
from kinora.service.api.openai.characters import references_of
from kinora.service.api.openai.forms import Asked
from kinora.service.api.openai.inputs import output_of, picture_of, source_of, video_task
from kinora.service.api.openai.shapes import video_id
from kinora.service.api.openai.sizes import exact, seconds_of, shape_of
from kinora.service.catalogue import Card
from kinora.service.creating import MOST_PICTURES, Wanted
from kinora.service.errors import Invalid, Missing, Unsupported
from kinora.service.materials import footage_of, mask_of, still_of

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["MOST_IMAGES", "edit_wish", "extension_wish", "film_wish", "image_wish", "remix_wish"]

FAMILY = "openai"
SECONDS = 4.0
SHAPE = (720, 1280)
"""OpenAI's defaults: a video of 4 seconds, upright."""
MOST_IMAGES = MOST_PICTURES
QUALITIES = {
    "low": "draft", "medium": "standard", "auto": "standard", "high": "pro", "hd": "pro", "xhigh": "pro", "max": "pro",
}  # fmt: skip
"""OpenAI's words for images, and what they come nearest to; ours are taken as they are."""
BETTER = "-pro"
"""How the name of a model ends that its clients ask for when they want quality."""


def film_wish(service: Service, caller: Caller, asked: Asked) -> Wanted:
    """A new video, from words or from a picture that it begins with."""
    card = service.catalogue.resolve(asked.text("model"))
    picture = picture_of(service, caller, asked, "input_reference")
    shape = shape_of(asked.get("size"))
    if shape is None:
        shape = SHAPE if picture is None else (picture.width, picture.height)
    prompt = _prompt(asked)
    conditions: list[Condition] = list(references_of(service, caller, asked, prompt))
    if picture is not None:
        conditions.append(Keyframe(still=still_of(picture), at=0.0))
    return Wanted(
        kind="text_to_video" if picture is None else "image_to_video",
        prompt=prompt,
        seconds=seconds_of(asked.get("seconds"), SECONDS, card.most_seconds),
        conditions=tuple(conditions),
        **_shaped(shape, card),
        **_common(asked, card),
    )


def remix_wish(service: Service, caller: Caller, said: str, asked: Asked) -> Wanted:
    """A finished video with another prompt: all else, the seed included, stays."""
    parent = video_task(service, caller, said)
    output = output_of(parent)
    prompt = _prompt(asked)
    request = _request_of(service, caller, asked, dict(parent.request), service.catalogue.card(parent.model))
    return Wanted(
        kind=parent.kind, prompt=prompt, negative=request.negative, model=parent.model, seconds=request.seconds,
        aspect=request.aspect, size=request.size, quality=request.quality, seed=request.seed,
        conditions=request.conditions, parent_id=output.id,
        wire={"family": FAMILY, "remixed_from": video_id(parent.id)},
    )  # fmt: skip


def extension_wish(service: Service, caller: Caller, asked: Asked) -> Wanted:
    """A video that goes on: `seconds` are those of the new part, the answer's those of the whole."""
    card = service.catalogue.resolve(asked.text("model"))
    prompt, source = _prompt(asked), source_of(service, caller, asked)
    seconds = seconds_of(asked.get("seconds"), SECONDS, card.most_seconds)
    going_on = Continue(footage=footage_of(source.asset, card.frame_rate), told=source.told)
    return Wanted(
        kind="extend",
        prompt=prompt,
        seconds=seconds,
        conditions=(going_on,),
        parent_id=None if source.output is None else source.output.id,
        **_shaped((source.asset.width, source.asset.height), card),
        **_common(asked, card),
    )


def edit_wish(service: Service, caller: Caller, asked: Asked) -> Wanted:
    """A part of a video made anew, inside a `mask`; raises `Unsupported` without one: a model that fills what is masked
    would make a whole picture anew without looking at it, which is no edit.
    """
    card = service.catalogue.resolve(asked.text("model"))
    prompt, source = _prompt(asked), source_of(service, caller, asked)
    mask = picture_of(service, caller, asked, "mask", want="mask")
    if mask is None:
        raise Unsupported(
            f"{card.name} edits inside a mask, and none was sent: add the field mask, a picture of "
            f"{source.asset.width} x {source.asset.height} that is white where the video is to be made anew. For the "
            "whole video with another prompt use remix.",
            field="mask",
        )
    footage = footage_of(source.asset, card.frame_rate)
    region = Region(footage=footage, mask=mask_of(service.assets, mask, "mask"))
    return Wanted(
        kind="edit",
        prompt=prompt,
        seconds=footage.clip.seconds,
        conditions=(region,),
        parent_id=None if source.output is None else source.output.id,
        **_shaped((source.asset.width, source.asset.height), card),
        **_common(asked, card),
    )


def image_wish(service: Service, asked: Asked) -> Wanted:
    """Pictures from words."""
    name = asked.text("model")
    card = service.catalogue.resolve("" if name.startswith("chatgpt-image") else name)
    shape = shape_of(asked.get("size")) or (1, 1)
    count = asked.number("n", 1, 1, MOST_IMAGES)
    return Wanted(
        kind="text_to_image", prompt=_prompt(asked), count=count, **_shaped(shape, card), **_common(asked, card)
    )


def _prompt(asked: Asked) -> str:
    prompt = asked.text("prompt")
    if not prompt.strip():
        raise Invalid("prompt is missing; write what is to be seen.", field="prompt")
    return prompt


def _shaped(shape: tuple[int, int], card: Card) -> dict[str, Any]:
    """The very size where the model draws it, else its size of the nearest aspect."""
    return {"size": shape} if exact(shape, card) else {"aspect": f"{shape[0]}:{shape[1]}"}


def _common(asked: Asked, card: Card) -> dict[str, Any]:
    """Model and what Kinora takes beside OpenAI's fields: negative_prompt, seed, quality."""
    quality = asked.text("quality") or ("pro" if asked.text("model").endswith(BETTER) else "standard")
    quality = QUALITIES.get(quality, quality)
    if quality not in card.qualities:
        if quality not in ("draft", "standard", "pro"):
            told = ", ".join(card.qualities)
            raise Invalid(f"There is no quality {quality[:40]!r}; choose one of {told}.", field="quality")
        quality = card.qualities[-1] if quality == "pro" else card.qualities[0]
    seed = asked.number("seed", 0, 0, SEED_LIMIT - 1) if asked.get("seed") is not None else None
    return {
        "model": card.name,
        "negative": asked.text("negative_prompt"),
        "quality": quality,
        "seed": seed,
        "wire": {"family": FAMILY, "model": asked.text("model"), "size": str(asked.get("size") or "")[:20]},
    }


def _request_of(service: Service, caller: Caller, asked: Asked, record: dict[str, Any], card: Card) -> Request:
    """A task's request again, its materials as blank as when it was accepted."""

    def find(kind: str, name: str, digest: str) -> Material:
        try:
            asset = service.assets.get(caller.account.id, digest)
        except Missing:
            raise Missing(f"The video was made with {name}, which is no longer kept; send it again.") from None
        if kind == "footage":
            return footage_of(asset, card.frame_rate)
        if kind == "voice":
            raise Unsupported("A video that was made to speak cannot be remixed; send its track again.")
        return mask_of(service.assets, asset, "mask") if kind == "mask" else still_of(asset)

    return Request.from_record(record, find)
