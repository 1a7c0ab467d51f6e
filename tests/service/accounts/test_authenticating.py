"""Authentication off the hot path: remembered for a moment, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
from sqlalchemy import event, update

from kinora.service.accounts import Accounts
from kinora.service.callers import REMEMBERED
from kinora.service.errors import Suspended, Unauthenticated
from kinora.service.sealing import Sealer, SecretError
from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms, tables


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is asked of the store meanwhile."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def test_the_store_is_asked_once(on_both: Accounts, database: Database) -> None:
    accounts = on_both
    key = accounts.new_key(accounts.create("studio").id, "key")
    accounts.authenticate(key.secret)
    with statements(database) as seen:
        for _ in range(100):
            accounts.authenticate(key.secret)
    assert len(seen) <= 2, "a second may have passed, a hundred times it may not"


def test_a_revoked_key_opens_no_other_process_after_two_seconds(database: Database, settings: Settings) -> None:
    """Two services on one database, as two HTTP processes are."""
    here, there = (Accounts(database, Sealer(settings)) for _ in range(2))
    account = here.create("studio")
    key = here.new_key(account.id, "key")
    there.authenticate(key.secret)
    here.revoke(account.id, key.key.id)
    revoked = time.monotonic()
    with pytest.raises(Unauthenticated):
        here.authenticate(key.secret)
    time.sleep(max(0.0, revoked + 2.0 - time.monotonic()))
    with pytest.raises(Unauthenticated) as refused:
        there.authenticate(key.secret)
    assert refused.value.reason == "invalid"


def test_a_suspension_is_seen_by_another_process(accounts: Accounts, another: Callable[..., Accounts]) -> None:
    here, there = accounts, another()
    account = here.create("studio")
    key = here.new_key(account.id, "key")
    there.authenticate(key.secret)
    here.change(account.id, state="suspended")
    time.sleep(REMEMBERED + 0.05)
    with pytest.raises(Suspended):
        there.authenticate(key.secret)


def test_use_is_written_once_a_minute(on_both: Accounts, database: Database, settings: Settings) -> None:
    accounts = on_both
    account = accounts.create("studio")
    key = accounts.new_key(account.id, "key")
    assert accounts.keys(account.id)[0].used_at is None

    def used_after(before: int) -> int | None:
        with database.write() as c:
            c.execute(update(tables.keys).values(used_at=before))
        Accounts(database, Sealer(settings)).authenticate(key.secret)  # another process: nothing is remembered
        return accounts.keys(account.id)[0].used_at

    accounts.authenticate(key.secret)
    used = accounts.keys(account.id)[0].used_at
    assert used is not None
    assert now_ms() - used < 60_000
    fresh, old = now_ms() - 50_000, now_ms() - 61_000
    assert used_after(fresh) == fresh
    assert (used_after(old) or 0) > old


def test_a_key_s_own_end(accounts: Accounts) -> None:
    account = accounts.create("studio")
    ends = now_ms() + 60_000
    key = accounts.new_key(account.id, "key", expires_at=ends)
    accounts.authenticate(key.secret, now=ends / 1000 - 1)
    with pytest.raises(Unauthenticated, match="make a new one") as refused:
        accounts.authenticate(key.secret, now=ends / 1000)
    assert refused.value.reason == "expired"


def test_a_secret_sealed_by_another_service_is_not_a_wrong_token(
    accounts: Accounts, another: Callable[..., Accounts]
) -> None:
    """The operator lost the secret: that is no fault of the client's."""
    pair = accounts.new_key(accounts.create("studio").id, "kling", kind="pair")
    other = another(secret="x" * 40)
    token = jwt.encode({"iss": pair.access_key, "exp": int(time.time()) + 60}, pair.secret)
    with pytest.raises(SecretError, match="KINORA_SECRET"):
        other.authenticate(token)
