"""Workers as they run: real processes, a real database, real signals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Fleet
from kinora.service.settings import Settings


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    settings = Settings(
        data=tmp_path / "data", secret="a secret of thirty-two characters!", serves="stub", workers=0, loopback=True,
        lease_seconds=2.0, beat_seconds=0.3, poll_seconds=0.05, save_steps=2, stall_seconds=10.0, grace_seconds=1.0,
    )  # fmt: skip
    made = Fleet(settings, tmp_path / "workers.log")
    yield made
    made.close()
