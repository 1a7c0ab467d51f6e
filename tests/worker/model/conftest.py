"""The model process, for the tests of this folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def process() -> ModuleType:
    """model_process.py: a real model process and jobs for it."""
    spec = importlib.util.spec_from_file_location("model_process", Path(__file__).with_name("model_process.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_process"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
