"""Each condition checks itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from kinora.core.conditions import Brush, Continue, Face, Keyframe, Reference, Stroke
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Footage, Mask, Still

LINE = ((0.2, 0.2), (0.8, 0.2))


def test_a_keyframe_needs_a_known_fit_and_a_time(still: Still) -> None:
    assert Keyframe(still=still, at=None, fit="pad").at is None
    with pytest.raises(InputError, match=r"'squash'.*crop, pad"):
        Keyframe(still=still, fit="squash")
    for at in (-0.1, math.nan, math.inf, True, "2"):
        with pytest.raises(InputError, match="from 0 on"):
            Keyframe(still=still, at=at)


@pytest.mark.parametrize("count", [0, 1, 78])
def test_a_stroke_has_two_to_seventy_seven_points(count: int, box: Callable[..., Mask]) -> None:
    with pytest.raises(InputError, match=f"{count} points"):
        Stroke(mask=box(0, 2, 0, 2), points=((0.5, 0.5),) * count)
    assert len(Stroke(mask=box(0, 2, 0, 2), points=((0.5, 0.5),) * 77).points) == 77


@pytest.mark.parametrize("point", [(-0.01, 0.5), (0.5, 1.01), (math.nan, 0.5), (0.5,), (0.1, 0.2, 0.3)])
def test_a_stroke_stays_in_the_picture(point: tuple[float, ...], box: Callable[..., Mask]) -> None:
    with pytest.raises(InputError, match="outside the picture"):
        Stroke(mask=box(0, 2, 0, 2), points=((0.5, 0.5), point))


def test_a_brush_paints_something_and_not_too_much(box: Callable[..., Mask]) -> None:
    assert Brush(static=box(0, 2, 0, 2)).strokes == ()
    strokes = tuple(Stroke(mask=box(5 * n, 5 * n + 4, 0, 9), points=LINE) for n in range(7))
    assert len(Brush(strokes=strokes[:6]).masks) == 6
    with pytest.raises(InputError, match="neither"):
        Brush()
    with pytest.raises(InputError, match="7 strokes; at most 6"):
        Brush(strokes=strokes)


def test_masks_that_overlap_are_refused_with_the_number_of_pixels(box: Callable[..., Mask]) -> None:
    one = Stroke(mask=box(0, 10, 0, 10, "one.png"), points=LINE)
    other = Stroke(mask=box(8, 20, 7, 20, "other.png"), points=LINE)
    with pytest.raises(InputError, match=r"one\.png and other\.png overlap in 6 pixels"):
        Brush(strokes=(one, other))
    with pytest.raises(InputError, match=r"one\.png and rest\.png overlap in 1 pixels"):
        Brush(strokes=(one,), static=box(9, 40, 9, 60, "rest.png"))
    unseen = Stroke(mask=Mask.unseen("one.png", "0"), points=LINE)
    assert len(Brush(strokes=(unseen, other)).masks) == 2, "what was not seen cannot be compared"


def test_masks_of_one_brush_have_one_size(box: Callable[..., Mask]) -> None:
    strokes = (Stroke(mask=box(0, 2, 0, 2), points=LINE), Stroke(mask=box(5, 6, 5, 6, size=(20, 30)), points=LINE))
    with pytest.raises(ShapeError, match=r"60 x 40 and .* 30 x 20"):
        Brush(strokes=strokes)


@pytest.mark.parametrize("name", ["two words", "a.b", "-x", "@bob", 3])
def test_a_reference_s_name_is_a_word(name: str, still: Still) -> None:
    assert Reference(still=still, name="小明-2").name == "小明-2"
    with pytest.raises(InputError, match="cannot be called"):
        Reference(still=still, name=name)


def test_yes_and_no_are_true_and_false(still: Still, footage: Footage) -> None:
    with pytest.raises(InputError, match="neither"):
        Reference(still=still, consent="yes")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neither"):
        Continue(footage=footage, before=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("track", "says"),
    [
        ((), "needs a place"),
        (((0, 0.5, 0.5),), "four numbers"),
        (((0, 0.5, math.nan, 0.1),), "four numbers"),
        (((0, 1.2, 0.5, 0.1),), "x=1.2"),
        (((0, 0.5, 0.5, 0),), "radius 0"),
        (((-1, 0.5, 0.5, 0.1),), "from 0 on"),
        (((0, 0.5, 0.5, 0.1), (0, 0.6, 0.5, 0.1)), "follow each other"),
    ],
)
def test_a_face_is_in_the_picture_and_in_order(track: tuple[tuple[float, ...], ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Face(track=track)  # type: ignore[arg-type]
