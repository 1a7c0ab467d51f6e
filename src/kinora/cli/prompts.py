"""What a person should know about their prompt before the work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinora.cli.main import say

if TYPE_CHECKING:
    from kinora.core.request import Request
    from kinora.pipeline import Pipeline

__all__ = ["note_unknown_words"]


def note_unknown_words(pipeline: Pipeline, request: Request) -> None:
    """Say which words of the prompt the model has not learnt; it will go by the rest."""
    for text in filter(None, (request.prompt, request.negative)):
        unknown = pipeline.check(text).unknown
        if unknown:
            say(f"note: {pipeline.name} has not learnt {', '.join(unknown)}; it goes by the other words")
