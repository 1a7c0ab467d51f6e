"""Requests with conditions as plain values and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kinora.core.camera import CameraKey, CameraMove
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
from kinora.core.errors import InputError
from kinora.core.materials import Footage, Mask, Material, Still, Voice
from kinora.core.records import check_seen, materials_of, unseen
from kinora.core.request import Line, Request

FACE = Face(track=((0.0, 0.5, 0.5, 0.2), (1.0, 0.6, 0.5, 0.2)))
PATH = CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, x=0.2, orbit=15.0)))


@pytest.fixture
def requests(still: Still, footage: Footage, voice: Voice, box: Callable[..., Mask]) -> list[Request]:
    """Every condition, with every entry somewhere off its default."""
    stroke = Stroke(mask=box(10, 20, 10, 20, "ball-mask.png"), points=((0.25, 0.4), (0.75, 0.4)))
    brush = Brush(strokes=(stroke,), static=box(30, 40, 0, 60, "rest.png"))
    references = (Reference(still=still, name="bob", consent=True), Reference(still=still))
    together: list[tuple[Condition, ...]] = [
        (Keyframe(still=still), Keyframe(still=still, at=1.0, fit="pad"), Keyframe(still=still, at=None)),
        (Keyframe(still=still), brush, Moves(move=CameraMove(pan=3, zoom=-2.5))),
        (Moves(move=PATH), Speech(voice=voice, face=FACE), *references),
        (Region(footage=footage, mask=Mask.of(np.ones((8, 8), np.bool_), "part.png")),),
        (Continue(footage=footage, before=True),),
        (Continue(footage=footage), Moves(move=CameraMove())),
        (Speech(voice=voice, face=FACE, footage=footage),),
    ]  # fmt: skip
    return [Request(prompt="@bob" if "bob" in repr(some) else "x", seconds=2, conditions=some) for some in together]


@pytest.fixture
def find(still: Still, footage: Footage, voice: Voice, box: Callable[..., Mask]) -> Callable[[str, str, str], Material]:
    known: dict[tuple[str, str], Material] = {
        ("still", "ball.png"): still,
        ("footage", "film.mp4"): footage,
        ("voice", "hello.json"): voice,
        ("mask", "ball-mask.png"): box(10, 20, 10, 20, "ball-mask.png"),
        ("mask", "rest.png"): box(30, 40, 0, 60, "rest.png"),
        ("mask", "part.png"): Mask.of(np.ones((8, 8), np.bool_), "part.png"),
    }
    return lambda kind, name, digest: known[kind, name]


def test_every_condition_survives_json(requests: list[Request], find: Any) -> None:
    for request in requests:
        record = json.loads(json.dumps(request.to_record(), allow_nan=False))
        again = Request.from_record(record, find)
        assert again == request
        assert again.to_record() == request.to_record()
        assert all(
            material.seen
            for condition in again.conditions
            for material in vars(condition).values()
            if isinstance(material, Material)
        )


def test_a_record_reads_as_a_person_would_expect(still: Still) -> None:
    moves = Moves(move=CameraMove(pan=3, zoom=-2.5))
    record = Request(prompt="x", conditions=(Keyframe(still=still), moves)).to_record()
    assert record["conditions"] == [
        {"kind": "keyframe", "still": {"name": "ball.png", "digest": still.digest}},
        {"kind": "moves", "move": {"pan": 3, "zoom": -2.5}},
    ]
    end = Request(prompt="x", conditions=(Keyframe(still=still, at=None),)).to_record()
    assert end["conditions"][0]["at"] is None


def test_without_a_finder_the_files_are_named(requests: list[Request]) -> None:
    with pytest.raises(InputError, match=r"ball\.png \(still\), ball-mask\.png \(mask\), rest\.png \(mask\)\. Bring"):
        Request.from_record(requests[1].to_record())
    bare = Request(prompt="x", conditions=(Moves(move=PATH),))
    assert Request.from_record(bare.to_record()) == bare, "nothing to bring"


def test_unseen_materials_make_an_equal_request(requests: list[Request]) -> None:
    for request in requests:
        known = Request.from_record(request.to_record(), unseen)
        assert known == request
        check_seen(request.conditions)
        if materials_of(request.conditions):
            with pytest.raises(InputError, match="Bring them to follow it"):
                check_seen(known.conditions)


def test_materials_are_listed_once(requests: list[Request], still: Still) -> None:
    assert materials_of(requests[0].conditions) == (("still", "ball.png", still.digest),)
    assert [name for _, name, _ in materials_of(requests[1].conditions)] == ["ball.png", "ball-mask.png", "rest.png"]


def test_a_changed_file_is_told_by_name(requests: list[Request], find: Any) -> None:
    changed = Still.of(np.full((4, 4, 3), 9, np.uint8), "ball.png")
    with pytest.raises(InputError, match=r"ball\.png is not the still it was"):
        Request.from_record(requests[0].to_record(), lambda kind, name, digest: changed)
    with pytest.raises(InputError, match="a still; a mask was brought"):
        Request.from_record(requests[0].to_record(), lambda kind, name, digest: find("mask", "rest.png", ""))


KEYFRAME = {"kind": "keyframe", "still": {"name": "a", "digest": "0"}}


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"kind": "keyframe"}, "list of conditions"),
        ([3], "no condition 3"),
        ([{"kind": "smell"}], "no condition 'smell'; there are keyframe, moves"),
        ([{"kind": "keyframe"}], "keyframe lacks still"),
        ([{**KEYFRAME, "blur": 1}], "has no blur"),
        ([{"kind": "keyframe", "still": "a.png"}], "object with name, digest"),
        ([{"kind": "keyframe", "still": {"name": 1, "digest": "0"}}], "both text"),
        ([{**KEYFRAME, "at": "soon"}], "from 0 on"),
        ([{**KEYFRAME, "fit": ["crop"]}], "no fit"),
        ([{"kind": "moves", "move": {"fly": 3}}], "no fly"),
        ([{"kind": "moves", "move": {"pan": "3"}}], "-10 to 10"),
        ([{"kind": "moves", "move": None}], "must be"),
        ([{"kind": "moves", "move": {"path": 3}}], "list of keys"),
        ([{"kind": "brush", "strokes": [3]}], "stroke must be an object"),
        ([{"kind": "brush"}], "neither"),
        ([{"kind": "speech", "voice": {"name": "v", "digest": "0"}, "face": {"track": [[0, 1]]}}], "place must be"),
        ([{"kind": "continue", "footage": {"name": "v", "digest": "0"}, "before": "yes"}], "neither"),
    ],
)
def test_records_of_strangers_are_read_with_care(conditions: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Request.from_record({"prompt": "x", "conditions": conditions}, unseen)


def test_a_script_and_conditions_stand_in_one_record(still: Still) -> None:
    request = Request(prompt="x", conditions=(Keyframe(still=still),), script=(Line(at=1, prompt="y"),))
    assert list(request.to_record())[-2:] == ["conditions", "script"]
    assert Request.from_record(request.to_record(), lambda kind, name, digest: still) == request
