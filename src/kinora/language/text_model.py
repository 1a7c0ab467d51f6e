"""What a pipeline asks of the part that reads prompts, and the bundled model's answer.

Axes: B batch, L text positions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from kinora.language.encoder import TextEncoder, token_ids
from kinora.language.prompt import PromptReport, check_prompt
from kinora.language.tokenizer import PAD, Tokenizer

__all__ = ["TextModel", "Words"]


class TextModel(Protocol):
    """A prompt's meaning, whichever model reads it."""

    @property
    def width(self) -> int:
        """Numbers per text position."""

    @property
    def length(self) -> int:
        """Most tokens of a text; what is longer is cut by `encode` and refused by `check`."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts as (B, L, D), zero past each one's end and no longer than the longest; the transformer fills up."""

    def check(self, prompt: str) -> PromptReport:
        """How the model reads a prompt; raises `PromptError` when it is empty or too long."""


class Words(nn.Module):
    """The bundled model's `TextModel`: its own vocabulary, and the encoder that was trained with it."""

    def __init__(self, tokenizer: Tokenizer, encoder: TextEncoder) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.encoder = encoder

    @property
    def width(self) -> int:
        return self.encoder.config.width

    @property
    def length(self) -> int:
        return self.encoder.config.length

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """See `TextModel.encode`; on the encoder's device."""
        device = self.encoder.embedding.weight.device
        ids_BL = token_ids(self.tokenizer, texts, self.length, device)
        # Read at full length and cut afterwards: a text comes out the same to the bit, whatever stands beside it.
        text_BLD: Tensor = self.encoder(ids_BL)
        return text_BLD[:, : int((ids_BL != PAD).sum(dim=1).max())]

    def check(self, prompt: str) -> PromptReport:
        """See `TextModel.check`; names the words that were never learnt."""
        return check_prompt(prompt, self.tokenizer, self.length)
