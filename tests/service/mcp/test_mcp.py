"""The MCP server as a process of its own, asked by the SDK's own client, working with a service that runs."""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from PIL import Image

from kinora.service.api.mcp import Native
from kinora.service.api.mcp.native import Trouble

TOOLS = {
    "text_to_video", "image_to_video", "text_to_image", "query_tasks", "file_upload", "who_am_i",
    "query_membership_and_credits",
}  # fmt: skip
VERB = "import sys; from kinora.cli.main import main; sys.exit(main(['mcp']))"


@pytest.fixture(scope="module")
def account(busy):
    return busy.account(plan="pro", units=0)


def session(url: str, key: str, talk):
    """What `talk` says with a session of a new process gives."""

    async def run():
        server = StdioServerParameters(
            command=sys.executable,
            args=["-c", VERB],
            env={"KINORA_URL": url, "KINORA_KEY": key, "PYTHONWARNINGS": "error"},
        )
        async with stdio_client(server) as (read, write), ClientSession(read, write) as talking:
            await talking.initialize()
            return await talk(talking)

    return asyncio.run(run())


def test_an_agent_makes_and_finds_what_it_asked_for(busy, account, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a cat.png")

    async def talk(mcp: ClientSession):
        async def call(name: str, **arguments):
            answer = await mcp.call_tool(name, arguments)
            assert not answer.is_error, answer.content
            return answer.structured_content

        tools = (await mcp.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.description for tool in tools)
        assert all(entry.get("description") for tool in tools for entry in tool.input_schema["properties"].values()), (
            "each argument is described"
        )
        who = await call("who_am_i")
        assert (who["account"]["id"], who["plan"], who["models"][0]["name"]) == (str(account.id), "pro", "stub")
        before = (await call("query_membership_and_credits"))["credits"]["available"]

        film = await call(
            "text_to_video", prompt="a red ball", duration=3, aspect_ratio="16:9", seed=1, wait_seconds=60
        )
        assert (film["status"], film["progress"], film["error"]) == ("succeed", 100, None)
        (work,) = film["works"]
        assert (work["type"], work["width"], work["height"], work["duration"]) == ("video/mp4", 96, 64, 3.0)
        assert httpx.get(work["url"]).headers["content-type"] == "video/mp4"
        assert httpx.get(work["thumbnail"]).status_code == 200

        uploaded = await call("file_upload", path=str(tmp_path / "a cat.png"))
        assert (uploaded["kind"], uploaded["width"], uploaded["height"]) == ("image", 160, 90)
        ends = {"image": uploaded["id"], "image_tail": str(tmp_path / "a cat.png")}
        begun = await call("image_to_video", prompt="it purrs", duration=2, **ends)
        assert begun["status"] in ("submitted", "processing", "succeed")
        moved = await call("query_tasks", generationId=begun["generationId"], wait_seconds=60)
        assert moved["status"] == "succeed"
        task = busy.service.tasks.get(account.id, int(begun["generationId"]))
        assert [condition["kind"] for condition in task.request["conditions"]] == ["keyframe", "keyframe"]

        pictures = await call("text_to_image", prompt="a ball", count=2, wait_seconds=60)
        assert [work["type"] for work in pictures["works"]] == ["image/png"] * 2
        assert Image.open(io.BytesIO(httpx.get(pictures["works"][0]["url"]).content)).size == (64, 64)

        newest = [task["generationId"] for task in (await call("query_tasks"))["tasks"]]
        assert newest == [pictures["generationId"], begun["generationId"], film["generationId"]]
        after = (await call("query_membership_and_credits"))["credits"]
        assert after["held"] == 0
        assert before - after["available"] == sum(one["credits"] for one in (film, moved, pictures))
        await check_troubles(mcp, tmp_path)

    session(busy.url, busy.key(account), talk)


async def check_troubles(mcp: ClientSession, folder: Path) -> None:
    """What goes wrong is told to the agent, as a sentence."""

    async def refused(name: str, **arguments) -> str:
        answer = await mcp.call_tool(name, arguments)
        assert answer.is_error
        return answer.content[0].text

    (folder / "text.txt").write_text("no picture")
    assert "no model 'nothing'" in await refused("text_to_video", prompt="a ball", model="nothing")
    assert "123" in await refused("query_tasks", generationId="123")
    assert "cannot be read" in await refused("file_upload", path=str(folder / "missing.png"))
    assert await refused("file_upload", path=str(folder / "text.txt"))
    assert "aspect_ratio" in await refused("text_to_video", prompt="a ball", aspect_ratio="wide")
    assert await refused("no_such_tool")
    await check_arguments(mcp, refused)
    failed = await mcp.call_tool("text_to_video", {"prompt": 'a ball stub{"fault": "fail"}', "wait_seconds": 60})
    assert failed.structured_content["status"] == "failed"
    assert failed.structured_content["credits"] == 0


async def check_arguments(mcp: ClientSession, refused) -> None:
    """Arguments that no tool has, and values that cannot be, cost nothing and are told in words."""

    async def made() -> list[tuple[str, str, int]]:
        # Links are signed anew in every answer, so a task is known by what else it says.
        tasks = (await mcp.call_tool("query_tasks", {})).structured_content["tasks"]
        return [(task["generationId"], task["status"], task["credits"]) for task in tasks]

    before = await made()
    assert before
    unknown = await refused("text_to_video", prompt="a ball", seconds=2)
    assert unknown.startswith("text_to_video has no argument 'seconds'; it takes prompt, model, duration, ")
    assert unknown.endswith("Nothing was made.")
    assert "no argument 'task_id'; it takes generationId, wait_seconds." in await refused("query_tasks", task_id="1")
    assert "no argument 'x'; it takes none." in await refused("who_am_i", x=1)
    for empty in ("", " \n"):
        assert await refused("text_to_video", prompt=empty) == "prompt is empty; say something there."
    wrong = {
        "prompt is missing; add it.": {},
        "duration cannot be 0: it should be greater than 0.": {"prompt": "a ball", "duration": 0},
        "aspect_ratio cannot be 'wide': it must look like 16:9.": {"prompt": "a ball", "aspect_ratio": "wide"},
        "quality cannot be 'best': it should be 'draft', 'standard' or 'pro'.": {"prompt": "a", "quality": "best"},
    }
    for sentence, arguments in wrong.items():
        assert await refused("text_to_video", **arguments) == sentence
    assert await made() == before
    assert all(tool.input_schema["additionalProperties"] is False for tool in (await mcp.list_tools()).tools)


def test_a_wrong_key_and_a_service_that_is_not_there_are_told(busy):
    async def me(url: str) -> None:
        async with Native(url, "knr-wrong") as native:
            await native.me()

    with pytest.raises(Trouble, match="key"):
        asyncio.run(me(busy.url))
    with pytest.raises(Trouble, match="is the service running"):
        asyncio.run(me("http://127.0.0.1:9"))


def test_without_a_key_it_says_what_is_missing(monkeypatch):
    from kinora.cli import mcp
    from kinora.core.errors import InputError

    monkeypatch.delenv("KINORA_KEY", raising=False)
    with pytest.raises(InputError, match="KINORA_KEY"):
        mcp.run(argparse.Namespace(url=None))
    monkeypatch.setenv("KINORA_KEY", "k")
    with pytest.raises(InputError, match="http"):
        mcp.run(argparse.Namespace(url="ftp://x"))


def test_the_page_names_every_tool():
    page = Path(__file__).parents[3] / "docs" / "howto" / "mcp.md"
    assert set(re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)) == TOOLS
