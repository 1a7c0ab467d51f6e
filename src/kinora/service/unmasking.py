"""A prompt as it is meant, whatever it is written like: the readings that the word lists are held against.

A reading is lower case, Latin letters and simplified Chinese, with one space between words and around runs of Chinese
characters, and ` . ` where a sentence ends. Several readings are given because a disguise can be undone in several
ways; most prompts have one or two.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from urllib.parse import unquote

__all__ = ["CJK", "Words", "readings"]

LONGEST = 20_000
"""Characters of a text that are read; the wire formats take fewer."""
CJK = "\u3400-\u4dbf\u4e00-\u9fff"

_LEET = str.maketrans("013456789@$!|+€£¢", "oieasgtbgasiiteec")
_AROUND = "!|+.,?;:'\"()[]"
_INVISIBLE = {"Cf", "Mn", "Me", "Co", "Cn", "Cs"}
_FILLERS = "\u115f\u1160\u2800\u3164"
"""Letters and signs by their category, and nothing to see."""
_SENTENCE_END = re.compile(rf"[.!?;:]+(?=\s|$|[{CJK}])|[。！？；…\n]+")
_NOT_WORDS = re.compile(rf"[^a-z0-9{CJK},.]+|(?<![{CJK}\s]),|,(?![{CJK}])")
_BETWEEN_CJK = re.compile(rf"(?<=[{CJK}])[^a-z0-9{CJK},.。！？；…]+(?=[{CJK}])")
_CJK_RUN = re.compile(rf"([{CJK}]+(?:,[{CJK}]+)*)")
_LATIN = re.compile("[a-z]{3,}")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_SPELT = re.compile(r"(?<![a-z])[a-z](?: [a-z]){3,}(?![a-z])")
_SCATTERED = re.compile(rf"(?<![{CJK}])[{CJK}](?:[^a-z0-9{CJK}]{{1,3}}[{CJK}]){{2,}}(?![{CJK}])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")


class Words:
    """The Latin words of the lists, to know them by when they have asterisks or are stretched or spelt out. A word that
    ends in an asterisk may go on.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._whole = {word for word in words if word.isalpha() and word.isascii()}
        self._begun = frozenset({word[:-1] for word in words if word.endswith("*") and len(word) > 3})
        self._every = every = self._whole | self._begun
        self._by_length = {n: sorted(word for word in every if len(word) == n) for n in {len(word) for word in every}}
        self._longest = max(self._by_length, default=0)

    def known(self, word: str) -> bool:
        """Whether the lists have it, with an s at its end or without."""
        return (
            word in self._whole
            or word.removesuffix("s") in self._whole
            or any(word[:n] in self._begun for n in range(2, len(word) + 1))
        )

    def unmasked(self, word: str) -> str:
        """The word behind one with asterisks, or itself."""
        for length in range(min(len(word), self._longest), 2, -1):
            start, rest = word[:length], word[length:]
            for known in self._by_length.get(length, ()):
                fits = all(a in ("*", b) for a, b in zip(start, known, strict=True))
                if fits and (rest in ("", "s") or known in self._begun):
                    return known + rest
        return word

    def shortened(self, word: str) -> str:
        """The word without letters said more than twice in a row."""
        twice, once = (_STRETCHED.sub(r"\1" * times, word) for times in (2, 1))
        return twice if self.known(twice) else once

    def spelt(self, letters: str) -> str:
        """The words in letters that ran together, the longest first at each place; or the letters."""
        found, at = [], 0
        while at < len(letters):
            fitting = (letters[at : at + n] for n in range(min(self._longest, len(letters) - at), 1, -1))
            word = next((part for part in fitting if part in self._every), None)
            found += [word] if word else []
            at += len(word) if word else 1
        return " ".join(found) or letters


def readings(text: str, words: Words) -> list[str]:
    """What a text may be read as, without repeats."""
    text = text[:LONGEST]
    found: dict[str, None] = {}
    for form in (text, *_hidden(text)):
        plain = _plain(form)
        for undone in (
            plain,
            _by_chunk(plain, lambda chunk: words.unmasked(chunk) if "*" in chunk else _leet(chunk)),
            _by_chunk(plain, lambda chunk: _leet(chunk.replace("1", "l"))),
            _by_chunk(plain, lambda chunk: re.sub(rf"[^a-z{CJK}]", "", _leet(chunk))),
            _SCATTERED.sub(lambda run: re.sub(rf"[^{CJK}]", "", run[0]), plain),
        ):
            reading = _LATIN.sub(lambda word: words.shortened(word[0]), _spaced(undone))
            found[reading] = None
            # Letter by letter, where words end is lost.
            found[_SPELT.sub(lambda run: words.spelt(run[0].replace(" ", "")), reading)] = None
    return list(found)


def _plain(text: str) -> str:
    """One alphabet, lower case, nothing that is not seen, marks taken off."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", html.unescape(text)).casefold())
    text = "".join(
        _square(char) for char in text if unicodedata.category(char) not in _INVISIBLE and char not in _FILLERS
    )
    return unicodedata.normalize("NFC", text).translate(_map("lookalikes")).translate(_map("traditional"))


@cache
def _map(name: str) -> dict[int, str]:
    lines = (files("kinora.service") / "words" / f"{name}.map").read_text(encoding="utf-8").splitlines()
    return {ord(pair[0]): pair[1] for line in lines if not line.startswith("#") for pair in line.split()}


def _square(char: str) -> str:
    """The letter in a coloured square or a flag's half."""
    for first in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6):
        if first <= ord(char) < first + 26:
            return chr(ord("a") + ord(char) - first)
    return char


def _spaced(text: str) -> str:
    text = _BETWEEN_CJK.sub("", text)
    text = _SENTENCE_END.sub(" . ", text)
    text = text.replace("'s ", " ").replace("’s ", " ")
    text = re.sub(r"(?<!\s)\.(?!\s)", " ", text)
    text = _CJK_RUN.sub(r" \1 ", text)
    return " ".join(_NOT_WORDS.sub(" ", text).split())


def _by_chunk(text: str, change: Callable[[str], str]) -> str:
    """Change what stands between spaces, but for the punctuation around it."""

    def changed(match: re.Match[str]) -> str:
        chunk = match[0]
        bare = chunk.strip(_AROUND)
        start = chunk.find(bare) if bare else len(chunk)
        return chunk[:start] + (change(bare) if bare else "") + chunk[start + len(bare) :]

    return re.sub(r"\S+", changed, text)


def _leet(chunk: str) -> str:
    """Digits and signs as the letters they stand for, in what has letters too; a lone 4 or @ is an article."""
    return chunk.translate(_LEET) if re.search("[a-z]", chunk) or chunk in ("4", "@") else chunk


def _hidden(text: str) -> list[str]:
    """Texts within the text: base64, %41 and backslash escapes."""
    found = []
    for match in _BASE64.finditer(text):
        raw = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            plain = base64.b64decode(raw + "=" * (-len(raw) % 4)).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if plain.isprintable():
            found.append(plain)
    if re.search("%[0-9a-fA-F]{2}", text):
        found.append(unquote(text))
    if _ESCAPED.search(text):
        found.append(_ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), text))
    return found
