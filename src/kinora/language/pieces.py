"""Texts to the token ids of umT5, from the files its makers published.

Two of them say the same: `tokenizer.json`, which the Wan repositories and diffusers read, and `spiece.model`, the
sentencepiece original, which ComfyUI carries inside its weights. The first goes before the second: where they differ
(a character that no piece covers), Wan was used with the first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from kinora.core.errors import WeightsError
from kinora.language.extras import extra_package

__all__ = ["PURPOSE", "Pieces", "clean_prompt", "read_pieces"]

PURPOSE = "Reading prompts as umT5 does"
FILES = ("tokenizer.json", "spiece.model")


class Pieces:
    """A vocabulary in use."""

    def __init__(self, cut: Callable[[str], list[int]], *, end: int, size: int) -> None:
        """`cut` gives the ids of a clean text without its end."""
        self._cut = cut
        self.end = end
        """The id that closes every text."""
        self.size = size
        """How many ids there are."""

    def __call__(self, text: str) -> list[int]:
        """Ids of a text as `clean_prompt` leaves it, closed by the end; never fails, whatever the text."""
        return [*self._cut(clean_prompt(text)), self.end]

    @classmethod
    def from_json(cls, content: bytes, name: str = "tokenizer.json") -> Pieces:
        """From the tokenizers library's own file; raises `WeightsError` when it is not one."""
        tokenizers = extra_package("tokenizers", PURPOSE)
        try:
            tokenizer = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises nothing narrower
            raise _damaged(name, error) from error
        end = tokenizer.token_to_id("</s>")
        if end is None:
            raise _damaged(name, "it has no </s> to end a text with")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(
            lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
            end=end,
            size=tokenizer.get_vocab_size(),
        )

    @classmethod
    def from_sentencepiece(cls, content: bytes, name: str = "spiece.model") -> Pieces:
        """From a sentencepiece model; raises `WeightsError` when it is not one."""
        sentencepiece = extra_package("sentencepiece", PURPOSE)
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        except (RuntimeError, TypeError) as error:
            raise _damaged(name, error) from error
        if processor.eos_id() < 0:
            raise _damaged(name, "it has no </s> to end a text with")
        return cls(lambda text: list(processor.encode(text)), end=processor.eos_id(), size=processor.get_piece_size())


def read_pieces(paths: Iterable[Path | str]) -> Pieces:
    """The tokenizer among files or folders; raises `WeightsError` when there is none that can be read."""
    given = [Path(path) for path in paths]
    files = [found for path in given for found in (_inside(path) if path.is_dir() else [path])]
    for wanted in FILES:
        for path in files:
            if path.name == wanted:
                return _read(path)
    raise WeightsError(
        f"No tokenizer in {', '.join(map(str, given)) or 'the files of this model'}: neither {' nor '.join(FILES)}. "
        "Fetch the folder google/umt5-xxl (or tokenizer) of the same model."
    )


def clean_prompt(text: str) -> str:
    """A prompt as Wan cleans it (`wan/modules/tokenizers.py`, and after it diffusers): broken and ornamental
    characters mended by ftfy, HTML's entities read (twice), one blank for every run of white space.

    ftfy is asked for and not passed over where it is missing, as diffusers does: it straightens curly quotes and wide
    punctuation, so that the same prompt would make another film on another machine.
    """
    fixed: str = extra_package("ftfy", PURPOSE).fix_text(text)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(fixed))).strip()


def _inside(folder: Path) -> list[Path]:
    return [folder / name for name in FILES if (folder / name).is_file()]


def _read(path: Path) -> Pieces:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}). Fetch the tokenizer again.") from error
    if path.name == "tokenizer.json":
        return Pieces.from_json(content, str(path))
    return Pieces.from_sentencepiece(content, str(path))


def _damaged(name: str, why: object) -> WeightsError:
    return WeightsError(f"{name} is no tokenizer of umT5 ({why}). Fetch it again.")
