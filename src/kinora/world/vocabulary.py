"""The page of everything that can be said: `python -m kinora.world.vocabulary > docs/vocabulary.md`."""

from __future__ import annotations

import sys

from kinora.core.slots import SLOTS
from kinora.core.words import WORDS
from kinora.world.splits import HELD_OUT_ACTIONS, HELD_OUT_BODIES

__all__ = ["vocabulary_page"]

QUESTIONS = {
    "body.colour": "the colour of a body",
    "body.shape": "its shape",
    "body.size": "its size",
    "body.material": "what it is made of",
    "body.action": "what it does",
    "body.direction": "where it goes, seen by the camera as it stands at the start",
    "body.speed": "how fast it rolls, slides or drifts",
    "figure.hair": "the colour of a figure's hair",
    "figure.clothes": "the colour of its clothes",
    "figure.action": "what it does",
    "figure.direction": "where it walks",
    "ground": "the ground",
    "sky": "the sky",
    "camera": "what the camera does",
    "camera_speed": "how fast it does it",
    "backdrop": "the picture wall behind",
    "event": "what happens between bodies",
}

HEADER = """# What can be said

The closed list of questions that a scene answers, with the words for each answer. Captions use these words, the bundled
model is trained on them, and the prompt check names any others. English actions are used in all their forms
("rolls", "roll", "rolling"). A dash means that nobody says it.

This page is generated: `python -m kinora.world.vocabulary > docs/vocabulary.md`.
"""


def vocabulary_page() -> str:
    """The page in Markdown: a table for each slot, then the combinations kept from training."""
    parts = [HEADER]
    for slot, values in SLOTS.items():
        rows = [f"| `{value}` | {_row('en', slot, value)} | {_row('zh', slot, value)} |" for value in values]
        table = "\n".join(["| value | English | Chinese |", "|---|---|---|", *rows])
        parts.append(f"## `{slot}`: {QUESTIONS[slot]}\n\n{table}\n")
    bodies = ", ".join(f"{colour} {shape}" for colour, shape in sorted(HELD_OUT_BODIES))
    actions = ", ".join(f"{action} on {ground}" for action, ground in sorted(HELD_OUT_ACTIONS))
    parts.append(
        "## Kept from training\n\nEach value is common in training; these pairs never occur there and test what the "
        f"model has understood.\n\n- colour and shape: {bodies}\n- action and ground: {actions}\n"
    )
    return "\n".join(parts)


def _row(language: str, slot: str, value: str) -> str:
    return (", " if language == "en" else "、").join(WORDS[language][slot][value]) or "-"


if __name__ == "__main__":
    sys.stdout.write(vocabulary_page())
