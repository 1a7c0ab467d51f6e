"""How often one may ask: per account by its plan, per address for those who fail to sign in. Counted by each process
for itself, in memory: a limit here protects the machine; what an account may use is the ledger's and the slots' to say.
"""

from __future__ import annotations

import ipaddress
import time

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from kinora.service.accounts import Account
from kinora.service.errors import TooManyRequests
from kinora.service.plans import PLANS
from kinora.service.settings import Settings

__all__ = ["Limiter", "address_of"]

FAILURES_PER_MINUTE = 60
"""Requests without valid credentials that one address may make."""
LOGINS_PER_MINUTE = 10
"""Passwords one address may try, and accounts it may make: each costs an argon2 hash."""


class Limiter:
    """Counts of the last minute."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.requests_per_minute
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def check(self, account: Account) -> None:
        """Count a request; raises `TooManyRequests` beyond what the settings and the account's plan allow."""
        most = self._most or PLANS[account.plan].requests_per_minute
        item = RateLimitItemPerMinute(most)
        if not self._windows.hit(item, "account", str(account.id)):
            wait = self._wait(item, "account", str(account.id))
            raise TooManyRequests(f"At most {most} requests a minute are taken; wait {wait:.0f} s.", retry_after=wait)

    def may_fail(self, address: str) -> bool:
        """Count a request that failed to sign in; False when its address made too many."""
        return self._windows.hit(RateLimitItemPerMinute(FAILURES_PER_MINUTE), "failures", address)

    def check_login(self, address: str) -> None:
        """Count a password tried or an account made; raises `TooManyRequests`."""
        item = RateLimitItemPerMinute(LOGINS_PER_MINUTE)
        if not self._windows.hit(item, "logins", address):
            wait = self._wait(item, "logins", address)
            raise TooManyRequests(f"Too many attempts from this address; wait {wait:.0f} s.", retry_after=wait)

    def _wait(self, item: RateLimitItem, *names: str) -> float:
        return max(1.0, self._windows.get_window_stats(item, *names).reset_time - time.time())


def address_of(request: Request) -> str:
    """The client's address; of IPv6 its network of 64 bits, which one customer has for himself."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "nowhere"
    if address.version == 6:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return str(address)
