"""docs/api-openai.md: its session runs as it is written, its tables name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[3] / "docs" / "api-openai.md"


def test_every_route_is_told_and_no_other():
    from fastapi import APIRouter

    from kinora.service.api.openai import characters, images, models, videos

    router = APIRouter()
    for part in (characters, videos, models, images):
        part.add_routes(router)
    there = {(method, route.path.replace(":path", "")) for route in router.routes for method in route.methods}
    told = set(re.findall(r"^\| `(GET|HEAD|POST|DELETE) (\S+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert told == there


def test_every_kind_of_error_is_told():
    from kinora.service.api.openai.shapes import CODES, TYPES
    from kinora.service.tasks import FAILURES

    text = DOCS.read_text(encoding="utf-8")
    for word in {*TYPES.values(), *CODES.values(), *FAILURES}:
        assert f"`{word}`" in text


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled to permanently shut down:DeprecationWarning")
def test_the_session_runs(busy, monkeypatch, tmp_path, capsys):
    (session,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{busy.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", busy.key(busy.account()))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(session, str(DOCS), "exec"), names)
    names["client"].close()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"video_\d+ 96x64 4", lines[0])
    assert lines[1].count("video_") == 4
    assert lines[2].startswith(f"{busy.url}/files/")
    assert lines[3] == "['stub']"
    with Image.open("ball-sheet.jpg") as sheet:
        assert sheet.size == (4 * 160, 107)
