"""What OpenAI's format says, read: whose a request is, sizes, lengths, bodies."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from kinora.service.api.openai.forms import Asked, read_body
from kinora.service.api.openai.shapes import error_body, task_id_of, video_id
from kinora.service.api.openai.sizes import exact, length_of, seconds_of, shape_of
from kinora.service.api.openai.whose import KLING_FIELDS, is_jwt, is_kling
from kinora.service.catalogue import Catalogue
from kinora.service.errors import (
    Clash,
    Forbidden,
    Invalid,
    Missing,
    OutOfUnits,
    Refused,
    ServiceError,
    Suspended,
    TooManyRequests,
    TooManyTasks,
    Unauthenticated,
    Unavailable,
    Unsupported,
)  # fmt: skip


def _jwt(header: object) -> str:
    return f"{base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.e30.c2ln"


def test_a_token_of_three_parts_with_an_algorithm_is_klings():
    assert is_jwt(_jwt({"alg": "HS256", "typ": "JWT"}))
    for token in ("", "sk-abc", "a.b.c", "a.b", _jwt({"typ": "JWT"}), _jwt(["alg"]), "....", _jwt({"alg": 1})[:-5],
                  "é.é.é", "A" * 5000 + ".b.c"):  # fmt: skip
        assert not is_jwt(token)
    assert is_kling({"authorization": f"Bearer {_jwt({'alg': 'HS256'})}"}, {"prompt": "x", "size": "1x1"})
    assert is_kling({"authorization": f"bearer  {_jwt({'alg': 'HS256'})} "}, None)


@pytest.mark.parametrize("field", sorted(KLING_FIELDS))
def test_a_field_that_only_kling_has_is_klings(field):
    assert is_kling({"authorization": "Bearer key"}, {"prompt": "x", field: "y"})


@pytest.mark.parametrize(
    "body",
    [{"prompt": "x"}, {"model": "dall-e-3", "prompt": "x", "n": 2, "size": "1024x1024"}, {"prompt": "x", "user": "u"},
     {"prompt": "x", "response_format": "url", "quality": "hd", "style": "vivid", "background": "auto"},
     {"prompt": "x", "stream": False, "output_format": "png", "output_compression": 1, "moderation": "low"},
     None, [], "text", {}],
)  # fmt: skip
def test_all_else_is_openais(body):
    assert not is_kling({"authorization": "Bearer sk-x"}, body)
    assert not is_kling({}, body)


@pytest.mark.parametrize(
    ("said", "shape"),
    [("1280x720", (1280, 720)), (" 720 X 1280 ", (720, 1280)), ("16:9", (16, 9)), ("1x1", (1, 1)), ("auto", None),
     ("", None), (None, None), ("832*480", (832, 480))],
)  # fmt: skip
def test_sizes_are_read(said, shape):
    assert shape_of(said) == shape


@pytest.mark.parametrize(
    "said", ["0x5", "5x0", "large", "1280", "-1x5", "1x2x3", "1.5x2", 5, ["1x1"], "123456x1", "٣x٣"]
)
def test_what_is_no_size_is_refused(said):
    with pytest.raises(Invalid, match="width x height") as refused:
        shape_of(said)
    assert refused.value.field == "size"


def test_lengths_are_cut_to_what_can_be_made():
    assert [seconds_of(said, 4.0, 10.0) for said in (None, "", "5", 5, "7.5", 12, "600", "0.001")] == [
        4.0, 4.0, 5.0, 5.0, 7.5, 10.0, 10.0, 0.25,
    ]  # fmt: skip
    for said in ("long", "-1", 0, "nan", "inf", True, [], {}, "1e999", 10**400):
        with pytest.raises(Invalid):
            seconds_of(said, 4.0, 10.0)


def test_lengths_are_told_whole_where_they_are():
    assert [length_of(one) for one in (4.0, 4.0625, 4.5, 4.333333, 0.25, 0.05, 12.94, 12.85)] == [
        "4", "4", "4.5", "4.33", "0.25", "0.05", "13", "12.85",
    ]  # fmt: skip


def test_only_a_model_that_draws_any_size_draws_this_one():
    assert not exact((96, 64), Catalogue(("stub",)).default)


def test_ids_go_both_ways():
    assert task_id_of(video_id(1882616688783278402)) == 1882616688783278402
    for said in ("1882616688783278402", "video_", "video_-1", "video_1.0", "video_" + "1" * 20, "video_１", "VIDEO_1"):
        with pytest.raises(Missing):
            task_id_of(said)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Unauthenticated("x"), "authentication_error", "invalid_api_key"),
        (Forbidden("x"), "permission_error", "forbidden"),
        (Suspended("x"), "permission_error", "suspended"),
        (Missing("x"), "invalid_request_error", "not_found"),
        (Invalid("x", field="size"), "invalid_request_error", "invalid"),
        (Unsupported("x"), "invalid_request_error", "unsupported"),
        (Refused("x"), "invalid_request_error", "refused"),
        (Clash("x"), "invalid_request_error", "conflict"),
        (OutOfUnits("x"), "insufficient_quota", "insufficient_quota"),
        (TooManyTasks("x"), "rate_limit_error", "rate_limit_exceeded"),
        (TooManyRequests("x"), "rate_limit_error", "rate_limit_exceeded"),
        (Unavailable("x"), "server_error", "unavailable"),
        (ServiceError("x"), "server_error", "internal"),
    ],
)
def test_every_error_has_openais_words(error, kind, code):
    told = error_body(error)["error"]
    assert (told["type"], told["code"], told["message"]) == (kind, code, "x")
    assert told["param"] == ("size" if getattr(error, "field", "") else None)


def _read(body: bytes, content_type: str) -> Asked:
    """The body as it is read, its files' contents in place of their paths."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def run() -> Asked:
        scope = {"type": "http", "app": None, "method": "POST", "headers": [(b"content-type", content_type.encode())]}
        async with read_body(Request(scope, receive)) as asked:
            folder = asked.folder
            contents = {name: sent.path.read_bytes() for name, sent in asked.files.items()}
            made = Asked(fields=asked.fields, files=asked.files, folder=Path("contents"))
            object.__setattr__(made, "contents", contents)
        assert not folder.exists()
        return made

    return asyncio.run(run())


def _form(parts: list[tuple[str, str | None, bytes]], boundary: str = "b0") -> tuple[bytes, str]:
    lines = []
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
        lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content)
    return b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def test_a_form_and_json_say_the_same():
    form = _read(*_form([
        ("prompt", None, "a cat, 一只猫".encode()), ("seconds", None, b"4"), ("video[id]", None, b"video_1"),
        ("characters[][id]", None, b"char_1"), ("characters[][id]", None, b"char_2"),
    ]))  # fmt: skip
    said = {
        "prompt": "a cat, 一只猫", "seconds": "4", "video": {"id": "video_1"},
        "characters": [{"id": "char_1"}, {"id": "char_2"}],
    }  # fmt: skip
    assert form.fields == said
    assert _read(json.dumps(said).encode(), "application/json").fields == said
    assert form.mark("videos") == _read(json.dumps(said).encode(), "application/json").mark("videos")
    assert _read(b"prompt=a+cat", "application/x-www-form-urlencoded").fields == {"prompt": "a cat"}


def test_the_mark_is_of_the_content_not_of_the_boundary():
    content = random.Random(1).randbytes(3_000_000)
    parts = [("prompt", None, b"a"), ("input_reference", "a.png", content)]
    one, other = (
        _read(*_form(parts, "b0")),
        _read(*_form(parts, "".join(random.Random(2).choices(string.hexdigits, k=30)))),
    )
    assert one.contents["input_reference"] == content
    assert one.mark("videos") == other.mark("videos") != one.mark("videos/edits")
    assert one.mark("videos") != _read(*_form([parts[0], ("input_reference", "a.png", content[:-1])])).mark("videos")


def test_a_files_name_is_only_a_label():
    for said, name in (
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.png", "a.png"),
        ("", "upload"),
        ("x" * 900, "x" * 200),
    ):
        assert _read(*_form([("video", said, b"1")])).files["video"].name == name


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"), (b"[]", "application/json"), (b"{", "application/json"),
        (b"\xff", "application/json"), (b"[" * 100_000, "application/json"), (b"null", ""),
        (b"x", "multipart/form-data"),
        (b"no boundary here", "multipart/form-data; boundary=b0"),
        (_form([("f", "a", b"1")] * 9)[0], "multipart/form-data; boundary=b0"),
        (_form([("f", None, b"1")] * 201)[0], "multipart/form-data; boundary=b0"),
    ],
)  # fmt: skip
def test_what_is_no_body_is_refused(body, content_type):
    with pytest.raises(Invalid):
        _read(body, content_type)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_form_breaks_it(body):
    try:
        _read(b"--b0\r\n" + body + b"\r\n--b0--\r\n", "multipart/form-data; boundary=b0")
    except Invalid:
        return
