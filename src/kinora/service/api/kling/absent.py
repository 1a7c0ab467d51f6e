"""What Kling sells and no model here makes: its paths are there and say so, its lists are empty."""

from __future__ import annotations

from typing import Any

from kinora.service.api.kling.calling import Act, Call
from kinora.service.api.kling.envelope import NoSuchProduct
from kinora.service.errors import Missing

__all__ = ["ACTS", "LISTS", "PRODUCTS", "refusal", "unknown_task"]

PRODUCTS = {
    "/videos/motion-control": "motion transfer",
    "/videos/lip-sync": "lip-sync",
    "/videos/advanced-lip-sync": "lip-sync",
    "/videos/avatar/image2video": "digital humans",
    "/videos/effects": "template effects",
    "/videos/multi-elements": "edits by selection",
    "/audio/text-to-audio": "sound",
    "/audio/video-to-audio": "sound",
    "/images/editing/expand": "pictures beyond their edges",
    "/images/kolors-virtual-try-on": "virtual try-on",
    "/general/ai-multi-shot": "other views of a subject",
    "/general/custom-voices": "voices",
}
"""Paths with a create, a list and a query."""
ACTS = {
    "/videos/identify-face": "lip-sync",
    "/videos/image-recognize": "recognition of pictures",
    "/videos/multi-elements/init-selection": "edits by selection",
    "/videos/multi-elements/add-selection": "edits by selection",
    "/videos/multi-elements/delete-selection": "edits by selection",
    "/videos/multi-elements/clear-selection": "edits by selection",
    "/videos/multi-elements/preview-selection": "edits by selection",
    "/audio/tts": "speech from text",
    "/general/delete-voices": "voices",
}
"""Paths with a POST alone."""
LISTS = ("/general/presets-voices", "/general/advanced-presets-elements")


def refusal(what: str) -> Act:
    """An act that says that no model here makes it."""

    def refuse(call: Call) -> Any:
        raise NoSuchProduct(
            f"No model of this service makes {what}; its films and pictures are made by the other paths."
        )

    return refuse


def unknown_task(call: Call) -> Any:
    """A query of a task that cannot be."""
    raise Missing(f"There is no task {call.path['task_id'][:64]!r}; nothing is made on this path here.")
