"""What a prompt asks for that the model has learnt, and what not. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

from kinora.core.errors import PromptError
from kinora.language.tokenizer import UNK, Tokenizer, is_chinese, normalise

__all__ = ["LONGEST_PROMPT", "PromptReport", "check_prompt", "language_of"]

LONGEST_PROMPT = 500
"""Characters of the longest prompt taken."""


@dataclass(frozen=True, kw_only=True)
class PromptReport:
    """How a model reads a prompt."""

    language: str
    """"zh", "en" or "mixed"."""
    known: tuple[str, ...]
    """Words that it has learnt, once each."""
    unknown: tuple[str, ...]
    """Words that it has not learnt and will pass over."""
    tokens: int
    """Length in tokens, the end included."""

    @property
    def sentence(self) -> str:
        """For the user, in the prompt's language; empty when every word is known."""
        if not self.unknown:
            return ""
        if self.language != "en":
            rest = "" if self.known else "提示词里没有模型认识的词，画面将是随意的。"
            return f"模型没有学过这些词，会略过它们：{'、'.join(self.unknown)}。{rest}"
        rest = "" if self.known else " It knows no word of this prompt, so the film will be of anything."
        return f"The model has not learnt these words and will pass over them: {', '.join(self.unknown)}.{rest}"


def check_prompt(text: str, tokenizer: Tokenizer, token_limit: int = 96) -> PromptReport:
    """Which words of `text` the model knows; raises `PromptError` when the prompt is empty or too long."""
    if not text.strip():
        raise PromptError(
            'The prompt is empty. Say what should happen, for example: "a red ball rolls to the left on sand".'
        )
    if len(text) > LONGEST_PROMPT:
        raise PromptError(f"The prompt has {len(text)} characters; at most {LONGEST_PROMPT} are taken. Shorten it.")
    pieces = tokenizer.pieces(text)
    if not pieces:
        raise PromptError("The prompt holds no visible characters. Say what should happen, in Chinese or English.")
    tokens = len(pieces) + 1
    if tokens > token_limit:
        raise PromptError(
            f"The prompt comes to {tokens} tokens (about a word each); the model reads {token_limit}. Shorten it."
        )
    known = (piece.text for piece in pieces if piece.id != UNK and piece.text[0].isalnum())
    return PromptReport(
        language=language_of(text),
        known=tuple(dict.fromkeys(known)),
        unknown=tuple(tokenizer.unknown(text)),
        tokens=tokens,
    )


def language_of(text: str) -> str:
    """By letters, "zh", "en" or "mixed": all Chinese, no Chinese, or both."""
    letters = [c for c in normalise(text) if c.isalpha()]
    chinese = sum(map(is_chinese, letters))
    if chinese == 0:
        return "en"
    return "zh" if chinese == len(letters) else "mixed"
