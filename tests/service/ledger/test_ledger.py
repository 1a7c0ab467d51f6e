"""The ledger's acts, one after the other, and what the database itself refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from kinora.service.accounts import Account
from kinora.service.errors import OutOfUnits
from kinora.service.ledger import NEVER, Balance, Ledger
from kinora.service.store import Database, new_id, now_ms, tables

HOUR = 3_600_000


def give(c: sa.Connection, ledger: Ledger, account: Account, *lots: tuple[int, int | None]) -> None:
    """Lots of (units, milliseconds until they expire)."""
    now = now_ms()
    for amount, lasts in lots:
        assert ledger.grant(
            c,
            account.id,
            amount,
            source="gift",
            period=str(new_id()),
            expires_at=None if lasts is None else now + lasts,
        )


def lots(c: sa.Connection, account: Account) -> list[int]:
    """What is in each lot, the soonest to expire first."""
    mine = tables.books.c.account_id == account.id, tables.books.c.grant_id.is_not(None)
    found = sa.select(tables.books.c.balance).where(*mine).order_by(tables.books.c.expires_at, tables.books.c.id)
    return list(c.execute(found).scalars())


def house(c: sa.Connection, account: Account) -> dict[str, int]:
    """The house's side of an account."""
    books = tables.books.c
    found = sa.select(books.kind, books.balance).where(
        books.account_id == account.id, books.kind.in_(("issued", "earned", "expired"))
    )
    return {row.kind: row.balance for row in c.execute(found)}


def test_units_go_from_grant_to_earned(database: Database, ledger: Ledger, account: Account) -> None:
    task = new_id()
    with database.write() as c:
        assert ledger.balance(c, account.id) == Balance(available=0, held=0)
        give(c, ledger, account, (100, None))
        assert ledger.hold(c, account.id, task, 30)
        assert ledger.balance(c, account.id) == Balance(available=70, held=30)
        assert ledger.settle(c, task, 30)
        assert ledger.balance(c, account.id) == Balance(available=70, held=0)
        assert house(c, account) == {"issued": -100, "earned": 30, "expired": 0}
    assert ledger.audit().sound


def test_a_grant_is_given_once(database: Database, ledger: Ledger, member: Callable[..., Account]) -> None:
    one, two = member("one"), member("two")
    purchase: dict[str, Any] = {"source": "purchase", "period": "cs_test_" + "a1" * 33}  # a payment provider's id
    with database.write() as c:
        assert ledger.grant(c, one.id, 500, **purchase)
        assert not ledger.grant(c, one.id, 500, **purchase)
        assert not ledger.grant(c, one.id, 900, **purchase)
        assert ledger.grant(c, one.id, 5, source="gift", period=purchase["period"])
        assert ledger.grant(c, two.id, 500, **purchase)
    with database.write() as c:
        assert not ledger.grant(c, one.id, 500, **purchase)
        assert ledger.balance(c, one.id).available == 505
    assert ledger.audit().sound


def test_the_soonest_to_expire_is_spent_first(database: Database, ledger: Ledger, account: Account) -> None:
    with database.write() as c:
        give(c, ledger, account, (10, None), (10, 2 * HOUR), (10, HOUR))
        assert ledger.hold(c, account.id, new_id(), 4)
        assert lots(c, account) == [6, 10, 10]
        assert ledger.hold(c, account.id, new_id(), 6)
        assert lots(c, account) == [0, 10, 10]
        assert ledger.hold(c, account.id, new_id(), 12)
        assert lots(c, account) == [0, 0, 8]
    assert ledger.audit().drift == 0


def test_units_go_back_to_the_lots_they_came_from(database: Database, ledger: Ledger, account: Account) -> None:
    one, two = new_id(), new_id()
    with database.write() as c:
        give(c, ledger, account, (10, HOUR), (10, 2 * HOUR), (10, None))
        ledger.hold(c, account.id, one, 25)
        assert lots(c, account) == [0, 0, 5]
        assert ledger.release(c, one)
        assert lots(c, account) == [10, 10, 10]
        ledger.hold(c, account.id, two, 25)
        # 12 are spent, of the first lots; 13 go back to the last ones.
        assert ledger.settle(c, two, 12)
        assert lots(c, account) == [0, 8, 10]
        assert house(c, account)["earned"] == 12
    assert ledger.audit().sound


@pytest.mark.parametrize("price", [0, 1, 24, 25])
def test_any_price_up_to_what_is_held(database: Database, ledger: Ledger, account: Account, price: int) -> None:
    task = new_id()
    with database.write() as c:
        give(c, ledger, account, (10, HOUR), (20, None))
        ledger.hold(c, account.id, task, 25)
        assert ledger.settle(c, task, price)
        assert ledger.balance(c, account.id) == Balance(available=30 - price, held=0)
    assert ledger.audit().sound


def test_acts_done_again_change_nothing(database: Database, ledger: Ledger, account: Account) -> None:
    spent, freed = new_id(), new_id()
    with database.write() as c:
        give(c, ledger, account, (100, None))
        for task in (spent, freed):
            assert ledger.hold(c, account.id, task, 20)
            assert not ledger.hold(c, account.id, task, 20)
            assert not ledger.hold(c, account.id, task, 90), "not even where there is not enough for another one"
        assert ledger.settle(c, spent, 15)
        assert ledger.release(c, freed)
    with database.write() as c:
        for task in (spent, freed):
            assert not ledger.settle(c, task, 15)
            assert not ledger.settle(c, task, 20)
            assert not ledger.release(c, task)
            assert not ledger.hold(c, account.id, task, 20), "what has ended is not held for again"
        assert not ledger.release(c, new_id())
        assert not ledger.settle(c, new_id(), 5)
        assert ledger.balance(c, account.id) == Balance(available=85, held=0)
    assert ledger.audit().sound


def test_too_little_names_price_and_balance_and_writes_nothing(
    database: Database, ledger: Ledger, account: Account
) -> None:
    task = new_id()
    with database.write() as c:
        give(c, ledger, account, (10, HOUR), (10, None))
        for units in (21, 1000):
            with pytest.raises(OutOfUnits, match=rf"costs {units} units and the account has 20"):
                ledger.hold(c, account.id, task, units)
        assert lots(c, account) == [10, 10]
    with database.write() as c:
        assert ledger.hold(c, account.id, task, 20), "refused is not done"
        with pytest.raises(OutOfUnits, match="has 0"):
            ledger.hold(c, account.id, new_id(), 1)
    assert ledger.audit().drift == 0


def test_nothing_costs_nothing(database: Database, ledger: Ledger, account: Account) -> None:
    task = new_id()
    with database.write() as c:
        assert ledger.hold(c, account.id, task, 0)
        assert not ledger.settle(c, task, 0)
    assert ledger.audit().transfers == 0


def test_amounts_that_cannot_be(database: Database, ledger: Ledger, account: Account) -> None:
    task = new_id()
    with pytest.raises(ValueError, match="cannot cost 6"), database.write() as c:
        give(c, ledger, account, (10, None))
        ledger.hold(c, account.id, task, 5)
        ledger.settle(c, task, 6)
    with database.write() as c:
        assert ledger.balance(c, account.id).available == 0, "the transaction came to nothing"
        for act in (
            lambda: ledger.hold(c, account.id, task, -1),
            lambda: ledger.settle(c, task, -1),
            lambda: ledger.grant(c, account.id, 0, source="gift", period="x"),
            lambda: ledger.grant(c, account.id, -5, source="gift", period="x"),
        ):
            with pytest.raises(ValueError, match="cannot be moved"):
                act()
    assert ledger.audit().transfers == 0


def test_what_is_over_is_written_off(database: Database, ledger: Ledger, account: Account) -> None:
    now, task = now_ms(), new_id()
    with database.write() as c:
        give(c, ledger, account, (10, HOUR), (20, 2 * HOUR), (30, None))
        ledger.hold(c, account.id, task, 4)
        assert ledger.expire(c, now) == 0
        assert ledger.expire(c, now + HOUR + 5000) == 1
        assert ledger.expire(c, now + HOUR + 5000) == 0
        assert lots(c, account) == [0, 20, 30]
        assert house(c, account)["expired"] == 6
        # Four of them were held meanwhile: they come back, and are over at once.
        assert ledger.release(c, task)
        assert lots(c, account) == [4, 20, 30]
        assert ledger.expire(c, now + HOUR + 5000) == 1
        assert house(c, account) == {"issued": -60, "earned": 0, "expired": 10}
        assert ledger.expire(c, NEVER - 1) == 1
        assert lots(c, account) == [0, 0, 30]
    assert ledger.audit().sound


def test_what_is_over_is_not_spent_before_it_is_written_off(
    database: Database, ledger: Ledger, account: Account
) -> None:
    with database.write() as c:
        give(c, ledger, account, (10, -1), (5, HOUR))
        assert ledger.balance(c, account.id).available == 5
        with pytest.raises(OutOfUnits, match="has 5"):
            ledger.hold(c, account.id, new_id(), 6)
        assert ledger.hold(c, account.id, new_id(), 5)
        assert lots(c, account) == [10, 0]


def test_a_backlog_is_written_off_in_turns(database: Database, ledger: Ledger, account: Account) -> None:
    with database.write() as c:
        give(c, ledger, account, *[(1, -1)] * 230)
    turns = []
    while not turns or turns[-1]:
        with database.write() as c:
            turns.append(ledger.expire(c, now_ms()))
    assert turns == [200, 30, 0]
    assert ledger.audit().sound


def test_the_statement_shows_every_transfer_and_the_balance_after_it(
    database: Database, ledger: Ledger, member: Callable[..., Account]
) -> None:
    account, other = member("studio"), member("other")
    one, two = new_id(), new_id()
    with database.write() as c:
        give(c, ledger, other, (999, None))
        ledger.hold(c, other.id, new_id(), 9)
        give(c, ledger, account, (10, HOUR), (100, None))
        ledger.hold(c, account.id, one, 30)
        ledger.hold(c, account.id, two, 50)
        ledger.settle(c, one, 12)
        ledger.release(c, two)
        ledger.expire(c, now_ms() + 2 * HOUR)
    told = [
        (line.kind, line.task_id, line.source, line.change, line.held, line.spent, line.balance)
        for line in ledger.statement(account.id)
    ]
    # Of the first task's price ten units were the short lot's, so nothing is left in it to expire.
    assert told == [
        ("release", two, None, 50, -50, 0, 98),
        ("settle", one, None, 18, -30, 12, 48),
        ("hold", two, None, -50, 50, 0, 30),
        ("hold", one, None, -30, 30, 0, 80),
        ("grant", None, "gift", 100, 0, 0, 110),
        ("grant", None, "gift", 10, 0, 0, 10),
    ]
    whole = ledger.statement(account.id)
    pages = []
    while not pages or pages[-1]:
        pages.append(ledger.statement(account.id, limit=2, before=pages[-1][-1].id if pages else None))
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert [line for page in pages for line in page] == whole
    assert ledger.statement(new_id()) == []


PAST = (
    "UPDATE transfers SET created_at = 1", "UPDATE transfers SET token = 'x' WHERE kind = 'grant'",
    "UPDATE entries SET amount = 0", "DELETE FROM transfers", "DELETE FROM entries",
    "DELETE FROM entries WHERE amount < 0",
)  # fmt: skip


def test_the_database_refuses_to_change_the_past(database: Database, ledger: Ledger, account: Account) -> None:
    with database.write() as c:
        give(c, ledger, account, (10, None))
    before = ledger.audit()
    for act in (*PAST, *(() if database.is_sqlite else ("TRUNCATE entries", "TRUNCATE transfers CASCADE"))):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as c:
            c.execute(sa.text(act))
    assert ledger.audit() == before
    assert (before.transfers, before.entries) == (1, 2)


def test_the_database_refuses_an_overdrawn_book(database: Database, ledger: Ledger, account: Account) -> None:
    with database.write() as c:
        give(c, ledger, account, (10, None))
    with pytest.raises(sa.exc.IntegrityError, match="not_overdrawn"), database.write() as c:
        c.execute(sa.update(tables.books).where(tables.books.c.kind == "grant").values(balance=-1))


def test_an_error_of_the_database_is_sqlalchemy_s(database: Database, ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.write() as c:
        ledger.grant(c, 5, 10, source="gift", period="no such account")
