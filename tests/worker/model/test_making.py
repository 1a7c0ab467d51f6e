"""What a failed job is told as."""

from __future__ import annotations

import pytest

from kinora.core.errors import InputError, MediaError, MemoryShortage, OutputError, PromptError, WeightsError
from kinora.worker.making import Failure, failure_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a sentence"), "input"),
        (PromptError("a sentence"), "input"),
        (WeightsError("a sentence"), "weights"),
        (MemoryShortage("a sentence"), "memory"),
        (MediaError("a sentence"), "media"),
        (OutputError("a sentence"), "media"),
        (Failure("weights", "a sentence"), "weights"),
    ],
)
def test_our_own_errors_keep_their_sentence(error: Exception, code: str) -> None:
    assert failure_of(error) == (code, "a sentence")


def test_memory_of_python_is_memory() -> None:
    assert failure_of(MemoryError())[0] == "memory"


def test_what_nobody_expected_tells_no_details() -> None:
    code, message = failure_of(RuntimeError("/secret/place of ours"))
    assert code == "internal"
    assert "secret" not in message
    assert "RuntimeError" in message
