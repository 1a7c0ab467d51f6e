"""Files of the account: brought, listed, linked to, deleted."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path as File
from typing import Annotated, Literal

from fastapi import File as FilePart
from fastapi import Path, Query, Request, UploadFile
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from kinora.service.accounts import Caller
from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Digest, DigestPath, Done, Limit, Shape, base_of
from kinora.service.assets import Asset
from kinora.service.errors import Invalid
from kinora.service.service import Service

__all__ = ["AssetAnswer", "router"]

PIECE = 2**20
"""Bytes that are written at a time."""
Purpose = Literal["any", "image", "mask", "video", "audio", "speech"]
WANTED: dict[Purpose, tuple[str, ...]] = {"any": ("image", "video", "audio")}

router = native_router("assets")

PurposeQuery = Annotated[
    Purpose,
    Query(description="What it is for: a mask keeps a picture's opacity, speech is a speech track in JSON."),
]


class AssetAnswer(Shape):
    """A file of the account. What is uploaded is made plain first, so that the digest is that of what is kept."""

    digest: Digest = Field(description="The sha256 of the file: the asset's name wherever one is asked for.")
    kind: Literal["image", "video", "audio", "file"] = Field(description="What it is.")
    origin: Literal["upload", "url", "output", "work"] = Field(description="Where it comes from.")
    name: str = Field(description="What it is called when it is shown or saved.")
    media_type: str = Field(description="Such as image/png or video/mp4.")
    bytes: int = Field(description="Size of the file.")
    width: int = Field(description="Pixels across; 0 for sound.")
    height: int = Field(description="Pixels down; 0 for sound.")
    frames: int = Field(description="Pictures of a film.")
    frame_rate: float = Field(description="Pictures a second.")
    ours: bool = Field(description="Whether Kinora made it, so that it shows no real person.")
    created_at: int = Field(description="Milliseconds since 1970.")
    expires_at: int | None = Field(description="When it is deleted: milliseconds since 1970; null for never.")
    url: str = Field(description="A signed link to the file; it ends, ask again for a fresh one.")


class AssetPage(Shape):
    """Files, the newest first."""

    assets: list[AssetAnswer] = Field(description="The files.")
    next: int | None = Field(description="Ask with `offset` set to this for more; null when there are none.")


class Link(Shape):
    """A way to a file that needs no key."""

    url: str = Field(description="The link: whoever has it may open it while it lasts.")
    seconds: int = Field(description="How long it lasts.")


@router.post("/uploads", operation_id="upload", status_code=201)
def upload(
    request: Request,
    service: Serving,
    caller: Signed,
    file: Annotated[UploadFile, FilePart(description="A picture, a film or a sound.")],
    purpose: PurposeQuery = "any",
) -> AssetAnswer:
    """Bring a file as a form."""
    with tempfile.TemporaryDirectory(prefix="kinora-upload-") as folder:
        path = File(folder, "file")
        with path.open("wb") as target:
            shutil.copyfileobj(file.file, target, PIECE)
        return _take(service, caller, path, file.filename or "", purpose, base_of(request))


@router.put(
    "/uploads/{name}",
    operation_id="upload_raw",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file's bytes.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload_raw(
    request: Request,
    service: Serving,
    caller: Signed,
    name: Annotated[str, Path(min_length=1, max_length=255, description="What it is to be called.")],
    purpose: PurposeQuery = "any",
) -> AssetAnswer:
    """Bring a file as it is."""
    with tempfile.TemporaryDirectory(prefix="kinora-upload-") as folder:
        path = File(folder, "file")
        await _receive(request.stream(), path)
        return await run_in_threadpool(_take, service, caller, path, name, purpose, base_of(request))


@router.get("/assets", operation_id="list_assets")
def list_assets(
    request: Request,
    service: Serving,
    caller: Signed,
    kind: Annotated[
        list[Literal["image", "video", "audio", "file"]] | None, Query(description="Of these kinds alone.")
    ] = None,
    origin: Annotated[
        list[Literal["upload", "url", "output", "work"]] | None, Query(description="Of these origins alone.")
    ] = None,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="How many to leave out: `next` of a page.")] = 0,
    limit: Limit = 30,
) -> AssetPage:
    """The account's files, the newest first."""
    found = service.assets.page(caller.account.id, kinds=kind or (), origins=origin or (), limit=limit, offset=offset)
    base = base_of(request)
    return AssetPage(
        assets=[_answer(service, asset, base) for asset in found],
        next=offset + limit if len(found) == limit else None,
    )


@router.get("/assets/{digest}", operation_id="get_asset")
def get_asset(request: Request, service: Serving, caller: Signed, digest: DigestPath) -> AssetAnswer:
    """One file of the account."""
    return _answer(service, service.assets.get(caller.account.id, digest), base_of(request))


@router.post("/assets/{digest}/link", operation_id="link_asset")
def link_asset(
    request: Request,
    service: Serving,
    caller: Signed,
    digest: DigestPath,
    seconds: Annotated[int, Query(ge=1, le=604_800, description="How long the link is to last.")] = 86_400,
) -> Link:
    """A link to a file, for somebody without a key."""
    asset = service.assets.get(caller.account.id, digest)
    path = service.assets.link(asset.account_id, digest, name=asset.name, seconds=seconds)
    return Link(url=base_of(request) + path, seconds=seconds)


@router.delete("/assets/{digest}", operation_id="delete_asset")
def delete_asset(service: Serving, caller: Signed, digest: DigestPath) -> Done:
    """Delete a file from the account; tasks that need it and have not begun will fail."""
    service.assets.delete(caller.account.id, digest)
    return Done()


def _take(service: Service, caller: Caller, path: File, name: str, purpose: Purpose, base: str) -> AssetAnswer:
    if not path.stat().st_size:
        raise Invalid("The file is empty; send its bytes.", field="file")
    asset = service.assets.take(caller.account.id, path, name, want=WANTED.get(purpose, (purpose,)))
    return _answer(service, asset, base)


async def _receive(chunks: AsyncIterator[bytes], path: File) -> None:
    """Write a body to a file; its size is looked after on the way in."""
    held = bytearray()
    with await asyncio.to_thread(path.open, "wb") as target:
        async for chunk in chunks:
            held += chunk
            if len(held) >= PIECE:
                await asyncio.to_thread(target.write, bytes(held))
                held.clear()
        await asyncio.to_thread(target.write, bytes(held))


def _answer(service: Service, asset: Asset, base: str) -> AssetAnswer:
    told = {name: getattr(asset, name) for name in AssetAnswer.model_fields if name != "url"}
    return AssetAnswer(**told, url=base + service.assets.link(asset.account_id, asset.digest, name=asset.name))
