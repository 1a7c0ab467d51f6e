"""The tools, named as in Kling's own MCP server. What they answer names files by links that end after some time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from kinora import __version__
from kinora.service.api.mcp.native import Native, Trouble
from kinora.service.api.mcp.strict import StrictServer

__all__ = ["server_for"]

INSTRUCTIONS = (
    "Makes films and pictures with a Kinora service. Creating answers at once with a generationId, unless you wait; "
    "ask query_tasks until its status is succeed or failed. The works' links end after a day: save the files."
)
Prompt = Annotated[str, Field(description="What is to be seen, Chinese or English.", min_length=1, pattern=r"\S")]
Model = Annotated[str, Field(description="A model that who_am_i lists; empty for the default.")]
Seconds = Annotated[float, Field(description="How long the film is to be.", gt=0, le=600)]
Aspect = Annotated[
    str | None, Field(description="Width to height, such as 16:9; the model's nearest is taken.", pattern=r"^\d+:\d+$")
]
Quality = Annotated[Literal["draft", "standard", "pro"], Field(description="How much work goes into it.")]
Negative = Annotated[str, Field(description="What should not be seen.")]
Seed = Annotated[int | None, Field(description="The same seed gives the same film; null for one by chance.", ge=0)]
Wait = Annotated[float, Field(description="Wait so many seconds for the result; 0 answers at once.", ge=0, le=600)]
Image = Annotated[str, Field(description="The first frame: an id that file_upload gave, or a path of this machine.")]
Tail = Annotated[str | None, Field(description="The last frame, likewise.")]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
MAKES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)

Answer = dict[str, Any]
T = TypeVar("T")


def server_for(native: Native) -> MCPServer:
    """The MCP server whose tools work on one account of one service."""

    @asynccontextmanager
    async def while_open(_: MCPServer) -> AsyncIterator[None]:
        async with native:
            yield

    server = StrictServer(
        "kinora", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING", lifespan=while_open
    )
    _add_makers(server, native)
    _add_readers(server, native)
    return server


def _add_makers(server: MCPServer, native: Native) -> None:
    @server.tool(description="A film from words.", annotations=MAKES)
    async def text_to_video(
        prompt: Prompt, model: Model = "", duration: Seconds = 5, aspect_ratio: Aspect = None,
        quality: Quality = "standard", negative_prompt: Negative = "", seed: Seed = None, wait_seconds: Wait = 0,
    ) -> Answer:  # fmt: skip
        wish = _wish("text_to_video", prompt, model, aspect_ratio, quality, negative_prompt, seed)
        return await _made(native, {**wish, "seconds": duration}, wait_seconds)

    @server.tool(description="A film that begins with a picture, and may end with another one.", annotations=MAKES)
    async def image_to_video(
        prompt: Prompt, image: Image, image_tail: Tail = None, model: Model = "", duration: Seconds = 5,
        aspect_ratio: Aspect = None, quality: Quality = "standard", negative_prompt: Negative = "", seed: Seed = None,
        wait_seconds: Wait = 0,
    ) -> Answer:  # fmt: skip
        wish = _wish("image_to_video", prompt, model, aspect_ratio, quality, negative_prompt, seed)
        wish |= {"seconds": duration, "image": await _told(native.asset(image))}
        if image_tail:
            wish["end_image"] = await _told(native.asset(image_tail))
        return await _made(native, wish, wait_seconds)

    @server.tool(description="Pictures from words.", annotations=MAKES)
    async def text_to_image(
        prompt: Prompt, model: Model = "",
        count: Annotated[int, Field(description="How many pictures.", ge=1, le=9)] = 1,
        aspect_ratio: Aspect = None, quality: Quality = "standard", negative_prompt: Negative = "", seed: Seed = None,
        wait_seconds: Wait = 0,
    ) -> Answer:  # fmt: skip
        wish = _wish("text_to_image", prompt, model, aspect_ratio, quality, negative_prompt, seed)
        return await _made(native, {**wish, "count": count}, wait_seconds)

    @server.tool(description="Bring a picture, film or sound of this machine to the service.", annotations=MAKES)
    async def file_upload(
        path: Annotated[str, Field(description="The file's path on this machine.", min_length=1)],
        purpose: Annotated[
            Literal["any", "image", "mask", "video", "audio"], Field(description="What it is for.")
        ] = "any",
    ) -> Answer:
        asset = await _told(native.upload(Path(path).expanduser(), purpose))
        return {
            "id": asset["digest"],
            **{key: asset[key] for key in ("kind", "name", "bytes", "width", "height", "url")},
        }


def _add_readers(server: MCPServer, native: Native) -> None:
    @server.tool(description="How generations stand, and what they made.", annotations=READS)
    async def query_tasks(
        generationId: Annotated[str, Field(description="Of one generation; empty for the newest ten.")] = "",
        wait_seconds: Wait = 0,
    ) -> Answer:
        if not generationId:
            return {"tasks": [_shown(task) for task in await _told(native.tasks(10))]}
        task = await _told(native.task(generationId))
        return _shown(await _told(native.finished(task, wait_seconds)))

    @server.tool(description="The account, and the models with what each can do.", annotations=READS)
    async def who_am_i() -> Answer:
        me, models = await _told(native.me()), await _told(native.models())
        return {"account": me["account"], "plan": me["plan"]["name"], "service": native.url, "models": models}

    @server.tool(description="The account's plan and its units.", annotations=READS)
    async def query_membership_and_credits() -> Answer:
        me = await _told(native.me())
        return {"membership": me["plan"], "credits": me["balance"]}


def _wish(
    kind: str, prompt: str, model: str, aspect: str | None, quality: str, negative: str, seed: int | None
) -> Answer:
    return {
        "kind": kind, "prompt": prompt, "model": model, "aspect": aspect, "quality": quality, "negative": negative,
        "seed": seed,
    }  # fmt: skip


async def _made(native: Native, wish: Answer, seconds: float) -> Answer:
    task = await _told(native.create(wish))
    return _shown(await _told(native.finished(task, seconds)))


def _shown(task: Answer) -> Answer:
    """A task as the tools tell it."""
    return {
        "generationId": task["id"],
        "status": task["state"],
        "kind": task["kind"],
        "prompt": task["prompt"],
        "progress": round(task["progress"] * 100),
        "position": task["position"],
        "secondsLeft": task["seconds_left"],
        "credits": task["units"] if task["charged"] is None else task["charged"],
        "error": task["error"],
        "works": [
            {
                "url": output["url"], "url_without_watermark": output["url"], "thumbnail": output["thumbnail_url"],
                "type": output["media_type"], "width": output["width"], "height": output["height"],
                "duration": output["seconds"],
            }
            for output in task["outputs"]
        ],
    }  # fmt: skip


async def _told(asked: Awaitable[T]) -> T:
    """What the service answers; its troubles are for the model to read."""
    try:
        return await asked
    except Trouble as trouble:
        raise ToolError(str(trouble)) from None
