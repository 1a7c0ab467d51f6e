"""Which bytes a Range header asks for (RFC 9110, 14.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinora.service.api.files import Span, span_of


@pytest.mark.parametrize(
    ("said", "first", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 500),
        ("bytes=-500", 500, 500),
        ("bytes=500-", 500, 500),
        ("bytes=0-", 0, 1000),
        ("bytes=999-", 999, 1),
        ("bytes=0-99999", 0, 1000),
        ("bytes=-5000", 0, 1000),
        ("BYTES = 3-4 ", 3, 2),
        ("bytes=000000000000000003-4", 3, 2),
    ],
)
def test_a_range_of_a_thousand_bytes(said, first, length):
    assert span_of(said, 1000) == Span(first=first, length=length)


@pytest.mark.parametrize("said", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_beyond_the_end_holds_nothing(said):
    assert span_of(said, 1000).length == 0


@pytest.mark.parametrize(
    "said",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=0-1,5-6", "bytes=0-1,", "items=0-1", "0-1",
     "bytes=--1", "bytes=1--2", "bytes=0x1-2", "bytes=+1-2", "bytes=1.5-2", "bytes=٣-٤", "bytes=1-2;q=1",
     "bytes=" + "9" * 5000 + "-", "bytes=0-1\x00"],
)  # fmt: skip
def test_what_is_not_understood_is_ignored(said):
    assert span_of(said, 1000) is None


def test_an_empty_file_has_no_range():
    for said in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        assert span_of(said, 0).length == 0


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 1500))
def test_a_range_is_the_slice_that_it_names(first, last, size):
    content = bytes(index % 251 for index in range(size))
    span = span_of(f"bytes={first}-{last}", size)
    if last < first:
        assert span is None
    else:
        assert content[span.first : span.first + span.length] == content[first : last + 1]


@given(st.text(max_size=40))
def test_no_header_breaks_it(said):
    span = span_of(said, 100)
    assert span is None or (0 <= span.first <= 100 and span.first + span.length <= max(100, span.first))
