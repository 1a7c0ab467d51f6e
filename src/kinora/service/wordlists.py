"""The word lists (`words/*.txt`): how they are written, read, and held against a text.

A line of a list is one of

    # a note
    [category]                  what follows belongs to it; [allow] lists harmless phrases that have a rule in them
    @name = one | two | three   a group, to be used in phrases; the same name again adds to it
    one | two words | begin*    a rule: one of these stands in the text
    @name + one | two           a rule: one of each side stand near each other in one sentence, in any order
    @name > one | two           a rule: one of the first side, then one of the second, with a word between at most

Latin words stand alone (with an s or without), `*` lets a word go on; Chinese ones stand anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kinora.service.unmasking import CJK, Words, readings

__all__ = ["Rules", "shipped"]

NEAR = 7
"""Words that may stand between two parts of a rule; two Chinese characters count as one."""
FAR = 150
"""Characters between the beginnings of two that are looked at at all."""
CLOSE = 1
"""Words that may stand between the two parts of a rule with `>`."""
_WORD = re.compile(rf"[a-z0-9]+|[{CJK}]{{1,2}}")
_SEAM = re.compile(rf"(?<=[a-z0-9])(?=[{CJK}])|(?<=[{CJK}])(?=[a-z0-9])")
_STARTS_APART = re.compile("^[a-z0-9一二三四五六七八九十]")
_HAS_CJK = re.compile(f"[{CJK}]")

Written = tuple[str, list[list[str]], bool]
"""A rule as it is read: its category, the phrases of its parts, and whether they are in order."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line: a category, and one part or two that must stand near each other."""

    category: str
    parts: tuple[re.Pattern[str], ...]
    ordered: bool = False
    """Whether the second part must follow the first closely."""


class Rules:
    """Rules and harmless phrases. `found` says which category a text falls under."""

    def __init__(self, lines: Iterable[str]) -> None:
        groups, rules, allowed = _read(lines)
        self._allowed = _pattern(allowed, {}) if allowed else None
        self._rules = tuple(
            Rule(category=category, parts=tuple(_pattern(part, groups) for part in parts), ordered=ordered)
            for category, parts, ordered in rules
        )
        phrases = {phrase for _, parts, _ in rules for part in parts for phrase in _flat(part, groups)}
        self._words = Words({word for phrase in phrases for word in phrase.split() if len(word) > 1})

    def found(self, text: str) -> str | None:
        """The category of the first rule that the text breaks."""
        for reading in readings(text, self._words):
            if self._allowed is not None:
                reading = self._allowed.sub(" , ", reading)
            spans: dict[str, list[tuple[int, int]]] = {}
            for rule in self._rules:
                if _breaks(rule, reading, spans):
                    return rule.category
        return None


@cache
def shipped() -> Rules:
    """The lists that come with Kinora, in both languages."""
    folder = files("kinora.service") / "words"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return Rules(line for name in names for line in (folder / name).read_text(encoding="utf-8").splitlines())


def _read(lines: Iterable[str]) -> tuple[dict[str, list[str]], list[Written], list[str]]:
    groups: dict[str, list[str]] = {}
    rules: list[Written] = []
    allowed: list[str] = []
    category = ""
    for line in (line.split("#")[0].strip() for line in lines):
        if not line:
            continue
        if line.startswith("["):
            category = line.strip("[]")
        elif line.startswith("@") and "=" in line:
            name, _, words = line.partition("=")
            groups.setdefault(name.strip(), []).extend(_phrases(words))
        elif category == "allow":
            allowed.extend(_phrases(line))
        else:
            parts = re.split("[+>]", line)
            assert len(parts) <= 2, f"more than one + or > in {line!r}"
            rules.append((category, [_phrases(part) for part in parts], ">" in line))
    return groups, rules, allowed


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split("|") if phrase.strip()]


def _flat(phrases: Iterable[str], groups: Mapping[str, list[str]]) -> Iterator[str]:
    for phrase in phrases:
        name = next((word for word in phrase.split() if word.startswith("@")), None)
        if name is None:
            yield phrase
        else:
            yield from _flat((phrase.replace(name, word) for word in groups[name]), groups)


def _pattern(phrases: Iterable[str], groups: Mapping[str, list[str]]) -> re.Pattern[str]:
    latin, chinese = [], []
    for phrase in sorted(set(_flat(phrases, groups)), key=len, reverse=True):
        plain = re.escape(phrase).replace(r"\ ", " ")
        if _HAS_CJK.search(phrase):
            # As readings are spaced; and 七岁 is not meant where 二十七岁 stands.
            chinese.append(_STARTS_APART.sub(r"(?<![a-z0-9一二三四五六七八九十])\g<0>", _SEAM.sub(" ", plain)))
        elif phrase.endswith("*"):
            latin.append(plain.removesuffix(r"\*") + "[a-z]*")
        else:
            latin.append(plain + "s?")
    either = [rf"\b(?:{'|'.join(latin)})\b"] if latin else []
    return re.compile("|".join([*either, *chinese]))


def _breaks(rule: Rule, text: str, known: dict[str, list[tuple[int, int]]]) -> bool:
    for part in rule.parts:
        if part.pattern not in known:
            known[part.pattern] = [match.span() for match in part.finditer(text)]
        if not known[part.pattern]:
            return False
    if len(rule.parts) == 1:
        return True
    one, other = (known[part.pattern] for part in rule.parts)
    near = _follows if rule.ordered else _near
    return any(near(text, a, b) for a in one for b in other if abs(a[0] - b[0]) <= FAR)


def _near(text: str, a: tuple[int, int], b: tuple[int, int]) -> bool:
    first, second = sorted((a, b))
    between = text[first[1] : second[0]]
    return second[0] >= first[1] and " . " not in f" {between} " and len(_WORD.findall(between)) <= NEAR


def _follows(text: str, a: tuple[int, int], b: tuple[int, int]) -> bool:
    between = text[a[1] : b[0]]
    return b[0] >= a[1] and not {".", ","} & set(between) and len(_WORD.findall(between)) <= CLOSE
