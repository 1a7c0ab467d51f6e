"""What a plan grants is given when it is due, once, and costs nothing when it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kinora.service.accounts import Account
from kinora.service.ledger import Ledger
from kinora.service.plans import PLANS
from kinora.service.store import Database, new_id, now_ms

HOUR = 3_600_000


@pytest.mark.parametrize(("plan", "units"), [("free", 66), ("pro", 3000), ("house", 1_000_000_000)])
def test_a_plan_grants_once_a_period(
    database: Database, ledger: Ledger, member: Callable[..., Account], plan: str, units: int
) -> None:
    account = member("studio", plan=plan)
    for _ in range(3):
        with database.write() as c:
            ledger.refresh(c, account)
            assert ledger.balance(c, account.id).available == units
    with database.write() as c:
        Ledger(database).refresh(c, account)
        assert ledger.balance(c, account.id).available == units
    assert ledger.audit().sound


def test_the_next_day_grants_again(
    database: Database, ledger: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now_ms()]
    monkeypatch.setattr("kinora.service.ledger.now_ms", lambda: clock[0])
    tomorrow = clock[0] + 24 * HOUR
    with database.write() as c:
        ledger.refresh(c, account)
        ledger.hold(c, account.id, new_id(), 60)
    clock[0] = tomorrow
    with database.write() as c:
        ledger.refresh(c, account)
        assert ledger.balance(c, account.id).available == 66, "yesterday's six are over"
        assert ledger.expire(c, tomorrow) == 1


def test_a_better_plan_grants_at_once(database: Database, ledger: Ledger, member: Callable[..., Account]) -> None:
    account = member("studio", plan="standard")
    better = Account(**vars(account) | {"plan": "pro"})
    with database.write() as c:
        for one in (account, better, account, better):
            ledger.refresh(c, one)
        assert ledger.balance(c, account.id).available == PLANS["standard"].monthly_units + PLANS["pro"].monthly_units


def test_what_was_granted_is_not_asked_again(
    database: Database, ledger: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = now_ms() // (24 * HOUR) * 24 * HOUR + HOUR
    clock = [start]
    monkeypatch.setattr("kinora.service.ledger.now_ms", lambda: clock[0])
    with database.write() as c:
        ledger.refresh(c, account)
        c.rollback()  # came to nothing: it must not be remembered as given
    with database.write() as c:
        ledger.refresh(c, account)
        assert ledger.balance(c, account.id).available == 66
    clock[0] += 60_000
    with database.write() as c:
        ledger.refresh(c, account)
    ledger.refresh(None, account)  # type: ignore[arg-type]  # no connection is used any more
