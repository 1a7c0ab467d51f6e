"""How a sender of callbacks shares its threads out, so that endpoints that do not answer hold nobody else up."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

from kinora.service.deliveries import Delivery, Result

__all__ = ["THREADS", "Lanes"]

THREADS = 32
PER_ORIGIN = 4
PER_ACCOUNT = 8
FOR_SILENT = THREADS // 2
"""Threads for all origins together that did not answer last time: the others go on while these time out."""
SILENT_KEPT = 5_000


class Lanes:
    """Who may have a thread: so many in all, for one account, for one origin, and for origins that keep silent."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self._lock = threading.Lock()
        self._all = 0
        self._in_silence = 0
        self._accounts: Counter[int] = Counter()
        self._origins: Counter[str] = Counter()
        self._silent: OrderedDict[str, None] = OrderedDict()
        self._slow: set[int] = set()  # deliveries that entered while their origin was silent

    def free(self) -> int:
        with self._lock:
            return THREADS - self._all

    def full(self) -> tuple[list[int], list[str]]:
        """Accounts and origins that no more is admitted of."""
        with self._lock:
            accounts = [account for account, n in self._accounts.items() if n >= PER_ACCOUNT]
            origins = {origin for origin, n in self._origins.items() if n >= PER_ORIGIN}
            if self._in_silence >= FOR_SILENT:
                origins.update(self._silent)
            return accounts, sorted(origins)

    def enter(self, delivery: Delivery) -> bool:
        with self._lock:
            silent = delivery.origin in self._silent
            if (
                self._all >= THREADS
                or self._accounts[delivery.account_id] >= PER_ACCOUNT
                or self._origins[delivery.origin] >= PER_ORIGIN
                or (silent and self._in_silence >= FOR_SILENT)
            ):
                return False
            self._count(delivery, 1)
            if silent:
                self._slow.add(delivery.id)
                self._in_silence += 1
            return True

    def leave(self, delivery: Delivery, result: Result | None) -> None:
        with self._lock:
            self._count(delivery, -1)
            if delivery.id in self._slow:
                self._slow.remove(delivery.id)
                self._in_silence -= 1
            self._silent.pop(delivery.origin, None)
            if result is not None and not result.heard:
                self._silent[delivery.origin] = None
                while len(self._silent) > SILENT_KEPT:
                    self._silent.popitem(last=False)
        self.freed.set()

    def _count(self, delivery: Delivery, n: int) -> None:
        self._all += n
        self._accounts[delivery.account_id] += n
        self._origins[delivery.origin] += n
        if not self._accounts[delivery.account_id]:
            del self._accounts[delivery.account_id]
        if not self._origins[delivery.origin]:
            del self._origins[delivery.origin]
