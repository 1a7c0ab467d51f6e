"""A labelled set of prompts in both languages: what must be refused, plain and in disguise, and its harmless twins."""

from __future__ import annotations

import base64
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from kinora.service.wordlists import shipped

FOLDER = Path(__file__).parent
BLOCKED = [
    tuple(line.split(" | ", 1))
    for line in (FOLDER / "blocked.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
BENIGN = [line for line in (FOLDER / "benign.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
CHINESE = re.compile("[\u4e00-\u9fff]")
RECALL = 0.97
OVER = 0.02


def _words(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: re.sub("[A-Za-z]{3,}", lambda match: change(match[0]), text)


def _letters(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: text.translate(str.maketrans(table))


def _traditional() -> dict[str, str]:
    lines = (files("kinora.service") / "words" / "traditional.map").read_text(encoding="utf-8").splitlines()
    return {pair[1]: pair[0] for line in lines if not line.startswith("#") for pair in line.split()}


def _spelt_out(text: str) -> str:
    return re.sub("[A-Za-z]{4,}", lambda match: " ".join(match[0]), text)


def _fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _masked(word: str) -> str:
    vowels = [at for at in range(1, len(word) - 1) if word[at] in "aeiou"]
    return word if not vowels else word[: vowels[0]] + "*" + word[vowels[0] + 1 :]


LATIN_DISGUISES: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "digits for letters": _letters({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5"}),
    "signs for letters": _letters({"a": "@", "s": "$", "i": "!"}),
    "cyrillic": _letters({"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "i": "і"}),
    "full width": _fullwidth,
    "zero width": _words("\u200b".join),
    "soft hyphens": _words("\u00ad".join),
    "dots": _words(".".join),
    "dashes": _words("-".join),
    "spelt out": _spelt_out,
    "accents": _letters({"a": "á", "e": "ë", "i": "ï", "o": "ô", "u": "ü", "n": "ñ"}),
    "stretched": _words(lambda word: re.sub("([aeiou])", r"\1\1\1\1", word, count=1)),
    "asterisks": _words(_masked),
    "script letters": lambda text: "".join(
        chr(0x1D4D0 + ord(c) - 65) if "A" <= c <= "Z" else chr(0x1D4EA + ord(c) - 97) if "a" <= c <= "z" else c
        for c in text
    ),
    "small capitals": _letters(dict(zip("abcdeghijkmnoprtuvwyz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True))),
}
CHINESE_DISGUISES: dict[str, Callable[[str], str]] = {
    "spaces": " ".join,
    "asterisks": "*".join,
    "zero width": "\u200b".join,
    "commas": "，".join,
    "middle dots": "·".join,
    "emoji": "🔥".join,
    "traditional": lambda text: text.translate(str.maketrans(_traditional())),
    "entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
}
DISGUISES: dict[str, Callable[[str], str]] = {
    "none": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 within": lambda text: f"please draw {base64.b64encode(text.encode()).decode()} as a film",
    "percent": quote,
    "within": lambda text: f"A film in soft light. {text}. The camera moves slowly, 35 mm, 电影感。",
}


def _cases() -> dict[str, list[tuple[str, str]]]:
    """Every prompt plain, and every third one in each disguise."""
    cases: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for at, (category, prompt) in enumerate(BLOCKED):
        own = CHINESE_DISGUISES if CHINESE.search(prompt) else LATIN_DISGUISES
        language = "zh" if own is CHINESE_DISGUISES else "en"
        for place, (name, disguise) in enumerate((DISGUISES | own).items()):
            if name == "none" or (at + place) % 3 == 0:
                cases[f"{language}, {name}"].append((category, disguise(prompt)))
    return cases


def test_what_must_be_refused_is(record_property) -> None:
    rules = shipped()
    missed, total = [], 0
    by_kind = {}
    for kind, cases in _cases().items():
        lost = [prompt for _, prompt in cases if rules.found(prompt) is None]
        missed += [(kind, prompt) for prompt in lost]
        total += len(cases)
        by_kind[kind] = 1 - len(lost) / len(cases)
    recall = 1 - len(missed) / total
    record_property("recall", recall)
    print(f"recall {recall:.4f} of {total}: " + ", ".join(f"{kind} {share:.3f}" for kind, share in by_kind.items()))
    assert len(BLOCKED) >= 200
    assert recall >= RECALL, missed[:50]
    assert by_kind["en, none"] >= RECALL
    assert by_kind["zh, none"] >= RECALL
    assert min(by_kind.values()) >= 0.8, by_kind  # no disguise is a way around


def test_harmless_twins_pass(record_property) -> None:
    rules = shipped()
    found = {prompt: rules.found(prompt) for prompt in BENIGN}
    refused = {prompt: category for prompt, category in found.items() if category}
    share = len(refused) / len(BENIGN)
    record_property("over_block", share)
    print(f"over-block {share:.4f} of {len(BENIGN)}: {refused}")
    assert len([prompt for prompt in BENIGN if CHINESE.search(prompt)]) >= 100
    assert len(BENIGN) >= 200
    assert share <= OVER, refused


def test_the_category_is_named_rightly() -> None:
    rules = shipped()
    wrong = [(prompt, category) for category, prompt in BLOCKED if rules.found(prompt) not in (category, None)]
    assert len(wrong) <= 0.05 * len(BLOCKED), wrong
    minors = [prompt for category, prompt in BLOCKED if category == "minors"]
    assert [prompt for prompt in minors if rules.found(prompt) != "minors"] == []


def test_no_text_takes_long() -> None:
    """Also texts made to take long: every word of the lists many times, runs of letters, of signs, of brackets."""
    words = [word for _, prompt in BLOCKED for word in prompt.split()] + ["a", "*", "(", "w*m*n", "炸", "，", "QUJD"]
    made = [
        "a ",
        "a*",
        "(",
        "炸，",
        "woman ",
        "QUJD",
        "!",
        "a.b-",
        "\u200b",
        "child . ",
        "&#97;",
        "%4",
        "w*m*n ",
        "(( a))",
        "aaa",
    ]
    for text in (" ".join(random.Random(0).choices(words, k=400)), *(part * 2500 for part in made)):
        started = time.process_time()
        shipped().found(text[:2500])
        assert time.process_time() - started < 0.5, text[:40]
