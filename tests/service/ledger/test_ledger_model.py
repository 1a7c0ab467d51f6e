"""Random acts beside a ledger of a few lines of Python: after each of them, every lot holds the same."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from kinora.service.accounts import Account
from kinora.service.errors import OutOfUnits
from kinora.service.ledger import NEVER, Balance, Ledger
from kinora.service.store import Database, new_id, tables


class Model:
    """What should be there: lots by their period, and for each task what it took from which."""

    def __init__(self) -> None:
        self.lots: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.holds: dict[int, dict[str, int]] = {}
        self.spent = 0
        self.lost = 0

    def live(self, now: int) -> list[str]:
        return sorted((lot for lot in self.lots if self.ends[lot] > now), key=lambda lot: (self.ends[lot], lot))

    def hold(self, task: int, units: int, now: int) -> bool:
        if sum(self.lots[lot] for lot in self.live(now)) < units:
            return False
        taken = {}
        for lot in self.live(now):
            taken[lot] = min(units, self.lots[lot])
            self.lots[lot] -= taken[lot]
            units -= taken[lot]
        self.holds[task] = taken
        return True

    def end(self, task: int, price: int) -> None:
        self.spent += price
        for lot, units in sorted(self.holds.pop(task).items(), key=lambda part: (self.ends[part[0]], part[0])):
            kept = min(price, units)
            price -= kept
            self.lots[lot] += units - kept

    def expire(self, now: int) -> None:
        for lot, units in self.lots.items():
            if self.ends[lot] <= now:
                self.lost += units
                self.lots[lot] = 0


@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_is_the_model(
    database: Database, ledger: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, model, clock = random.Random(seed), Model(), [1_800_000_000_000]
    monkeypatch.setattr("kinora.service.ledger.now_ms", lambda: clock[0])
    for step in range(150):
        clock[0] += chance.randint(0, 2000)
        now, what = clock[0], chance.random()
        with database.write() as c:
            if what < 0.2:
                period, units = f"{step:04}", chance.randint(1, 50)
                ends = chance.choice([None, now + chance.randint(1, 40_000)])
                ledger.grant(c, account.id, units, source="gift", period=period, expires_at=ends)
                model.lots[period], model.ends[period] = units, ends or NEVER
            elif what < 0.6:
                task, units = new_id(), chance.randint(1, 70)
                if model.hold(task, units, now):
                    assert ledger.hold(c, account.id, task, units)
                else:
                    with pytest.raises(OutOfUnits):
                        ledger.hold(c, account.id, task, units)
            elif what < 0.9 and model.holds:
                task = chance.choice(sorted(model.holds))
                held = sum(model.holds[task].values())
                price = chance.choice([0, held, chance.randint(0, held)])
                model.end(task, price)
                assert ledger.settle(c, task, price) if price else ledger.release(c, task)
            else:
                ledger.expire(c, now)
                model.expire(now)
            assert lots(c, account) == model.lots, (step, what)
            assert ledger.balance(c, account.id) == Balance(
                available=sum(model.lots[lot] for lot in model.live(now)),
                held=sum(sum(taken.values()) for taken in model.holds.values()),
            )
    found = ledger.audit()
    assert (found.drift, found.unbalanced, found.negative, found.twice) == (0, 0, 0, 0)
    with database.read() as c:
        kept = dict(
            c.execute(sa.select(tables.books.c.kind, sa.func.sum(tables.books.c.balance)).group_by("kind")).all()
        )
    assert (kept["earned"], kept["expired"]) == (model.spent, model.lost)
    assert model.spent > 0
    assert model.lost > 0


def lots(c: sa.Connection, account: Account) -> dict[str, int]:
    """Units of each lot, by the period of its grant."""
    found = sa.select(tables.grants.c.period, tables.books.c.balance).join_from(tables.books, tables.grants)
    return {row.period: row.balance for row in c.execute(found.where(tables.books.c.account_id == account.id))}
