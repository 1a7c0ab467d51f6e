"""How people say each value of each slot, in English and Chinese.

English actions and camera moves stand in the third person singular; `plural` and `participle` give their other forms.
A value without words (no direction, no backdrop, no event) is not talked about. What a figure does to something takes
that thing after the verb ("carries a red ball"), and so does what a body circles.
"""

from __future__ import annotations

from collections.abc import Mapping

from kinora.core.errors import InputError
from kinora.core.slots import SLOTS
from kinora.core.words_en import ENGLISH, FORMS
from kinora.core.words_zh import CHINESE

__all__ = ["LANGUAGES", "WORDS", "all_wordings", "participle", "plural", "wordings"]

LANGUAGES = ("en", "zh")

Words = dict[str, dict[str, tuple[str, ...]]]

WORDS: dict[str, Words] = {"en": ENGLISH, "zh": CHINESE}
"""Language -> slot by its full name -> value -> the ways to say it, the plainest first."""

_VERBS = ("rope",)
"""Slots told by verbs, beside all that end in "action"."""


def plural(verb: str) -> str:
    """The form for several: "rolls along" -> "roll along"."""
    first, _, rest = verb.partition(" ")
    return f"{FORMS[first][0]} {rest}".strip()


def participle(verb: str) -> str:
    """The form after a noun: "rolls along" -> "rolling along"; "does not move" -> "not moving"."""
    if verb == "does not move":
        return "not moving"
    first, _, rest = verb.partition(" ")
    return f"{FORMS[first][1]} {rest}".strip()


def wordings(slot: str, value: str, language: str) -> tuple[str, ...]:
    """Every way to say a slot's value, in all its forms; empty for a value that is not talked about.

    Raises `InputError` for a language, slot or value that does not exist.
    """
    try:
        words = WORDS[language][slot][value]
    except KeyError as error:
        raise InputError(
            f"There are no words for {slot} = {value!r} in {language!r}; see docs/vocabulary.md for what can be said."
        ) from error
    if language != "en" or not (slot.endswith(".action") or slot in _VERBS):
        return words
    forms = [form for verb in words for form in (verb, plural(verb), participle(verb))]
    return tuple(dict.fromkeys(forms))


def all_wordings(slots: Mapping[str, tuple[str, ...]] = SLOTS) -> tuple[str, ...]:
    """Every wording of every value of a table of slots in both languages, without repeats, in a fixed order."""
    found: dict[str, None] = {}
    for language in LANGUAGES:
        for slot, values in slots.items():
            for value in values:
                found.update(dict.fromkeys(wordings(slot, value, language)))
    return tuple(found)
