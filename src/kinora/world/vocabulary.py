"""The page of everything that can be said: `python -m kinora.world.vocabulary > docs/vocabulary.md`."""

from __future__ import annotations

import sys

from kinora.core.slots import SLOTS
from kinora.core.words import WORDS
from kinora.world.splits import (
    HELD_OUT_ACTIONS,
    HELD_OUT_ANIMALS,
    HELD_OUT_BODIES,
    HELD_OUT_HATS,
    HELD_OUT_WEATHER,
)

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
    "figure.direction": "where it walks, alone or with what it carries or pushes",
    "figure.hat": "what it wears on its head",
    "figure.glasses": "whether it wears glasses",
    "figure.expression": "the look on its face, kept all the time",
    "animal.colour": "the colour of the animal, a toy dog",
    "animal.action": "what it does",
    "animal.direction": "where it walks",
    "ground": "the ground",
    "sky": "the sky",
    "camera": "what the camera does",
    "camera_speed": "how fast it does it",
    "backdrop": "the picture wall behind",
    "event": "what happens between bodies",
    "weather": "the weather",
    "waves": "the waves, on water",
    "rope": "a rope that hangs from a frame",
    "shot": "how near the camera is: close is a face that fills much of the picture",
}

HEADER = """# What can be said

The closed list of questions that a scene answers, with the words for each answer. Captions use these words, the bundled
model is trained on them, and the prompt check names any others. English actions are used in all their forms
("rolls", "roll", "rolling"). A dash means that nobody says it. What a figure carries, pushes, strokes or eats follows
the verb ("pushes a red cube"), and so does what a body circles.

Two worlds: 1.0, and 2.0, which adds the slots `figure.hat`, `figure.glasses`, `figure.expression`, `animal.*`,
`weather`, `waves`, `rope` and `shot`, and the actions `swing` and `orbit` of bodies and `carry`, `push`, `stroke` and
`eat` of figures.
`kinora doctor` names the world that a model was taught; words beyond it are named by the prompt check.

This page is generated: `python -m kinora.world.vocabulary > docs/vocabulary.md`.
"""


def vocabulary_page() -> str:
    """The page in Markdown: a table for each slot, then the combinations kept from training."""
    parts = [HEADER]
    for slot, values in SLOTS.items():
        rows = [f"| `{value}` | {_row('en', slot, value)} | {_row('zh', slot, value)} |" for value in values]
        table = "\n".join(["| value | English | Chinese |", "|---|---|---|", *rows])
        parts.append(f"## `{slot}`: {QUESTIONS[slot]}\n\n{table}\n")
    parts.append(
        "## Kept from training\n\nEach value is common in training; these pairs never occur there and test what the "
        f"model has understood. The last three are of world 2.0.\n\n{_kept()}\n"
    )
    return "\n".join(parts)


def _kept() -> str:
    """The held-out pairs, a line for each rule."""
    rules = (
        ("colour and shape", "{} {}", HELD_OUT_BODIES),
        ("action and ground", "{} on {}", HELD_OUT_ACTIONS),
        ("weather and ground", "{} on {}", HELD_OUT_WEATHER),
        ("hat and colour of the clothes", "{} with {}", HELD_OUT_HATS),
        ("colour and action of an animal", "{} {}", HELD_OUT_ANIMALS),
    )
    lines = []
    for name, said, pairs in rules:
        lines.append(f"- {name}: {', '.join(said.format(*pair) for pair in sorted(pairs))}")
    return "\n".join(lines)


def _row(language: str, slot: str, value: str) -> str:
    return (", " if language == "en" else "、").join(WORDS[language][slot][value]) or "-"


if __name__ == "__main__":
    sys.stdout.write(vocabulary_page())
