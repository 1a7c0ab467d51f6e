"""Bodies, shots, words and points of Kling's format, without a service."""

from __future__ import annotations

import math

import pytest

from kinora.core.camera import NAMED_MOVES
from kinora.service.api.kling.envelope import CODES, AgainstPolicy, Malformed, code_of
from kinora.service.api.kling.legacy_films import Image2Video, Text2Video, told_in
from kinora.service.api.kling.legacy_images import Generations
from kinora.service.api.kling.lenient import read
from kinora.service.api.kling.motion import CameraControl, moves_of
from kinora.service.api.kling.shots import Shot, shots_in, told_in_order
from kinora.service.api.kling.standard_tasks import Search
from kinora.service.api.kling.wording import aspect_of, pointed, quality_for, seconds_for
from kinora.service.catalogue import STUB
from kinora.service.errors import (
    Clash,
    Forbidden,
    Invalid,
    Missing,
    OutOfUnits,
    Refused,
    ServiceError,
    Suspended,
    TooManyRequests,
    TooManyTasks,
    Unauthenticated,
    Unavailable,
    Unsupported,
)


def test_numbers_and_truth_values_come_as_text() -> None:
    body = read(Text2Video, b'{"prompt": "a ball", "multi_shot": "true", "duration": "10", "cfg_scale": "0.7"}')
    assert (body.multi_shot, body.duration, body.cfg_scale) == (True, 10.0, 0.7)
    assert read(Generations, b'{"prompt": "a ball", "n": "9"}').n == 9
    assert (
        read(Image2Video, b'{"element_list": [{"element_id": 160}, {"element_id": "161"}]}').element_list[0].element_id
        == "160"
    )
    assert read(Search, b'{"start_time": "1781080778802", "limit": "3"}').start_time == 1781080778802


def test_what_is_empty_is_absent_and_what_is_unknown_is_ignored() -> None:
    raw = (
        b'{"prompt": " a ball ", "callback_url": "", "external_task_id": " ", "camera_control": {},'
        b' "negative_prompt": null, "watermark_info": {"enabled": ""}, "multi_prompt": [], "unknown": [1, {"a": 2}]}'
    )
    body = read(Text2Video, raw)
    assert body.prompt == "a ball"
    assert (body.callback_url, body.external_task_id, body.camera_control) == (None, None, None)
    assert body.watermark_info.enabled is False


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        (b"{", Malformed, "The body is not JSON"),
        (b"[1]", Malformed, "The body"),
        (b"\xff\xfe", Malformed, "The body is not JSON"),
        (b"[" * 100_000, Malformed, "The body is not JSON"),
        (b'{"camera_control": {"type": 5, "config": "pan"}}', Invalid, "camera_control.config"),
        (b'{"cfg_scale": 2}', Invalid, "cfg_scale cannot be 2"),
        (b'{"cfg_scale": NaN}', Invalid, "cfg_scale"),
        (b'{"duration": "five"}', Invalid, "duration cannot be 'five'"),
        (b'{"multi_shot": "perhaps"}', Invalid, "multi_shot cannot be 'perhaps'"),
        (b'{"prompt": "a\\u0000b"}', Invalid, "control characters"),
        (b'{"multi_prompt": [{"prompt": "a"}]}', Malformed, "multi_prompt[0].duration is missing"),
        (b'{"external_task_id": "' + b"x" * 256 + b'"}', Invalid, "external_task_id"),
    ],
)
def test_a_bad_body_says_what_is_wrong(raw: bytes, kind: type[Invalid], said: str) -> None:
    with pytest.raises(kind) as told:
        read(Text2Video, raw)
    assert type(told.value) is kind
    assert said in told.value.message


def test_every_error_of_the_service_has_its_code() -> None:
    cases: list[tuple[ServiceError, int]] = [
        (Unauthenticated("x", reason="forged"), 1000),
        (Unauthenticated("x", reason="missing"), 1001),
        (Unauthenticated("x"), 1002),
        (Unauthenticated("x", reason="early"), 1003),
        (Unauthenticated("x", reason="expired"), 1004),
        (Suspended("x"), 1100),
        (OutOfUnits("x"), 1102),
        (Forbidden("x"), 1103),
        (Malformed("x"), 1200),
        (Invalid("x"), 1201),
        (Unsupported("x"), 1201),
        (Clash("x"), 1201),
        (Clash("x", status=422), 1201),
        (Missing("x", status=405), 1202),
        (Missing("x"), 1203),
        (AgainstPolicy("x"), 1300),
        (Refused("x"), 1301),
        (TooManyRequests("x"), 1302),
        (TooManyTasks("x"), 1303),
        (ServiceError("x"), 5000),
        (Unavailable("x"), 5001),
        (Unavailable("x", status=504), 5002),
    ]
    assert [code_of(error) for error, _ in cases] == [code for _, code in cases]
    # Kling's table is whole: what is left over cannot happen here.
    assert set(CODES) - {code for _, code in cases} == {1101, 1304}


@pytest.mark.parametrize(
    ("prompt", "shots"),
    [
        ("shot 1, 3, a red ball; shot 2, 2, a blue ball;", [(1, 3.0, "a red ball"), (2, 2.0, "a blue ball")]),
        ("Shot 1,3s,a ball, rolling; Shot 2 , 2.5 , it stops", [(1, 3.0, "a ball, rolling"), (2, 2.5, "it stops")]),
        ("镜头 1, 3, 红球滚动；镜头 2, 2, 蓝球弹跳；", [(1, 3.0, "红球滚动"), (2, 2.0, "蓝球弹跳")]),
        ("镜头1，3秒，红球；\n镜头2，2秒，蓝球", [(1, 3.0, "红球"), (2, 2.0, "蓝球")]),
        ("a shot 1, 3, of a ball", []),
        ("a ball", []),
        ("", []),
    ],
)
def test_shots_are_read_out_of_a_prompt(prompt: str, shots: list[tuple[int, float, str]]) -> None:
    assert [(shot.index, shot.seconds, shot.words) for shot in shots_in(prompt)] == shots


def test_a_long_prompt_that_is_almost_shots_is_read_fast() -> None:
    prompt = "shot 1, 3, " + "shot 1 , " * 300 + "镜头" * 200
    assert len(shots_in(prompt)) <= 1


def test_shots_become_a_script() -> None:
    shots = [
        Shot(index=1, seconds=3, words="a"),
        Shot(index=2, seconds=2, words="b"),
        Shot(index=3, seconds=1, words="c"),
    ]
    prompt, script, seconds = told_in_order(shots, 6)
    assert (prompt, seconds) == ("a", 6)
    assert [(line.at, line.prompt) for line in script] == [(3, "b"), (5, "c")]


@pytest.mark.parametrize(
    ("shots", "seconds", "said"),
    [
        ([(1, 3, "a"), (3, 2, "b")], None, "number the shots"),
        ([(1, 0.5, "a")], None, "at least 1 s"),
        ([(1, 3, "a"), (2, 2, "b")], 10, "5 s together and the film 10 s"),
        ([(1, 3, "a" * 513)], None, "513 characters"),
        ([(place, 1, "a") for place in range(1, 8)], None, "1 to 6 shots, not 7"),
    ],
)
def test_shots_that_do_not_fit_are_refused(
    shots: list[tuple[int, float, str]], seconds: float | None, said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        told_in_order([Shot(index=index, seconds=long, words=words) for index, long, words in shots], seconds)


def test_lists_of_shots_are_a_script_too() -> None:
    raw = (
        b'{"multi_shot": "true", "shot_type": "customize", "duration": "5", "prompt": "not read", "multi_prompt":'
        b' [{"index": "1", "prompt": "a", "duration": "3"}, {"index": 2, "prompt": "b", "duration": 2}]}'
    )
    told = told_in(read(Text2Video, raw))
    assert (told.prompt, told.seconds, [(line.at, line.prompt) for line in told.script]) == ("a", 5, [(3, "b")])
    plain = told_in(read(Text2Video, b'{"multi_shot": true, "shot_type": "intelligence", "prompt": "a"}'))
    assert (plain.prompt, plain.script) == ("a", ())


def test_a_voice_is_not_found() -> None:
    with pytest.raises(Invalid, match="Voice id not found: 42"):
        told_in(read(Text2Video, b'{"prompt": "a", "sound": "on", "voice_list": [{"voice_id": 42}]}'))
    with pytest.raises(Invalid, match="sound is on or off"):
        told_in(read(Text2Video, b'{"prompt": "a", "sound": "loud"}'))


def test_modes_and_resolutions_choose_the_quality() -> None:
    words = ["std", "pro", "4k", "720p", "1080p", "4K", None]
    assert [quality_for(word, STUB) for word in words] == [
        "standard",
        "pro",
        "pro",
        "standard",
        "pro",
        "pro",
        "standard",
    ]
    with pytest.raises(Invalid, match="no mode 'fast'"):
        quality_for("fast", STUB)


def test_lengths_are_cut_to_what_the_model_makes() -> None:
    short = STUB.__class__(**{**STUB.__dict__, "most_seconds": 4.0})
    assert [seconds_for(asked, STUB) for asked in (None, 10, 30)] == [5.0, 10, 30]
    assert seconds_for(10, short) == 4.0
    with pytest.raises(Invalid, match="at most 4 s"):
        seconds_for(10, short, exactly=True)
    for asked in (0, 0.5, 31, -3):
        with pytest.raises(Invalid, match="choose from 1 to 30"):
            seconds_for(asked, STUB)


def test_aspects() -> None:
    assert [aspect_of(word) for word in (None, "auto", "9:16", "21:9")] == ["16:9", "16:9", "9:16", "21:9"]
    for word in ("wide", "0:1", "16/9", "1:" + "9" * 400):
        with pytest.raises(Invalid, match="aspect_ratio"):
            aspect_of(word)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("<<<image_1>>> runs", "@image_1 runs"),
        ("<<<image_1>>>在奔跑", "@image_1在奔跑"),
        ("<<<Image_01>>>2 runs", "@image_1 2 runs"),
        ("@image_1 meets @Zhang", "@image_1 meets Zhang"),
        ("from <<<image_2>>> on", "from the picture on"),
        ("从<<<image_2>>>开始", "从画面开始"),
        ("write to a@b.example", "write to a@b.example"),
    ],
)
def test_prompts_point_to_pictures(prompt: str, told: str) -> None:
    assert pointed(prompt, ["image_1"], ["image_2"]) == told


def test_a_prompt_that_points_to_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="points to <<<image_3>>>, and the request brings <<<image_1>>>"):
        pointed("<<<image_3>>> runs", ["image_1"])
    with pytest.raises(Invalid, match="brings nothing"):
        pointed("<<<voice_1>>> speaks", [])


def test_camera_moves() -> None:
    def told(raw: bytes) -> object:
        return moves_of(read(CameraControl, raw))

    assert told(b'{"type": "forward_up"}').move == NAMED_MOVES["forward_up"]
    assert told(b'{"type": "simple", "config": {"horizontal": "-2.5", "pan": 0}}').move.horizontal == -2.5
    assert told(b'{"config": {"zoom": 10}}').move.zoom == 10
    assert told(b"{}") is None
    for raw, said in [
        (b'{"type": "spin"}', "no camera type 'spin'"),
        (b'{"type": "simple"}', "exactly one"),
        (b'{"type": "simple", "config": {"pan": 1, "tilt": 2}}', "pan=1, tilt=2"),
        (b'{"type": "simple", "config": {"pan": 11}}', "-10 to 10"),
        (b'{"type": "simple", "config": {"pan": 1e400}}', "pan"),
    ]:
        with pytest.raises(Invalid, match=said):
            told(raw)
    assert math.isfinite(told(b'{"config": {"roll": 1e-3}}').move.roll)
