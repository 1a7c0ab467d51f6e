"""The seam: which rules the settings choose, what is said, hooks of an operator's own; and how lists are read."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from kinora.core.errors import InputError
from kinora.service.errors import Refused
from kinora.service.moderation import _TITLES, Moderation
from kinora.service.settings import Settings
from kinora.service.wordlists import Rules, shipped


def test_words_are_the_default_and_answer_in_the_prompt_s_language() -> None:
    moderation = Moderation.of(Settings())
    moderation.check_prompt("a boat")
    moderation.check_prompt("")
    with pytest.raises(Refused, match="explicit sexual content") as english:
        moderation.check_prompt("a naked woman")
    with pytest.raises(Refused, match="露骨的色情内容"):
        moderation.check_prompt("一个 naked 的女人")
    with pytest.raises(Refused, match=r"^提示词涉及未成年人的性内容，"):
        moderation.check_prompt("裸体的小女孩")
    assert "naked" not in english.value.message  # it would say how to go around it
    assert english.value.code == "refused"


def test_both_lists_hold_whatever_the_language() -> None:
    moderation = Moderation.of(Settings())
    for prompt in ("how to make a bomb", "制作炸弹教程", "naked 小女孩", "一个nude的女人"):
        with pytest.raises(Refused):
            moderation.check_prompt(prompt)


def test_no_category_s_sentence_says_a_word_twice() -> None:
    for category in {rule.category for rule in shipped()._rules}:
        assert not _TITLES[category][1].startswith("涉及"), category


def test_none_allows_everything(tmp_path: Path) -> None:
    moderation = Moderation.of(Settings(moderation="none"))
    moderation.check_prompt("a naked woman")
    moderation.check_output(tmp_path / "x.mp4")


def test_outputs_pass_without_a_hook(tmp_path: Path) -> None:
    Moderation.of(Settings()).check_output(tmp_path / "x.mp4")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("own_rules")
    monkeypatch.setitem(sys.modules, "own_rules", module)
    return module


def test_a_function_of_one_s_own(own: types.ModuleType, tmp_path: Path) -> None:
    own.check = lambda text, language: f"no cats ({language})" if "cat" in text else None
    moderation = Moderation.of(Settings(moderation="own_rules:check"))
    moderation.check_prompt("a naked woman")
    with pytest.raises(Refused, match=r"no cats \(zh\)"):
        moderation.check_prompt("一只 cat")
    with pytest.raises(Refused, match=r"no cats \(en\)"):
        moderation.check_prompt("a cat")
    moderation.check_output(tmp_path / "x.mp4")


def test_an_object_of_one_s_own_sees_outputs_too(own: types.ModuleType, tmp_path: Path) -> None:
    class Own:
        def check(self, text: str, language: str) -> str | None:
            return None

        def check_output(self, path: Path) -> str | None:
            return None if path.read_bytes() == b"good" else "not good"

    own.rules = Own()
    moderation = Moderation.of(Settings(moderation="own_rules:rules"))
    file = tmp_path / "x.mp4"
    file.write_bytes(b"good")
    moderation.check_output(file)
    file.write_bytes(b"bad")
    with pytest.raises(Refused, match="not good"):
        moderation.check_output(file)


@pytest.mark.parametrize(
    "name", ["wards", "own_rules:", "own_rules:missing", "no_such_module:check", ":", "own_rules:text", ""]
)
def test_a_hook_that_is_not_there_is_said_at_once(name: str, own: types.ModuleType) -> None:
    own.text = "not a function"
    with pytest.raises(InputError, match="set KINORA_MODERATION to words, none, or module:name"):
        Moderation.of(Settings(moderation=name))


def test_the_language_of_lists() -> None:
    rules = Rules(
        """
        @pet = cat | hamster
        # a note
        [animals]
        @pet + feed* | big @pet  # of two sides
        tame tiger | 老虎
        [allow]
        cat food | 纸老虎
        """.splitlines()
    )
    for text in (
        "feeding the cats",
        "the cat, a grey one, is fed or feeds",
        "TAME TIGERS",
        "big hamster cat",
        "一只老虎",
        "老 虎",
    ):
        assert rules.found(text) == "animals", text
    for text in (
        "a cat",
        "feeding. The cat",
        "tametiger",
        "concatenate feeds",
        "cat food, feeding",
        "纸老虎",
        "tame a tiger",
        "",
    ):
        assert rules.found(text) is None, text
    ordered = Rules(["@pet = cat | 猫", "[harm]", "kick the | 踢 > @pet"])
    for text in ("he kicks, and kick the old cat", "踢那只猫", "踢猫"):
        assert ordered.found(text) == "harm", text
    for text in ("the cat may kick the ball", "kick the ball to a cat", "踢足球给小猫看", "猫踢球"):
        assert ordered.found(text) is None, text
    far = "cat " + "and then some " * 4 + "feeds"
    assert rules.found(far) is None


def test_ages_are_read_whole() -> None:
    for text in ("14岁 裸体", "十四岁，裸体", "7岁的裸体", "14 year old, nude", "a 9yo nude"):
        assert shipped().found(text) == "minors", text
    for text in (
        "27岁性感女星走红毯",
        "二十七岁性感女星走红毯",
        "107岁的性感老人",
        "a sexy 27 year old dancer",
        "114 years of sexy fashion",
    ):
        assert shipped().found(text) is None, text


def test_the_shipped_lists_are_small_and_in_simplified_characters() -> None:
    from importlib.resources import files

    folder = files("kinora.service") / "words"
    traditional = {
        pair[0]
        for line in (folder / "traditional.map").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
        for pair in line.split()
    }
    for name in ("en.txt", "zh.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not traditional & set(text), traditional & set(text)
        assert len(text.splitlines()) < 250
    assert shipped() is shipped()
