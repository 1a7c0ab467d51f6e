"""What may stand together, and what may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kinora.core.camera import CameraMove
from kinora.core.composition import mentions
from kinora.core.conditions import (
    Brush,
    Condition,
    Continue,
    Face,
    Keyframe,
    Moves,
    Reference,
    Region,
    Speech,
    Stroke,
)
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.request import Line, Request

FACE = Face(track=((0.0, 0.5, 0.5, 0.2),))


@pytest.fixture
def parts(still: Still, footage: Footage, voice: Voice, box: Callable[..., Mask]) -> dict[str, Condition]:
    """One of each, by short names."""
    stroke = Stroke(mask=box(10, 20, 10, 20), points=((0.25, 0.4), (0.75, 0.4)))
    return {
        "first": Keyframe(still=still),
        "middle": Keyframe(still=still, at=1.0),
        "end": Keyframe(still=still, at=None),
        "camera": Moves(move=CameraMove(pan=5)),
        "brush": Brush(strokes=(stroke,)),
        "named": Reference(still=still, name="bob"),
        "unnamed": Reference(still=still),
        "region": Region(footage=footage, mask=Mask.of(np.ones((8, 8), np.bool_))),
        "after": Continue(footage=footage),
        "before": Continue(footage=footage, before=True),
        "speech": Speech(voice=voice, face=FACE),
        "dub": Speech(voice=voice, face=FACE, footage=footage),
    }


def ask(parts: dict[str, Condition], names: str, **other: Any) -> Request:
    conditions = tuple(parts[name] for name in names.split())
    return Request(**{"prompt": "a red ball", "seconds": 2.0, "conditions": conditions, **other})


@pytest.mark.parametrize(
    "names",
    [
        "first", "first end", "first middle end", "end", "camera", "first camera", "first brush",
        "first camera brush speech", "first brush unnamed", "camera speech", "region", "region unnamed", "after",
        "before", "after camera", "after middle", "after end unnamed", "before middle", "dub", "speech unnamed",
    ],
)  # fmt: skip
def test_what_goes_together_goes(names: str, parts: dict[str, Condition]) -> None:
    assert len(ask(parts, names).conditions) == len(names.split())


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("first brush brush", "brush 2 times"),
        ("camera camera", "camera move 2 times"),
        ("region region", "2 times"),
        ("after before", "2 times"),
        ("speech speech", "2 times"),
        ("brush", "no first one.*--image"),
        ("first end brush", "brush and the keyframe at the end both say where things end"),
        ("first middle camera", "camera move and the keyframe at 1 s both say"),
        ("end camera", "both say where"),
        ("region camera", "footage has its camera's motion"),
        ("first brush region", "footage has its motion"),
        ("region first", "every moment"),
        ("region end", "every moment"),
        ("region after", "keeps the footage"),
        ("after first", "keyframe at 0 s out"),
        ("after brush", "already made"),
        ("dub camera", "changes its mouth and nothing else"),
        ("dub unnamed", "nothing else"),
        ("first first", "0 s and 0 s are too near"),
    ],
)
def test_what_contradicts_is_refused_with_the_reason(names: str, says: str, parts: dict[str, Condition]) -> None:
    with pytest.raises(InputError, match=says):
        ask(parts, names)


def test_the_order_of_conditions_does_not_matter_for_refusal(parts: dict[str, Condition]) -> None:
    with pytest.raises(InputError, match="no first one"):
        ask(parts, "camera brush speech")
    with pytest.raises(InputError, match="motion already"):
        ask(parts, "camera region")


def test_only_conditions_are_conditions(still: Still) -> None:
    with pytest.raises(InputError, match="is no condition"):
        Request(prompt="x", conditions=(still,))  # type: ignore[arg-type]


def test_keyframes_are_few_apart_and_inside(still: Still) -> None:
    keys = tuple(Keyframe(still=still, at=0.25 * n) for n in range(11))
    assert len(Request(prompt="x", conditions=keys[:10]).conditions) == 10
    with pytest.raises(InputError, match="11 keyframes; at most 10"):
        Request(prompt="x", conditions=keys)
    with pytest.raises(InputError, match=r"at 0\.5 s lies beyond the film's 0\.4 s"):
        Request(prompt="x", seconds=0.4, conditions=(keys[2],))
    with pytest.raises(InputError, match=r"0\.1 s and 0\.3 s are too near"):
        Request(prompt="x", conditions=(replace(keys[0], at=0.1), replace(keys[0], at=0.3)))
    with pytest.raises(InputError, match=r"4\.9 s and 5 s are too near"):
        Request(prompt="x", conditions=(replace(keys[0], at=4.9), replace(keys[0], at=None)))
    assert Request(prompt="x", seconds=0.25, conditions=(keys[0], replace(keys[0], at=None)))


def test_a_brush_lasts_for_one_window(parts: dict[str, Condition]) -> None:
    ask(parts, "first brush", seconds=5.0)
    with pytest.raises(InputError, match="5 s with it, then extend"):
        ask(parts, "first brush", seconds=5.5)


def test_a_brush_s_masks_have_its_picture_s_size(parts: dict[str, Condition], box: Callable[..., Mask]) -> None:
    parts["brush"] = Brush(static=box(0, 2, 0, 2, "small.png", size=(20, 30)))
    with pytest.raises(ShapeError, match=r"small\.png is 30 x 20 and ball\.png is 60 x 40"):
        ask(parts, "first brush")


def test_scripts_go_forward(parts: dict[str, Condition]) -> None:
    script = (Line(at=1.0, prompt="a blue cube"),)
    assert ask(parts, "after", script=script).script == script
    with pytest.raises(InputError, match="forward in time"):
        ask(parts, "before", script=script)
    with pytest.raises(InputError, match="nothing else"):
        ask(parts, "dub", script=script)


@pytest.mark.parametrize("name", ["region", "dub"])
def test_a_film_is_not_longer_than_its_footage(name: str, parts: dict[str, Condition]) -> None:
    with pytest.raises(InputError, match="footage lasts 2 s, the film is to last 5 s; ask for 2 s"):
        ask(parts, name, seconds=5.0)


# References


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("@bob walks", ["bob"]),
        ("a ball, and @bob.", ["bob"]),
        ("@bobby walks", [""]),
        ("@bob's hat", ["bob"]),
        ("@小明在草地上走", ["小明"]),
        ("红色的球和@bob在草地上", ["bob"]),
        ("@小明明 @小明 @bob", ["小明明", "小明", "bob"]),
        ("mail bob@bob.org @ night, 5 @ 3", []),
    ],
)
def test_mentions_end_where_names_end(prompt: str, found: list[str]) -> None:
    assert [name for _, name in mentions(prompt, ("bob", "小明", "小明明"))] == found


def test_mentions_tell_their_place() -> None:
    assert list(mentions("see @bob go", ("bob",))) == [(4, "bob")]


def test_a_reference_is_mentioned_and_a_mention_has_a_reference(parts: dict[str, Condition]) -> None:
    ask(parts, "named", prompt="@bob walks")
    ask(parts, "named", script=(Line(at=1, prompt="@bob walks"),))
    with pytest.raises(InputError, match="'bob' is never mentioned; write @bob"):
        ask(parts, "named")
    with pytest.raises(InputError, match=r"mentions @ann, and no reference is called so \(there are @bob\)"):
        ask(parts, "named", prompt="@bob and @ann, walk")
    with pytest.raises(InputError, match=r"mentions @ann.*there are none"):
        Request(prompt="@ann walks")
    with pytest.raises(InputError, match="mentions @ann"):
        Request(prompt="x", script=(Line(at=1, prompt="@ann walks"),))


def test_seven_references_of_different_names(still: Still, parts: dict[str, Condition]) -> None:
    many = {f"r{n}": Reference(still=still) for n in range(8)}
    ask(many, "r0 r1 r2 r3 r4 r5 r6")
    with pytest.raises(InputError, match="8 references; at most 7"):
        ask(many, " ".join(many))
    with pytest.raises(InputError, match="2 references are called 'bob'"):
        ask(parts, "named named", prompt="@bob walks")
