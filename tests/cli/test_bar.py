"""The progress bar."""

from __future__ import annotations

import io

import pytest

from kinora.cli.progress import ProgressBar, duration
from kinora.pipeline.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events() -> list[Progress]:
    return [
        Progress(stage="read", done=0, total=4, seconds_left=None),
        Progress(stage="imagine", done=1, total=4, seconds_left=65.2),
        Progress(stage="imagine", done=2, total=4, seconds_left=9.6),
        Progress(stage="draw", done=4, total=4, seconds_left=0.0),
    ]


def test_on_a_terminal_one_line_renews_itself() -> None:
    screen = Terminal()
    bar = ProgressBar(screen)
    for event in events():
        bar(event)
    lines = screen.getvalue().split("\r")
    assert "1 min 05 s left" in lines[2]
    assert " 50%" in lines[3]
    assert "10 s left" in lines[3]
    assert "100%" in lines[4]
    assert "left" not in lines[4]
    assert screen.getvalue().count("\n") == 1


def test_elsewhere_a_line_a_stage() -> None:
    log = io.StringIO()
    bar = ProgressBar(log)
    for event in events():
        bar(event)
    assert log.getvalue() == "reading the prompt\nimagining\ndrawing\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words
