from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNNING = Path(__file__).parents[1] / "openai" / "running.py"


def _module():
    """`running.py`, which test folders that are no packages cannot import by name."""
    name = "kinora_tests_running"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, RUNNING)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def runners():
    return _module()


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A service without a worker."""
    with _module().IDLE.use(tmp_path_factory.mktemp("idle")) as made:
        yield made
