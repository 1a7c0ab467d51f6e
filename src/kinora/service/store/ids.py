"""Ids that sort by time: decimal numbers of 19 digits, milliseconds in front, what tells them apart behind."""

from __future__ import annotations

import secrets
import threading
import time

__all__ = ["id_at", "new_id", "now_ms"]

APART_BITS = 20
"""Low bits: random for the first id of a millisecond, counting up for more of them."""


def now_ms() -> int:
    """Milliseconds since 1970, as every time in the store."""
    return time.time_ns() // 1_000_000


def id_at(milliseconds: int) -> int:
    """The smallest id of a moment: ids made earlier are below it."""
    return milliseconds << APART_BITS


class Counter:
    """Ids of one process, each above the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            # Half of the room is left to count up in.
            fresh = id_at(now_ms()) | secrets.randbits(APART_BITS - 1)
            self._last = max(fresh, self._last + 1)
            return self._last


_COUNTER = Counter()


def new_id() -> int:
    """An id above every other of this process. Two processes agree on one within a millisecond once in a million such
    pairs; the store then refuses the second, which asks again.
    """
    return _COUNTER.next()
