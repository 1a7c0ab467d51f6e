"""What people write, and what they hear when it is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kinora.core.camera import NAMED_MOVES, CameraMove
from kinora.core.errors import InputError, PromptError, ShapeError
from kinora.core.materials import Mask
from kinora.core.parsing import (
    parse_box,
    parse_camera,
    parse_keyframe,
    parse_line,
    parse_reference,
    read_brush,
    read_face,
    read_path,
    read_voice,
)

SIZE = (40, 60)
MaskOf = Callable[[Any], Mask]


@pytest.fixture
def masks(box: Callable[..., Mask]) -> MaskOf:
    """Files called "top bottom left right" and polygons that are upright boxes: real masks, no files."""

    def made(value: Any) -> Mask:
        if isinstance(value, str):
            return box(*map(int, value.split()), name=f"box {value}")
        columns, rows = (
            {round(point[axis] * side) for point in value["polygon"]} for axis, side in enumerate((60, 40))
        )
        return box(min(rows), max(rows), min(columns), max(columns), name="polygon")

    return made


def stroke(points: Any, mask: Any = "0 10 0 10") -> dict[str, Any]:
    return {"mask": mask, "points": points}


# Camera


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("pan=5", CameraMove(pan=5)),
        (" pan = 3 , zoom=-2.5 ", CameraMove(pan=3, zoom=-2.5)),
        ("orbit=+5", CameraMove(orbit=5)),
        ("forward_up", NAMED_MOVES["forward_up"]),
        ("still", CameraMove()),
    ],
)
def test_camera_moves(text: str, move: CameraMove) -> None:
    assert parse_camera(text) == move


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "forward_up"),
        ("pan", "horizontal=N"),
        ("fly=3", "'fly=3'.*orbit=N"),
        ("pan=5,", "no camera move ''"),
        ("pan=fast", "must be a number"),
        ("pan=nan", "finite"),
        ("pan=11", "-10 to 10"),
        ("pan=1,pan=2", "twice"),
        ("forward_up,pan=2", "'forward_up'"),
    ],
)
def test_camera_mistakes_list_what_there_is(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_camera(text)


def test_a_path_is_read_key_by_key() -> None:
    move = read_path(json.loads('{"keys": [{"seconds": 0}, {"seconds": 2.5, "x": 0.3, "orbit": 20, "zoom": -0.1}]}'))
    assert [key.seconds for key in move.path] == [0, 2.5]
    assert (move.path[1].x, move.path[1].orbit, move.path[1].zoom, move.path[1].pan) == (0.3, 20, -0.1, 0)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ([], "object with keys"),
        ({}, "lacks keys"),
        ({"keys": []}, "list of keys"),
        ({"keys": [3]}, "Key 0.*object"),
        ({"keys": [{"x": 1}]}, "Key 0.*lacks seconds"),
        ({"keys": [{"seconds": 0, "yaw": 1}]}, "Key 0.*has no yaw.*pan"),
        ({"keys": [{"seconds": 0, "x": "left"}]}, "x must be a finite number"),
        ({"keys": [{"seconds": 0, "x": math.nan}]}, "finite"),
        ({"keys": [{"seconds": 1}]}, "starts at 0 s"),
        ({"keys": [{"seconds": 0}], "loop": True}, "no loop"),
    ],
)
def test_path_mistakes_are_named(record: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_path(record)


# Brush


def test_shares_from_the_top_left_are_what_a_brush_holds(masks: MaskOf) -> None:
    brush = read_brush({"strokes": [stroke([[0.1, 0.2], {"x": 0.5, "y": 0.25}])]}, masks, SIZE)
    assert brush.strokes[0].points == ((0.1, 0.2), (0.5, 0.25))
    assert brush.static is None
    assert brush.strokes[0].mask.inside_HW.sum() == 100


@pytest.mark.parametrize(("origin", "y"), [("top-left", 0.25), ("bottom-left", 0.75)])
def test_pixels_become_shares_from_the_top_left(origin: str, y: float, masks: MaskOf) -> None:
    record = {"units": "pixels", "origin": origin, "strokes": [stroke([[15, 10], [60, 40]])]}
    (drawn,) = read_brush(record, masks, SIZE).strokes
    assert drawn.points[0] == (0.25, y)
    assert drawn.points[1] == (1.0, 1.0 if origin == "top-left" else 0.0)


def test_normalised_places_may_count_from_the_bottom_too(masks: MaskOf) -> None:
    record = {"origin": "bottom-left", "strokes": [stroke([[0.5, 0.9], [0.5, 1.0]])]}
    (drawn,) = read_brush(record, masks, SIZE).strokes
    np.testing.assert_allclose(drawn.points, [(0.5, 0.1), (0.5, 0.0)])


@pytest.mark.parametrize(
    "told",
    [
        {"static": {"polygon": [[0.5, 0.25], [1, 0.25], [1, 0.5], [0.5, 0.5]]}},
        {"static": {"polygon": [[30, 10], [60, 10], [60, 20], [30, 20]]}, "units": "pixels", "origin": "top-left"},
        {"static": {"polygon": [[30, 20], [60, 20], [60, 30], [30, 30]]}, "units": "pixels", "origin": "bottom-left"},
    ],
)
def test_polygons_are_told_like_strokes(told: dict[str, Any], masks: MaskOf) -> None:
    static = read_brush(told, masks, SIZE).static
    assert static is not None
    rows, columns = np.nonzero(static.inside_HW)
    assert {rows.min(), rows.max()} | {columns.min(), columns.max()} == {10, 19, 30, 59}


def test_a_static_mask_alone_is_a_brush(masks: MaskOf) -> None:
    brush = read_brush({"static": "0 40 0 60"}, masks, SIZE)
    assert brush.static is not None
    assert brush.strokes == ()


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("brush", "object"),
        ({}, "neither a stroke nor a static mask"),
        ({"strokes": []}, "neither"),
        ({"strokes": {}}, "neither"),
        ({"strokes": "all"}, "list of strokes"),
        ({"strokes": [stroke([[0, 0], [1, 1]])] * 7}, "7 strokes; at most 6"),
        ({"strokes": [{"points": [[0, 0], [1, 1]]}]}, "Stroke 1.*lacks mask"),
        ({"strokes": [{**stroke([[0, 0], [1, 1]]), "speed": 3}]}, "Stroke 1.*no speed"),
        ({"strokes": [stroke([[0, 0]])]}, "Stroke 1.*1 points.*2 to 77"),
        ({"strokes": [stroke([[0, 0]] * 78)]}, "78 points"),
        ({"strokes": [stroke(7)]}, "list of points"),
        ({"strokes": [stroke([[0, 0], [1]])]}, r"point 1 must be \[x, y\]"),
        ({"strokes": [stroke([[0, 0], {"x": 1, "z": 2}])]}, "no z"),
        ({"strokes": [stroke([[0, 0], [0.5, None]])]}, "point 1: y must be a finite number"),
        ({"strokes": [stroke([[0, 0], [1.2, 0.5]])]}, r"\(1.2, 0.5\) lies outside.*\(1, 1\) in normalised"),
        ({"units": "pixels", "strokes": [stroke([[0, 0], [1, 1]])]}, "must say where they count from"),
        (
            {"units": "pixels", "origin": "top-left", "strokes": [stroke([[0, 0], [61, 5]])]},
            r"\(61, 5\) lies outside.*\(60, 40\) in pixels",
        ),
        ({"units": "inches", "static": "0 1 0 1"}, "units are normalised or pixels, not 'inches'"),
        ({"origin": "centre", "static": "0 1 0 1"}, "origin is top-left or bottom-left"),
        ({"static": "0 1 0 1", "smooth": 3}, "no smooth"),
        ({"static": 3}, "static mask is a file's name or"),
        ({"static": {"circle": 3}}, "static mask has no circle"),
        ({"static": {"polygon": [[0, 0], [2, 0], [2, 2]]}}, r"point 1 at \(2, 0\) lies outside"),
        ({"strokes": [stroke([[0, 0], [1, 1]], mask=None)]}, "mask of stroke 1 is a file's name"),
        (
            {"static": "5 40 5 60", "strokes": [stroke([[0, 0], [1, 1]])]},
            "box 0 10 0 10 and box 5 40 5 60 overlap in 25 pixels",
        ),
    ],
)
def test_brush_mistakes_are_named(record: Any, says: str, masks: MaskOf) -> None:
    with pytest.raises(InputError, match=says):
        read_brush(record, masks, SIZE)


def test_a_mask_of_another_size_is_refused_with_both_sizes(masks: MaskOf) -> None:
    with pytest.raises(ShapeError, match="60 x 40 and the picture 30 x 20"):
        read_brush({"static": "0 1 0 1"}, masks, (20, 30))


# Speech and faces


def test_a_voice_in_order_or_by_name() -> None:
    by_order = read_voice({"frame_rate": 16, "frames": [[0.5, 0.25, 0, 1]]}, "hi.json")
    by_name = read_voice([{"teeth": 1, "openness": 0.5, "width": 0.25, "rounding": 0}])
    np.testing.assert_array_equal(by_order.track.mouth_F4, np.array([[0.5, 0.25, 0, 1]], dtype=np.float32))
    assert by_order.digest == by_name.digest
    assert by_order.name == "hi.json"
    assert by_order.track.mouth_F4.dtype == np.float32


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({}, "lacks frames"),
        ([], "list of mouth shapes"),
        (3, "object"),
        ({"frames": [[0, 0, 0]]}, "Frame 0.*openness, width, rounding, teeth"),
        ({"frames": [[0, 0, 0, 0], [0, 0, 0, 1.5]]}, "Frame 1.*teeth=1.5"),
        ({"frames": [[-0.1, 0, 0, 0]]}, "openness=-0.1"),
        ({"frames": [{"openness": 1}]}, "Frame 0.*lacks width, rounding, teeth"),
        ({"frames": [[0, 0, 0, 0]], "frame_rate": 0}, "1 to 240"),
        ({"frames": [[0, 0, 0, 0]], "frame_rate": "16"}, "finite number"),
        ({"frames": [[0, 0, 0, 0]], "words": "hello"}, "no words"),
    ],
)
def test_voice_mistakes_are_named(record: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_voice(record)


def test_a_face_in_three_ways() -> None:
    assert read_face("0.5, 0.25,0.1").track == ((0.0, 0.5, 0.25, 0.1),)
    assert read_face({"x": 0.5, "y": 0.25, "radius": 0.1}) == read_face("0.5,0.25,0.1")
    moving = {"track": [[0, 0.5, 0.25, 0.1], {"seconds": 2, "x": 0.6, "y": 0.25, "radius": 0.2}]}
    assert read_face(moving).track[1] == (2.0, 0.6, 0.25, 0.2)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("0.5,0.5", "X,Y,RADIUS"),
        ("a,b,c", "must be a number"),
        ("0.5,1.5,0.1", "y=1.5"),
        ({"x": 0.5}, "lacks y, radius"),
        ({"track": []}, "list of places"),
        ({"track": [[0, 0.5, 0.5, 0.1]], "eyes": 2}, "no eyes"),
        ({"track": [[1, 0.5, 0.5, 0.1], [0, 0.5, 0.5, 0.1]]}, "follow each other"),
        (None, "must be"),
    ],
)
def test_face_mistakes_are_named(record: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_face(record)


# One line each


def test_keyframes_lines_and_references() -> None:
    assert parse_keyframe("2.5s=pic.png") == (2.5, "pic.png")
    assert parse_keyframe("0 = a=b.png") == (0.0, "a=b.png")
    line = parse_line("5s= a cube = a box ")
    assert (line.at, line.prompt) == (5.0, "a cube = a box")
    assert parse_reference("face.png") == ("face.png", "")
    assert parse_reference("dir@home/face.png@小明") == ("dir@home/face.png", "小明")
    assert parse_reference("me@home.png") == ("me@home.png", "")


@pytest.mark.parametrize("text", ["pic.png", "=pic.png", "2s=", "soon=pic.png", "nans=pic.png", "-1s=pic.png", ""])
def test_keyframe_mistakes(text: str) -> None:
    with pytest.raises(InputError):
        parse_keyframe(text)


def test_line_mistakes() -> None:
    with pytest.raises(InputError, match="above 0"):
        parse_line("0s=a cube")
    with pytest.raises(PromptError, match="2501"):
        parse_line("1s=" + "x" * 2501)


def test_a_box_is_its_corners() -> None:
    assert parse_box("0.2, 0.1,0.6,0.8") == ((0.2, 0.1), (0.6, 0.1), (0.6, 0.8), (0.2, 0.8))


@pytest.mark.parametrize("text", ["0.2,0.1,0.6", "0.6,0.1,0.2,0.8", "0,0,0,1", "0,0,1,1.1", "a,0,1,1", "0,nan,1,1"])
def test_box_mistakes(text: str) -> None:
    with pytest.raises(InputError):
        parse_box(text)


@pytest.mark.parametrize("text", ["@name", "face.png@", "face.png@two words"])
def test_reference_mistakes(text: str) -> None:
    with pytest.raises(InputError, match="FILE@NAME"):
        parse_reference(text)
