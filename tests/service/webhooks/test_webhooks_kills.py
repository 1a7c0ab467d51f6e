"""The short form of benchmarks/soak_webhooks.py: real senders, real SIGKILLs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SOAK = Path(__file__).parents[3] / "benchmarks" / "soak_webhooks.py"


def test_no_event_is_missed(settings) -> None:
    spec = importlib.util.spec_from_file_location("soak_webhooks", SOAK)
    soak = importlib.util.module_from_spec(spec)
    sys.modules["soak_webhooks"] = soak
    try:
        spec.loader.exec_module(soak)
        figures = soak.soak(settings, events=300, kills=5, pace=0.1, wait=60)
    finally:
        del sys.modules["soak_webhooks"]
    assert (figures.missed, figures.dead, figures.forged, figures.unordered) == (0, 0, 0, 0)
    assert figures.failures_answered > 100  # the receiver did fail
