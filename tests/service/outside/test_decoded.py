"""Base64 in fields that take a URL or base64."""

from __future__ import annotations

import base64
import time
import tracemalloc

import pytest

from kinora.service.errors import Invalid
from kinora.service.outside import decoded, is_url

DATA = bytes(range(256)) * 3 + b"!"
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT, TEXT.rstrip("="), f"data:image/png;base64,{TEXT}", f"DATA:image/png;BASE64,{TEXT}",
        f"data:;base64,{TEXT}",
        f"data:image/png;charset=utf-8;base64,{TEXT}", base64.encodebytes(DATA).decode(), f" {TEXT}\n",
        TEXT.replace("/", "/\r\n"),
    ],
)  # fmt: skip
def test_base64_is_decoded(text: str) -> None:
    assert decoded(text, len(DATA)) == DATA


@pytest.mark.parametrize(
    "text",
    [
        "", "=", "   ", "data:image/png;base64,", "data:image/png,hello", "data:text/plain;charset=utf-8,a",
        "not base64!", "aGk-_w",
        "图片", "aGVsbG8=aGVsbG8=", "A", "AAAAA", "http://example.com/a.png", "data:image/png;base64",
        "aGk\u00a0aGk", "\ud800AAA",
        "data:" + "x" * 300 + ";base64,AAAA", "data:image/png;base64,data:image/png;base64,AAAA",
    ],
)  # fmt: skip
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        decoded(text, 1000, field="image")
    assert caught.value.field == "image"


def test_the_limit_is_exact() -> None:
    assert len(decoded(TEXT, len(DATA))) == len(DATA)
    with pytest.raises(Invalid, match=f"more than {len(DATA) - 1} bytes"):
        decoded(TEXT, len(DATA) - 1)


def test_size_is_judged_before_decoding() -> None:
    text = "A" * 50_000_000
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(Invalid, match="more than 1000000 bytes"):
        decoded(text, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.perf_counter() - started < 0.1
    assert peak < 100_000


def test_urls_are_told_from_base64() -> None:
    for url in ("http://a.b/c", "https://a.b", "HTTPS://A.B", "ftp://x", "file:///etc"):
        assert is_url(url)
    for text in (TEXT, f"data:image/png;base64,{TEXT}", "data://x", "", "abc"):
        assert not is_url(text)
