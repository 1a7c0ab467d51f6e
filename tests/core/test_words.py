"""The words of both languages: complete, distinct and well inflected."""

from __future__ import annotations

import pytest

from kinora.core.errors import InputError
from kinora.core.slots import SLOTS, UNSPOKEN
from kinora.core.words import LANGUAGES, WORDS, all_wordings, participle, plural, wordings

UNSAID = {(slot, value) for slot, values in SLOTS.items() for value in values if value in UNSPOKEN}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_of_every_slot_has_words_and_nothing_else_has(language: str) -> None:
    assert {slot: tuple(values) for slot, values in WORDS[language].items()} == SLOTS
    for slot, values in SLOTS.items():
        for value in values:
            assert bool(WORDS[language][slot][value]) == ((slot, value) not in UNSAID), (slot, value)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("slot", SLOTS)
def test_no_wording_means_two_values_of_one_slot(language: str, slot: str) -> None:
    seen: dict[str, str] = {}
    for value in SLOTS[slot]:
        for wording in wordings(slot, value, language):
            assert seen.setdefault(wording, value) == value, f"{wording!r} says {seen[wording]} and {value}"


def test_words_are_plain_text() -> None:
    for wording in all_wordings():
        assert wording == wording.strip().lower()
        assert "  " not in wording
        assert "\u2019" not in wording


def test_english_is_ascii_and_chinese_is_not() -> None:
    for slot, values in SLOTS.items():
        for value in values:
            assert all(word.isascii() for word in wordings(slot, value, "en"))
            assert not any(letter.isascii() for word in wordings(slot, value, "zh") for letter in word)


@pytest.mark.parametrize(
    ("verb", "several", "doing"),
    [
        ("rolls along", "roll along", "rolling along"),
        ("does not move", "do not move", "not moving"),
        ("flies in an arc", "fly in an arc", "flying in an arc"),
        ("is thrown through the air", "are thrown through the air", "thrown through the air"),
        ("keeps bouncing", "keep bouncing", "bouncing"),
        ("is standing", "are standing", "standing"),
        ("carries", "carry", "carrying"),
        ("wags its tail", "wag its tail", "wagging its tail"),
    ],
)
def test_verbs_bend(verb: str, several: str, doing: str) -> None:
    assert plural(verb) == several
    assert participle(verb) == doing


def test_every_english_action_can_be_bent() -> None:
    for slot in ("body.action", "figure.action", "animal.action", "rope"):
        for values in WORDS["en"][slot].values():
            for verb in values:
                assert plural(verb) != verb
                assert participle(verb)


def test_forms_are_among_the_wordings() -> None:
    assert {"rolls", "roll", "rolling"} <= set(wordings("body.action", "roll", "en"))
    assert {"sways", "swaying"} <= set(wordings("rope", "swing", "en"))
    assert set(wordings("body.action", "roll", "en")) <= set(all_wordings())
    assert len(all_wordings()) == len(set(all_wordings())) > 500


@pytest.mark.parametrize(
    ("slot", "value", "language"), [("body.colour", "mauve", "en"), ("x", "red", "en"), ("sky", "day", "fr")]
)
def test_unknown_names_are_refused_with_the_page_to_read(slot: str, value: str, language: str) -> None:
    with pytest.raises(InputError, match=r"docs/vocabulary\.md"):
        wordings(slot, value, language)
