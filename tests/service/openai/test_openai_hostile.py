"""Whatever comes in, the answer is OpenAI's error or OpenAI's object, never a fault of ours."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
LIKELY = st.sampled_from([
    "a ball", "1280x720", "16:9", "4", "sora-2", "stub", "video_1", "char_1", "file-" + "0" * 64,
    "data:image/png;base64,AAAA", {"id": "video_1"}, {"file_id": "0" * 64}, {"image_url": "http://127.0.0.1:9/a.png"},
    [{"id": "char_1"}], "\ud800", "\x00",
])  # fmt: skip
FIELDS = st.sampled_from([
    "prompt", "model", "seconds", "size", "input_reference", "video", "video_id", "mask", "seed", "negative_prompt",
    "quality", "n", "response_format", "characters", "name", "stream", "user",
])  # fmt: skip
ROUTES = st.sampled_from([
    "videos", "videos/edits", "videos/extensions", "videos/characters", "videos/video_1/remix", "images/generations",
])  # fmt: skip
MOST = int(os.environ.get("KINORA_TEST_EXAMPLES", "40"))
EXAMPLES = settings(
    max_examples=MOST, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def web(idle):
    # A plan without units: nothing is accepted, so that no picture is waited for.
    headers = {"Authorization": f"Bearer {idle.key(idle.account(plan='pro', units=0))}"}
    with httpx.Client(base_url=idle.url, headers=headers, timeout=30) as client:
        yield client


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@EXAMPLES
@given(route=ROUTES, fields=st.dictionaries(FIELDS, ANY | LIKELY, max_size=5))
def test_no_json_breaks_a_create(web, idle, route, fields):
    if route == "images/generations":
        fields["n"] = 0  # a real one would wait for a worker
    check(web.post(f"/openai/v1/{route}", content=json.dumps(fields), headers={"Content-Type": "application/json"}))


@EXAMPLES
@given(
    path=st.text(max_size=30),
    query=st.dictionaries(st.sampled_from(["after", "limit", "order", "variant"]), st.text(max_size=20)),
)
def test_no_path_or_query_breaks_a_read(web, path, query):
    quoted = f"/openai/v1/videos/{quote(path.encode(errors='replace'), safe='')}"
    for url in ("/openai/v1/videos", "/openai/v1/videos/video_1/content", quoted):
        check(web.get(url, params=query))


def test_paths_that_are_not_there_have_the_shape(web):
    for method, path in (
        ("PUT", "/openai/v1/videos"),
        ("GET", "/openai/v1/nothing"),
        ("PATCH", "/openai/v1/videos/video_1"),
    ):
        answer = web.request(method, path)
        assert answer.status_code in (404, 405)
        check(answer)
