"""Who is asking: a credential becomes an account, from memory for a moment and from the store otherwise."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import RowMapping

from kinora.service.errors import Suspended, Unauthenticated
from kinora.service.keys import Key, hash_of
from kinora.service.sealing import Sealer
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import accounts, keys
from kinora.service.tokens import LONGEST, looks_signed, read_token

__all__ = ["Account", "Caller", "Door", "account_of"]

REMEMBERED = 1.0
"""Seconds that a key is believed without asking the store; as long a revoked one may still open another process."""
MOST_REMEMBERED = 10_000
USED_MS = 60_000
"""`used_at` is written at most so often."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, without its password. `role` is member or admin, `state` active, suspended or closed."""

    id: int
    name: str
    role: str
    state: str
    plan: str
    language: str
    created_at: int


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An account, and the key that it came with."""

    account: Account
    key: Key


@dataclass(frozen=True, kw_only=True)
class _Known:
    caller: Caller
    secret: bytes | None
    until: float


_ACCOUNT = tuple(accounts.c[name] for name in Account.__dataclass_fields__)
_FOUND = select(keys, *(column.label(f"account_{column.name}") for column in _ACCOUNT if column.name != "id")).join(
    accounts
)
_BY_HASH = _FOUND.where(keys.c.hash == bindparam("named"))
_BY_ACCESS_KEY = _FOUND.where(keys.c.access_key == bindparam("named"))
_USED = update(keys).where(keys.c.id == bindparam("key")).values(used_at=bindparam("now"))


def account_of(row: RowMapping) -> Account:
    """The account of a row of the table."""
    return Account(**{name: row[name] for name in Account.__dataclass_fields__})


class Door:
    """Tells credentials apart and looks them up."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def authenticate(self, token: str | None, *, now: float | None = None) -> Caller:
        """Whose `token` it is: an opaque key, a session, or a JSON Web Token. `now` is in seconds since 1970.

        Raises `Unauthenticated` with its reason (missing, invalid, early, expired), and `Suspended` where the account
        is not active.
        """
        if token is None or not token.strip():
            raise Unauthenticated("No key was sent: send the header `Authorization: Bearer <key>`.", reason="missing")
        if len(token) > LONGEST:
            raise _unknown()
        now = time.time() if now is None else now
        if looks_signed(token):
            read = read_token(token)
            known = self._find(f"pair {read.access_key}")
            if known is None or known.secret is None:
                raise Unauthenticated("The token's iss is no access key of this service, or one that was revoked.")
            read.check(known.secret, now)
        else:
            known = self._find(f"key {hash_of(token)}")
            if known is None:
                raise _unknown()
        return _admitted(known.caller, int(now * 1000))

    def forget(self) -> None:
        """After a change of keys or accounts: what is remembered may be wrong."""
        with self._lock:
            self._known.clear()

    def _find(self, name: str) -> _Known | None:
        known = self._known.get(name)
        if known is not None and time.monotonic() < known.until:
            return known
        statement = _BY_HASH if name.startswith("key ") else _BY_ACCESS_KEY
        # The moment before the look-up counts: what changes meanwhile is not overlooked for longer.
        until = time.monotonic() + REMEMBERED
        with self._database.read() as c:
            row = c.execute(statement, {"named": name.partition(" ")[2]}).mappings().one_or_none()
        if row is None or row["revoked_at"] is not None:
            return None
        known = _Known(caller=_caller_of(row), secret=self._secret(row), until=until)
        self._mark_used(row)
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[name] = known
        return known

    def _secret(self, row: RowMapping) -> bytes | None:
        return None if row["sealed"] is None else self._sealer.open(row["sealed"])

    def _mark_used(self, row: RowMapping) -> None:
        now = now_ms()
        if row["used_at"] is not None and row["used_at"] > now - USED_MS:
            return
        with self._database.write() as c:
            c.execute(_USED, {"key": row["id"], "now": now})


def _caller_of(row: RowMapping) -> Caller:
    account = {name: row[f"account_{name}"] for name in Account.__dataclass_fields__}
    return Caller(account=Account(**account), key=Key(**{name: row[name] for name in Key.__dataclass_fields__}))


def _admitted(caller: Caller, now: int) -> Caller:
    if caller.key.expires_at is not None and now >= caller.key.expires_at:
        remedy = "log in again" if caller.key.kind == "session" else "make a new one"
        raise Unauthenticated(f"The {caller.key.kind} has expired: {remedy}.", reason="expired")
    if caller.account.state != "active":
        raise Suspended(f"The account is {caller.account.state}: ask whoever runs this service.")
    return caller


def _unknown() -> Unauthenticated:
    return Unauthenticated("The key is not one of this service's, or was revoked: check it, or make a new one.")
