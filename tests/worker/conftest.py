"""Workers as they run: real processes, a real database, real signals."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kinora.service.settings import Settings


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Any]:
    settings = Settings(
        data=tmp_path / "data", secret="a secret of thirty-two characters!", serves="stub", workers=0, loopback=True,
        lease_seconds=2.0, beat_seconds=0.3, poll_seconds=0.05, save_steps=2, stall_seconds=10.0, grace_seconds=1.0,
    )  # fmt: skip
    made = _module("fleet").Fleet(settings, tmp_path / "workers.log")
    yield made
    made.close()
