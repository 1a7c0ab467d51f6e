"""The model process, for the tests of this folder."""

from __future__ import annotations

from types import ModuleType

import pytest

import model_process


@pytest.fixture(scope="session")
def process() -> ModuleType:
    """A real model process and jobs for it."""
    return model_process
