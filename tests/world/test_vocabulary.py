"""The vocabulary page is in step with the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kinora.core.slots import SLOTS
from kinora.core.words import LANGUAGES, WORDS
from kinora.world.vocabulary import QUESTIONS, vocabulary_page

PAGE = Path(__file__).parents[2] / "docs" / "vocabulary.md"


def test_the_page_in_docs_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == vocabulary_page(), (
        "docs/vocabulary.md is out of step; run: python -m kinora.world.vocabulary > docs/vocabulary.md"
    )


def test_the_page_answers_every_question_in_every_word() -> None:
    page = vocabulary_page()
    assert set(QUESTIONS) == set(SLOTS)
    for slot, values in SLOTS.items():
        assert f"## `{slot}`" in page
        for value in values:
            assert f"| `{value}` |" in page
            assert all(word in page for language in LANGUAGES for word in WORDS[language][slot][value])


def test_the_module_prints_the_page() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "kinora.world.vocabulary"],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(PAGE.parents[1] / "src"), "PATH": ""},
    )
    assert printed.stdout == PAGE.read_text(encoding="utf-8")
