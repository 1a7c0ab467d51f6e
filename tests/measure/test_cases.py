"""Held-out prompts: fixed, spread evenly, true to their scenes."""

from collections import Counter

import pytest

from kinora.core.errors import InputError
from kinora.measure.cases import FIRST_SEED, choose_cases, choose_falls
from kinora.measure.prompts import FREE, IN_GRAMMAR
from kinora.measure.score import score
from kinora.world.splits import held_out_combinations


def test_the_same_every_time_and_the_first_of_many_are_the_few():
    assert [case.prompt for case in choose_cases(6)] == [case.prompt for case in choose_cases(12)][:6]


def test_even_over_splits_and_languages():
    cases = choose_cases(12)
    assert set(Counter((case.split, case.language) for case in cases).values()) == {2}
    assert len({case.name for case in cases}) == 12
    assert all(case.seed >= FIRST_SEED for case in cases)


def test_prompts_are_in_their_language():
    for case in choose_cases(12):
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in case.prompt)
        assert chinese == (case.language == "zh"), case.prompt


def test_prompts_state_nothing_but_the_truth():
    for case in choose_cases(18):
        assert all(right == asked for right, asked in score(case.stated, case.full).values()), case.prompt


def test_held_out_cases_show_held_out_pairs():
    assert all(held_out_combinations(case.scene) for case in choose_cases(12) if case.split == "held_out")


def test_prompts_of_the_wide_world_speak_of_what_it_adds_and_those_of_the_first_do_not():
    first, wide = choose_cases(12), choose_cases(30, "2.0")
    assert [case.prompt for case in choose_cases(12, "1.0")] == [case.prompt for case in first]
    assert all(right == asked for case in wide for right, asked in score(case.stated, case.full).values())
    assert all(held_out_combinations(case.scene) for case in wide if case.split == "held_out")
    new = ("weather", "waves", "rope", "shot")
    assert not any(getattr(case.stated, name) for case in first for name in new)
    assert any(getattr(case.stated, name) or case.stated.animals for case in wide for name in new)
    with pytest.raises(InputError, match=r"world '0\.9'.*1\.0, 2\.0"):
        choose_cases(3, "0.9")


def test_falls_are_of_stated_size_before_a_still_camera_and_out_of_the_same_prompts():
    falls = choose_falls(2)
    assert choose_falls(1)[0].name == falls[0].name
    for case in falls:
        fallen = [body for body in case.stated.bodies if body.action == "fall"]
        assert any(body.size and body.shape != "cube" for body in fallen)
        assert case.scene.camera.kind == "still"
    last = falls[-1].seed - FIRST_SEED
    assert choose_cases(last + 1)[last].prompt == falls[-1].prompt
    assert choose_falls(0) == []


def test_no_prompts_no_measure():
    with pytest.raises(InputError, match="0"):
        choose_cases(0)


def test_the_gallery_s_sentences():
    assert len(FREE) == 30
    assert len(IN_GRAMMAR) == 20
    prompts = (*FREE, *IN_GRAMMAR)
    assert len({prompt.text for prompt in prompts}) == len({prompt.seed for prompt in prompts}) == 50
    for sentences in (FREE, IN_GRAMMAR):
        chinese = [prompt for prompt in sentences if any("\u4e00" <= letter <= "\u9fff" for letter in prompt.text)]
        assert 2 * len(chinese) == len(sentences)
