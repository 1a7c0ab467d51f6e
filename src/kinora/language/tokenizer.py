"""Chinese and English to token ids, with one small vocabulary for both. Knows no torch.

Text is normalised (NFKC, lower case, one form for each punctuation mark), then cut: Latin words and numbers whole,
Chinese by the longest word of the vocabulary that fits (at most 6 characters) and else character by character, every
other mark on its own. What the vocabulary lacks becomes `<unk>`; `unknown` names it, so that nobody has to pass over
it in silence.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kinora.core.errors import WeightsError

__all__ = ["EOS", "PAD", "SPECIAL", "UNK", "Piece", "Tokenizer", "build_vocabulary", "is_chinese", "normalise"]

SPECIAL = ("<pad>", "<unk>", "<eos>")
PAD, UNK, EOS = 0, 1, 2
LONGEST_WORD = 6
"""Characters of the longest Chinese word looked for."""

_MARKS = str.maketrans(
    {"。": ".", "、": ",", "“": '"', "”": '"', "‘": "'", "’": "'", "…": ".", "—": "-", "–": "-", "·": " "}
)
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_RUNS = re.compile(rf"(?P<chinese>[{_CHINESE}]+)|(?P<word>(?:(?![{_CHINESE}])[^\W\d_])+|\d+)|(?P<mark>\S)")
_IS_CHINESE = re.compile(f"[{_CHINESE}]")


class Piece(NamedTuple):
    """A piece of text and its id; `run` tells Chinese pieces of one unbroken run from the next run's."""

    text: str
    id: int
    run: int


def normalise(text: str) -> str:
    """One spelling for what looks alike: NFKC, lower case, plain punctuation, no invisible characters."""
    folded = unicodedata.normalize("NFKC", text).lower().translate(_MARKS)
    # Cf: joiners, direction marks; Mn: accents and emoji variants left over; Cs: halves of broken characters.
    return "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Mn", "Cs", "Co", "Cn"))


def is_chinese(character: str) -> bool:
    """Whether it is a Chinese character (punctuation is not)."""
    return _IS_CHINESE.match(character) is not None


class Tokenizer:
    """A fixed vocabulary. Ids 0, 1, 2 are `<pad>`, `<unk>`, `<eos>`."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens` in id order, starting with the three special ones."""
        if tuple(tokens[:3]) != SPECIAL or len(set(tokens)) != len(tokens):
            raise WeightsError(
                f"A vocabulary starts with {', '.join(SPECIAL)} and names each token once; this one does not. "
                "Fetch the model again."
            )
        self.tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._words = frozenset(token for token in tokens if is_chinese(token[0]))

    def __len__(self) -> int:
        return len(self.tokens)

    def pieces(self, text: str) -> list[Piece]:
        """The text cut into pieces, without the end."""
        return [Piece(piece, self._id(piece), run) for piece, run in _cut(normalise(text), self._words)]

    def encode(self, text: str) -> list[int]:
        """Token ids, closed by `<eos>`; never fails, whatever the text."""
        return [piece.id for piece in self.pieces(text)] + [EOS]

    def batch(self, texts: Iterable[str], length: int) -> list[list[int]]:
        """Ids of each text, filled with `<pad>` to `length`; a longer one is cut and still ends with `<eos>`."""
        rows = []
        for text in texts:
            ids = self.encode(text)
            ids = ids if len(ids) <= length else [*ids[: length - 1], EOS]
            rows.append(ids + [PAD] * (length - len(ids)))
        return rows

    def unknown(self, text: str) -> list[str]:
        """The words that the vocabulary lacks, once each, in order; Chinese characters side by side make one word."""
        words: list[str] = []
        last_run = -1
        for piece in self.pieces(text):
            if piece.id != UNK or not _means_something(piece.text):
                last_run = -1
                continue
            if piece.run == last_run:
                words[-1] += piece.text
            else:
                words.append(piece.text)
            last_run = piece.run if is_chinese(piece.text) else -1
        return list(dict.fromkeys(words))

    def to_json(self) -> str:
        return json.dumps({"version": 1, "tokens": self.tokens}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that `to_json` wrote; raises `WeightsError` when it is not one."""
        try:
            stored = json.loads(text)
            version, tokens = stored["version"], stored["tokens"]
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError("The vocabulary is not the JSON that Kinora writes; fetch the model again.") from error
        if version != 1:
            raise WeightsError(f"The vocabulary has version {version}; this Kinora reads version 1. Update Kinora.")
        return cls(tokens)

    def _id(self, piece: str) -> int:
        if piece in self._ids:
            return self._ids[piece]
        return next((self._ids[form] for form in _plainer_forms(piece) if form in self._ids), UNK)


def build_vocabulary(captions: Iterable[str], words: Iterable[str] = ()) -> Tokenizer:
    """The tokenizer of everything said in `captions`; `words` are wordings whose Chinese is to stay whole.

    Deterministic: tokens come by falling count, then by spelling. A character that only ever occurs inside longer
    words gets no token of its own, since the model would never have seen it.
    """
    wordings = [normalise(word) for word in words]
    lexicon = frozenset(word for word in wordings if 0 < len(word) <= LONGEST_WORD and all(map(is_chinese, word)))
    counts = Counter(piece for text in captions for piece, _ in _cut(normalise(text), lexicon))
    counts.update({piece for wording in wordings for piece, _ in _cut(wording, lexicon)})
    return Tokenizer([*SPECIAL, *sorted(counts, key=lambda piece: (-counts[piece], piece))])


def _cut(text: str, words: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Pieces of normalised text, each with the number of its run."""
    for run, match in enumerate(_RUNS.finditer(text)):
        if match.lastgroup != "chinese":
            yield match.group(), run
            continue
        rest = match.group()
        while rest:
            size = next((n for n in range(min(LONGEST_WORD, len(rest)), 1, -1) if rest[:n] in words), 1)
            yield rest[:size], run
            rest = rest[size:]


def _plainer_forms(word: str) -> Iterator[str]:
    """Spellings to try for an English word that the vocabulary lacks: ball for balls, rolls for rolled, gliding for
    glide.
    """
    if not word.isascii() or len(word) < 4:
        return
    stems = [word, *(word.removesuffix(ending) for ending in ("s", "es", "ed", "d", "ing") if word.endswith(ending))]
    for stem in stems:
        # Two letters say too little: "thing" is not a form of "the".
        if len(stem) > 2:
            yield from (stem + ending for ending in ("", "s", "es", "ed", "ing", "e"))
            if stem.endswith("e"):
                yield stem.removesuffix("e") + "ing"
            if stem[-1] == stem[-2]:
                yield stem[:-1]


def _means_something(piece: str) -> bool:
    """Words, numbers and pictures do; punctuation does not."""
    return unicodedata.category(piece[0])[0] in "LN" or unicodedata.category(piece[0]) == "So"
