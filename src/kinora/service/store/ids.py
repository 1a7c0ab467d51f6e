"""Ids that sort by time: decimal numbers of 19 digits, milliseconds in front, what tells them apart behind."""

from __future__ import annotations

import secrets
import threading
import time

__all__ = ["id_at", "new_id", "now_ms"]

APART_BITS = 20
"""Low bits: random for the first id of a millisecond, counting up for more of them."""

_lock = threading.Lock()
_last = 0


def now_ms() -> int:
    """Milliseconds since 1970, as every time in the store."""
    return time.time_ns() // 1_000_000


def id_at(milliseconds: int) -> int:
    """The smallest id of a moment: ids made earlier are below it."""
    return milliseconds << APART_BITS


def new_id() -> int:
    """An id above every other of this process. Two processes agree on one within a millisecond once in a million such
    pairs; the store then refuses the second, which asks again.
    """
    global _last
    with _lock:
        # Half of the room is left to count up in.
        fresh = id_at(now_ms()) | secrets.randbits(APART_BITS - 1)
        _last = fresh if fresh > _last else _last + 1
        return _last
