"""Errors in each format's own shape, on its routes and near them; headers; sizes of bodies."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import sqlalchemy.exc
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kinora.core.errors import InputError, KinoraError, MemoryShortage
from kinora.service.api.native.route import NativeRoute
from kinora.service.api.routes import told
from kinora.service.errors import Invalid, Missing, ServiceError, Unavailable, Unsupported
from listening import listening

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_native(answer: httpx.Response) -> bool:
    return set(answer.json()) == {"error"} and set(answer.json()["error"]) == {"code", "message", "field", "request_id"}


def is_kling(answer: httpx.Response) -> bool:
    return set(answer.json()) == {"code", "message", "request_id"} and isinstance(answer.json()["code"], int)


def is_openai(answer: httpx.Response) -> bool:
    return set(answer.json()) == {"error"} and set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", is_native),
        ("/nothing/here", is_native),
        ("/api/nothing", is_native),
        ("/api", is_native),
        ("/kling/v1/nothing", is_kling),
        ("/proxy/kling/v1/nothing", is_kling),
        ("/openai/v1/nothing", is_openai),
    ],
)
def test_an_unknown_path_is_told_in_the_shape_of_its_format(
    tenant: httpx.Client, path: str, shape: Callable[[httpx.Response], bool]
) -> None:
    answer = tenant.get(path)
    assert answer.status_code == 404
    assert shape(answer), answer.text


def test_a_method_that_a_path_does_not_take(tenant: httpx.Client) -> None:
    answer = tenant.put("/api/tasks")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) & {"GET", "POST"}
    assert is_native(answer)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"{", None, "not JSON"),
        (b"", None, "missing"),
        (b"[]", None, "cannot be []"),
        (b'{"prompt": "a"}', "kind", "kind is missing"),
        (b'{"kind": "text_to_video", "prompt": "a", "sedd": 1}', "sedd", "no field sedd"),
        (b'{"kind": "film", "prompt": "a"}', "kind", "cannot be 'film'"),
        (b'{"kind": "text_to_video", "prompt": "a", "seconds": NaN}', "seconds", "finite"),
        (b'{"kind": "text_to_video", "prompt": "\\ud800"}', "prompt", "unicode"),
        (b'{"kind": "text_to_video", "prompt": "a", "\\ud800": 1}', None, "unicode"),
        (b'{"kind": "text_to_video", "prompt": "a", "camera": {"pan": 11}}', "camera.pan", "less than or equal to 10"),
        (b'{"kind": "text_to_video", "prompt": "a", "keyframes": [{"asset": 1}]}', "keyframes[0].asset", "string"),
        (b'{"kind": "image_to_video", "prompt": "a"}', None, "give one of them"),
        (b"[" * 100_000, None, "parsing"),
        (b'{"seed": ' + b"9" * 5000 + b"}", None, "parsing"),
    ],
)
def test_a_body_that_is_wrong_is_told_which_and_why(
    tenant: httpx.Client, body: bytes, field: str | None, words: str
) -> None:
    answer = tenant.post("/api/tasks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert is_native(answer)
    assert answer.json()["error"]["field"] == field
    assert words in answer.json()["error"]["message"]
    assert answer.json()["error"]["message"].endswith((".", "。"))


def test_a_secret_is_not_repeated(served: Any) -> None:
    answer = served.nobody().post("/api/session", json={"name": "x", "password": "hunter2" * 200})
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


def test_every_answer_has_an_id_and_security_headers(served: Any) -> None:
    nobody = served.nobody()
    ids = set()
    for path in ("/healthz", "/api/tasks", "/nothing", "/openai/v1/videos", "/kling/v1/videos/text2video"):
        answer = nobody.get(path, headers={"x-request-id": "mine"})
        ids.add(answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    assert len(ids) == 5
    assert all(UUID.fullmatch(one) for one in ids)
    assert nobody.get("/api/tasks").json()["error"]["request_id"] not in ids


@pytest.mark.parametrize(
    ("method", "path", "kind", "shape", "status"),
    [
        ("POST", "/api/tasks", "application/json", is_native, 413),
        # Kling's table of codes knows no 413.
        ("POST", "/kling/v1/videos/text2video", "application/json", is_kling, 400),
        ("POST", "/openai/v1/videos", "multipart/form-data; boundary=x", is_openai, 413),
        ("PUT", "/api/uploads/a.png", "image/png", is_native, 413),
    ],
)
def test_a_body_that_says_it_is_too_large_is_refused_at_once(
    served: Any, method: str, path: str, kind: str, shape: Callable[[httpx.Response], bool], status: int
) -> None:
    tenant = served.tenant()
    raw = http.client.HTTPConnection(tenant.base_url.host, tenant.base_url.port, timeout=10)
    raw.putrequest(method, path)
    for name, value in {"content-type": kind, "content-length": str(2**40), **tenant.headers}.items():
        raw.putheader(name, value)
    raw.endheaders()  # and not a byte of the body
    answer = raw.getresponse()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert shape(httpx.Response(413, content=answer.read()))
    raw.close()


def test_a_body_without_a_length_is_counted(serve: Any) -> None:
    tenant = serve(upload_bytes=300_000).tenant()

    def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 10_000

    answer = tenant.put("/api/uploads/a.png", content=chunks(), headers={"content-type": "image/png"})
    assert answer.status_code == 413
    assert is_native(answer)
    form = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 1_500_000

    def form_chunks() -> Any:
        yield form

    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = tenant.post("/api/uploads", content=form_chunks(), headers=kind)
    assert answer.status_code == 413
    assert is_native(answer)


@pytest.mark.parametrize(
    "path", ["//api/models", "/api//models", "/api/models/", "///api///models///", "/healthz//", "//healthz"]
)
def test_slashes_are_forgiven(tenant: httpx.Client, path: str) -> None:
    assert tenant.get(httpx.URL(str(tenant.base_url).rstrip("/") + path)).status_code == 200


def test_what_nobody_foresaw_is_logged_and_not_told(served: Any) -> None:
    router = APIRouter(route_class=NativeRoute)

    @router.get("/api/broken/{name}", include_in_schema=False)
    def broken(name: str) -> None:
        raise {"value": ValueError("a secret"), "key": KeyError("a secret")}[name]

    served.app.include_router(router)
    # It stands behind the routes that were there before; none of them takes its path.
    for name in ("value", "key"):
        with listening() as said:
            answer = served.tenant().get(f"/api/broken/{name}")
            assert answer.status_code == 500
            line = said.line("unexpected", answer.json()["error"]["request_id"])
        assert answer.json()["error"]["code"] == "internal"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert "a secret" in line["exception"]


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (InputError("x"), Invalid, 400),
        (KinoraError("x"), Invalid, 400),
        (MemoryShortage("x"), Unsupported, 400),
        (HTTPException(404), Missing, 404),
        (HTTPException(405), Missing, 405),
        (HTTPException(413, "x"), Invalid, 413),
        (RequestValidationError([{"type": "missing", "loc": ("body", "a", 1, "b"), "msg": "x"}]), Invalid, 400),
        (sqlalchemy.exc.DataError("x", {}, ValueError()), Invalid, 400),
        (OverflowError(), Invalid, 400),
        (sqlalchemy.exc.OperationalError("x", {}, ValueError()), Unavailable, 503),
        (sqlalchemy.exc.TimeoutError(), Unavailable, 503),
        (ZeroDivisionError(), ServiceError, 500),
    ],
)
def test_every_exception_has_a_word(error: Exception, kind: type[ServiceError], status: int) -> None:
    known = told(error)
    assert type(known) is kind
    assert known.status == status
    assert len(known.message) > 0
    if isinstance(known, Invalid) and isinstance(error, RequestValidationError):
        assert known.field == "a[1].b"


def test_a_route_without_a_family_falls_to_the_native_one(served: Any) -> None:
    def odd(_: Request) -> None:
        raise ZeroDivisionError("odd")

    served.app.add_route("/odd", odd)
    answer = served.nobody().get("/odd")
    assert answer.status_code == 500
    assert is_native(answer)
