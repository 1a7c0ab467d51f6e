"""`/videos/characters`: somebody to appear in videos, made of a film. Kept as an element, whose picture is the film's
middle frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from kinora.core.composition import mentions
from kinora.core.conditions import Reference
from kinora.service.accounts import Caller
from kinora.service.api.auth import Serving, Signed
from kinora.service.api.openai.forms import Asked, read_body
from kinora.service.api.openai.inputs import source_of
from kinora.service.errors import Invalid, Missing
from kinora.service.materials import still_of
from kinora.service.service import Service
from kinora.service.sheets import frame_of

if TYPE_CHECKING:
    from kinora.service.elements import Element

__all__ = ["add_routes", "references_of"]

PREFIX = "char_"
PICTURE = "picture"
"""Where an element that was made here keeps the digest of its picture."""
DESCRIPTION = "A character made from a film."
MOST_ID = 2**53
NAME = re.compile(r"\w[\w-]*")


def add_routes(router: APIRouter) -> None:
    router.add_api_route("/videos/characters", create, methods=["POST"])
    router.add_api_route("/videos/characters/{character}", retrieve, methods=["GET"])


async def create(request: Request, service: Serving, caller: Signed) -> dict[str, Any]:
    async with read_body(request) as asked:
        return await run_in_threadpool(_create, service, caller, asked)


def retrieve(character: str, service: Serving, caller: Signed) -> dict[str, Any]:
    return _shown(_element(service, caller, character))


def references_of(service: Service, caller: Caller, asked: Asked, prompt: str) -> Iterator[Reference]:
    """The characters of a create: `characters`, a list of ids or of objects with an id. The prompt may call one by
    `@name`. Raises `Invalid`.
    """
    listed = asked.get("characters") or []
    if not isinstance(listed, list):
        raise Invalid("characters must be a list of ids.", field="characters")
    for item in listed:
        said = item.get("id") if isinstance(item, dict) else item
        try:
            element = _element(service, caller, str(said))
            still = still_of(service.assets.get(caller.account.id, _picture_of(element)))
        except Missing as error:
            raise Invalid(error.message, field="characters") from error
        called = NAME.fullmatch(element.name) and any(mentions(prompt, (element.name,)))
        yield Reference(still=still, name=element.name if called else "")


def _create(service: Service, caller: Caller, asked: Asked) -> dict[str, Any]:
    name = asked.text("name").strip()
    film = source_of(service, caller, asked).asset
    path, picture = asked.folder / "film.mp4", asked.folder / "picture.png"
    service.assets.fetch(film.digest, path)
    Image.fromarray(frame_of(path, film.frames // 2)).save(picture, format="PNG")
    # What a stranger's film shows may be a real person: `ours` only where the film is.
    still = service.assets.store(
        caller.account.id, picture, "image/png", origin="upload", name=f"{name}.png", ours=film.ours, **_size(picture)
    )
    element = service.elements.create(
        caller.account.id, name=name, description=DESCRIPTION, film=film.digest, wire={PICTURE: still.digest}
    )
    return _shown(element)


def _size(picture: Path) -> dict[str, int]:
    with Image.open(picture) as image:
        return {"width": image.width, "height": image.height}


def _picture_of(element: Element) -> str:
    return str(element.frontal or element.wire.get(PICTURE, ""))


def _element(service: Service, caller: Caller, said: str) -> Element:
    number = said.removeprefix(PREFIX)
    if not (number.isascii() and number.isdigit() and len(number) <= 16 and int(number) < MOST_ID):
        raise Missing(f"There is no character {said[:40]!r}; ids begin with {PREFIX} and a number.")
    try:
        return service.elements.get(caller.account.id, int(number))
    except Missing:
        raise Missing(f"There is no character {said[:40]!r}.") from None


def _shown(element: Element) -> dict[str, Any]:
    return {
        "id": f"{PREFIX}{element.id}", "object": "character", "name": element.name,
        "created_at": element.created_at // 1000,
    }  # fmt: skip
