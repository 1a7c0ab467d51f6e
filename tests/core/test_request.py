"""What a request lets through, and what it says of the rest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinora.core.errors import InputError, PromptError, ShapeError
from kinora.core.request import ASPECTS, PROMPT_LIMIT, QUALITIES, SEED_LIMIT, Line, Request


def test_defaults_are_five_seconds_square_standard() -> None:
    request = Request(prompt="a red ball")
    assert (request.seconds, request.aspect, request.quality, request.seed, request.negative) == (
        5.0, "1:1", "standard", 0, "",
    )  # fmt: skip


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u3000"])
def test_empty_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(PromptError, match="empty"):
        Request(prompt=prompt)


def test_prompt_is_tidied_not_changed() -> None:
    assert Request(prompt="  a red\n ball\u3000滚动 ").prompt == "a red ball 滚动"


def test_long_prompt_is_refused_with_its_length() -> None:
    Request(prompt="x" * PROMPT_LIMIT)
    with pytest.raises(PromptError, match=str(PROMPT_LIMIT + 1)):
        Request(prompt="x" * (PROMPT_LIMIT + 1))
    with pytest.raises(PromptError, match="negative prompt"):
        Request(prompt="x", negative="y" * (PROMPT_LIMIT + 1))


@pytest.mark.parametrize("prompt", ["a\x00b", "ball\udcff", "\x1b[31mred"])
def test_bytes_that_are_no_text_are_refused(prompt: str) -> None:
    with pytest.raises(PromptError, match="not text"):
        Request(prompt=prompt)


@pytest.mark.parametrize("seconds", [0.0, 0.2, -1.0, 600.01, float("nan"), float("inf"), True, "5"])
def test_seconds_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(ShapeError):
        Request(prompt="x", seconds=seconds)


@pytest.mark.parametrize("seconds", [0.25, 5, 180.0, 600.0])
def test_seconds_in_range_pass(seconds: float) -> None:
    assert Request(prompt="x", seconds=seconds).seconds == seconds


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, 1.5, "3", True])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        Request(prompt="x", seed=seed)


def test_an_unknown_word_for_aspect_or_quality_lists_the_known_ones() -> None:
    with pytest.raises(ShapeError, match="16:9"):
        Request(prompt="x", aspect="4:3")
    with pytest.raises(InputError, match="draft"):
        Request(prompt="x", quality="best")


@given(
    prompt=st.text(
        st.characters(blacklist_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], blacklist_characters="@"),
        min_size=1,
        max_size=50,
    ),
    seconds=st.floats(0.25, 600.0),
    aspect=st.sampled_from(ASPECTS),
    quality=st.sampled_from(QUALITIES),
    seed=st.integers(0, SEED_LIMIT - 1),
)
def test_a_request_survives_json(prompt: str, seconds: float, aspect: str, quality: str, seed: int) -> None:
    request = Request(prompt=prompt, seconds=seconds, aspect=aspect, quality=quality, seed=seed)
    assert Request.from_record(json.loads(json.dumps(request.to_record()))) == request


def test_a_record_with_unknown_fields_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="sound"):
        Request.from_record({"prompt": "x", "sound": True})
    with pytest.raises(InputError, match="prompt"):
        Request.from_record({"seed": 1})


def test_a_request_without_conditions_keeps_the_record_it_always_had() -> None:
    assert Request(prompt="x").to_record() == {
        "prompt": "x", "seconds": 5.0, "aspect": "1:1", "quality": "standard", "seed": 0, "negative": "",
    }  # fmt: skip


def test_a_script_survives_json_and_its_prompts_are_tidied() -> None:
    request = Request(prompt="x", seconds=20, script=(Line(at=5, prompt=" a  cube "), Line(at=10.5, prompt="球")))
    assert request.script[0].prompt == "a cube"
    assert Request.from_record(json.loads(json.dumps(request.to_record()))) == request
    assert request != Request(prompt="x", seconds=20)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([(0, "a")], "above 0"),
        ([(-1.0, "a")], "above 0"),
        ([(float("nan"), "a")], "above 0"),
        ([(True, "a")], "above 0"),
        ([(2.0, " ")], "prompt at 2 s is empty"),
        ([(2.0, "y" * 2501)], "2501"),
        ([(3.0, "a"), (2.0, "b")], "3 s, 2 s"),
        ([(3.0, "a"), (3.0, "b")], "follow each other"),
        ([(5.0, "a")], "after the film's 5 s"),
    ],
)
def test_scripts_that_cannot_be_followed_are_refused(lines: list[tuple[float, str]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Request(prompt="x", script=tuple(Line(at=at, prompt=prompt) for at, prompt in lines))


@pytest.mark.parametrize("script", [3, [3], [{"at": 1}], [{"at": 1, "prompt": "x", "cut": True}]])
def test_a_record_s_script_must_be_one(script: object) -> None:
    with pytest.raises(InputError, match="script"):
        Request.from_record({"prompt": "x", "script": script})


def test_a_size_and_a_share_of_reuse_survive_json_and_are_left_out_otherwise() -> None:
    asked = Request(prompt="a", size=[832, 480], reuse=0.1)  # type: ignore[arg-type]
    assert asked.size == (832, 480)
    assert Request.from_record(json.loads(json.dumps(asked.to_record()))) == asked
    assert {"size", "reuse"}.isdisjoint(Request(prompt="a").to_record())


@pytest.mark.parametrize("size", [(832,), (832, 0), (832.0, 480), "832x480", (True, 480), (1, 2, 3)])
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(ShapeError, match="whole pixels, such as 832x480"):
        Request(prompt="a", size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("reuse", [-0.1, 0.51, float("nan"), "0.1", True])
def test_a_share_of_reuse_out_of_range_is_refused(reuse: object) -> None:
    with pytest.raises(InputError, match=r"0 to 0\.5"):
        Request(prompt="a", reuse=reuse)  # type: ignore[arg-type]
