"""How films are cut into segments, and what a plan says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinora.core.errors import ShapeError
from kinora.core.plan import Plan, Segment, segments_of
from kinora.core.request import Request
from kinora.core.shapes import LatentShape, PixelShape


def test_what_fits_the_window_is_one_segment() -> None:
    assert segments_of(21, window=21, history=5) == (Segment(first=0, new=21, known=0),)
    assert segments_of(1, window=21, history=5) == (Segment(first=0, new=1, known=0),)


def test_ten_seconds_share_what_is_to_be_added() -> None:
    assert segments_of(41, window=21, history=5) == (
        Segment(first=0, new=21, known=0),
        Segment(first=21, new=10, known=10, alone=False),
        Segment(first=31, new=10, known=10, alone=False),
    )


@given(frames=st.integers(1, 400), window=st.integers(4, 40), data=st.data())
def test_segments_cover_the_film_once_with_enough_history(frames: int, window: int, data: st.DataObject) -> None:
    history = data.draw(st.integers(1, window - 2))
    first, *later = segments_of(frames, window=window, history=history)
    assert (first.first, first.new, first.known) == (0, min(frames, window), 0)
    made = first.new
    for segment in later:
        assert segment.first == made
        assert segment.new >= 1
        assert segment.known >= history
        assert segment.frames == window - 1  # the anchor has the place that is left
        assert segment.first - segment.known >= 1  # the anchor is a picture that exists
        made += segment.new
    assert made == frames
    assert len(later) == -(-max(0, frames - window) // (window - 1 - history))


@pytest.mark.parametrize("history", [-1, 20, 21])
def test_a_history_that_leaves_no_room_is_refused(history: int) -> None:
    with pytest.raises(ShapeError, match="no room"):
        segments_of(41, window=21, history=history)


def test_without_a_history_a_segment_goes_on_from_the_last_picture_alone() -> None:
    segments = segments_of(41, window=21, history=0)
    assert [(part.first, part.new, part.known, part.anchors) for part in segments] == [(0, 21, 0, 0), (21, 20, 0, 1)]
    onward = segments_of(30, window=21, history=0, shown=9)
    assert [(part.new, part.known, part.alone) for part in onward] == [(15, 0, False), (15, 0, False)]


def test_a_plan_prints_what_will_be_done() -> None:
    plan = Plan(
        request=Request(prompt="x", seed=3),
        model="tiny",
        pixels=PixelShape(frames=161, height=192, width=320),
        latent=LatentShape(frames=41, height=12, width=20),
        frame_rate=16.0,
        tokens=1260,
        steps=16,
        guidance=3.0,
        segments=segments_of(41, window=21, history=5),
        forwards=96,
        imagine_seconds=30.0,
        draw_seconds=4.4,
    )
    text = str(plan)
    for part in (
        "10.06 s, 161 frames of 320 x 192 at 16",
        "16 steps",
        "seed 3",
        "segments of 21, 2 x 10 after 10",
        "about 34 s",
    ):
        assert part in text
