"""Foretelling how long it still takes."""

from __future__ import annotations

import pytest

from kinora.pipeline.progress import Progress, Stage, Teller


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def teller(clock: Clock, heard: list[Progress]) -> Teller:
    stages = (
        Stage(name="read", pieces=1, expected=0.5),
        Stage(name="imagine", pieces=4, expected=2.0),
        Stage(name="draw", pieces=3, expected=1.0),
    )
    return Teller(stages=stages, listener=heard.append, clock=clock)


def test_counts_run_from_nothing_to_all() -> None:
    clock, heard = Clock(), list[Progress]()
    telling = teller(clock, heard)
    telling.start()
    for stage in ["read"] + ["imagine"] * 4 + ["draw"] * 3:
        clock.now += 1.0
        telling.advance(stage)
    assert [event.done for event in heard] == list(range(9))
    assert {event.total for event in heard} == {8}
    assert heard[0].seconds_left is None
    assert heard[-1].seconds_left == 0.0


def test_a_stage_under_way_keeps_its_own_pace() -> None:
    clock, heard = Clock(), list[Progress]()
    telling = teller(clock, heard)
    telling.start()
    clock.now += 0.5
    telling.advance("read")
    clock.now += 6.0  # three times slower than the expected 2 s
    telling.advance("imagine")
    slowness = 6.5 / 2.5
    assert heard[-1].seconds_left == pytest.approx(3 * 6.0 + 3 * 1.0 * slowness)


def test_once_drawing_its_own_pace_counts() -> None:
    clock, heard = Clock(), list[Progress]()
    telling = teller(clock, heard)
    telling.start()
    telling.advance("read")
    for _ in range(4):
        clock.now += 2.0
        telling.advance("imagine")
    clock.now += 0.25
    telling.advance("draw")
    assert heard[-1].seconds_left == pytest.approx(0.5)


def test_nobody_need_listen() -> None:
    silent = Teller(stages=(Stage(name="read", pieces=1, expected=1.0),), listener=None)
    silent.start()
    silent.advance("read")
    assert silent.seconds_left() == 0.0
