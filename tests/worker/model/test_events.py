"""Messages between a worker and its model process."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinora.worker.events import (
    CODES,
    COMMANDS,
    EVENTS,
    Beat,
    Cancel,
    Cancelled,
    Failed,
    Garbled,
    Job,
    Made,
    MadeFile,
    Make,
    Note,
    Preview,
    Progress,
    Ready,
    Saved,
    Stop,
    from_line,
    to_line,
)

JOB = Job(
    task_id=2**61,
    kind="extend",
    model="tiny",
    request={"prompt": "一个红球\n", "conditions": [{"kind": "continue"}], "seed": 3},
    work="/w",
    materials="/m",
    attempt=2,
    marked=True,
    options={"stub": {"fault": "kill"}},
)
FILE = MadeFile(
    kind="video", file="a", marked=None, thumbnail="t", media_type="video/mp4", width=1, height=2, frames=3, seconds=0.5
)
MESSAGES = [
    Make(job=JOB),
    Cancel(task_id=1),
    Stop(),
    Ready(pid=7),
    Beat(task_id=None),
    Beat(task_id=5),
    Progress(task_id=5, stage="read", done=0, total=9, seconds_left=None),
    Progress(task_id=5, stage="draw", done=9, total=9, seconds_left=0.25),
    Preview(task_id=5, jpeg=bytes(range(256))),
    Saved(task_id=5, files=("a", "b/c")),
    Note(task_id=5, text="weiter \u2028 \n"),
    Made(task_id=5, files=(FILE, FILE)),
    *(Failed(task_id=5, code=code, message="not \x00 well") for code in CODES),
    Cancelled(task_id=5),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: object) -> None:
    line = to_line(message)  # type: ignore[arg-type]
    assert line.count(b"\n") == 1
    assert line.isascii()
    kinds = COMMANDS if type(message) in COMMANDS else EVENTS
    assert from_line(line, kinds) == message  # type: ignore[type-var]


def test_every_message_is_tried_here() -> None:
    assert {type(message) for message in MESSAGES} == {*COMMANDS, *EVENTS}


def test_a_whole_number_may_stand_for_seconds() -> None:
    line = to_line(Progress(task_id=1, stage="draw", done=1, total=1, seconds_left=2))
    assert from_line(line, EVENTS) == Progress(task_id=1, stage="draw", done=1, total=1, seconds_left=2.0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b'"Stop"',
        b"{}",
        b'{"say":"Stop","why":1}',
        b'{"say":"Ready","pid":1}',  # an event where commands are heard
        b'{"say":"Cancel"}',
        b'{"say":"Cancel","task_id":"1"}',
        b'{"say":"Cancel","task_id":true}',
        b'{"say":"Cancel","task_id":1.0}',
        b'{"say":"Cancel","task_id":null}',
        b'{"say":"Cancel","task_id":1,"task":1}',
        b'{"say":"Make","job":1}',
        b'{"say":"Make","job":{}}',
        b"\xff\xfe",
    ],
)
def test_damage_is_refused(line: bytes) -> None:
    with pytest.raises(Garbled):
        from_line(line, COMMANDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("code", "other"), ("code", 1), ("message", None), ("task_id", "x")],
)
def test_values_of_another_kind_are_refused(name: str, value: object) -> None:
    record = json.loads(to_line(Failed(task_id=1, code="input", message="m")))
    with pytest.raises(Garbled, match=name):
        from_line(json.dumps({**record, name: value}).encode(), EVENTS)


@pytest.mark.parametrize(
    "line", [b'{"say":"Preview","task_id":1,"jpeg":"?"}', b'{"say":"Saved","task_id":1,"files":"a"}']
)
def test_bytes_and_lists_are_what_they_must_be(line: bytes) -> None:
    with pytest.raises(Garbled):
        from_line(line, EVENTS)


@pytest.mark.parametrize("name", [part.name for part in fields(Job)])
def test_every_field_of_a_job_is_checked(name: str) -> None:
    record = json.loads(to_line(Make(job=JOB)))
    record["job"][name] = [1.5]
    with pytest.raises(Garbled, match=name):
        from_line(json.dumps(record).encode(), COMMANDS)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_line_does_harm(line: bytes) -> None:
    with pytest.raises(Garbled):
        from_line(line, COMMANDS)


def test_numbers_that_json_has_not_are_not_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_line(Progress(task_id=1, stage="draw", done=1, total=1, seconds_left=float("nan")))
