"""The audit finds what is wrong: each kind of damage is done on purpose, behind the ledger's back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
import sqlalchemy as sa

from kinora.service.accounts import Account
from kinora.service.ledger import Audit, Ledger
from kinora.service.ledger_audit import audit
from kinora.service.store import Database, new_id, now_ms, tables

BOOKS = tables.books


def of_kind(c: sa.Connection, kind: str) -> int:
    return c.execute(sa.select(BOOKS.c.id).where(BOOKS.c.kind == kind).limit(1)).scalar_one()


def transfer(c: sa.Connection, account: Account, kind: str, task: int | None, *moved: tuple[int, int]) -> None:
    number = new_id()
    c.execute(
        sa.insert(tables.transfers).values(
            id=number, kind=kind, account_id=account.id, task_id=task, token=str(number), created_at=now_ms()
        )
    )
    for book, amount in moved:
        c.execute(sa.insert(tables.entries).values(transfer_id=number, book_id=book, amount=amount))


def drift(c: sa.Connection, _: Account, __: int) -> None:
    c.execute(sa.update(BOOKS).where(BOOKS.c.kind == "grant").values(balance=BOOKS.c.balance + 3))


def drift_that_sums_to_zero(c: sa.Connection, _: Account, __: int) -> None:
    for kind, amount in (("grant", 2), ("hold", -2)):
        c.execute(sa.update(BOOKS).where(BOOKS.c.kind == kind).values(balance=BOOKS.c.balance + amount))


def lost_book(c: sa.Connection, account: Account, _: int) -> None:
    c.execute(sa.insert(BOOKS).values(id=new_id(), account_id=account.id, kind="closed", balance=7))


def unbalanced(c: sa.Connection, account: Account, _: int) -> None:
    book = of_kind(c, "grant")
    transfer(c, account, "gift", None, (book, 5), (of_kind(c, "issued"), -4))
    c.execute(sa.update(BOOKS).where(BOOKS.c.id == book).values(balance=BOOKS.c.balance + 5))
    c.execute(sa.update(BOOKS).where(BOOKS.c.kind == "issued").values(balance=BOOKS.c.balance - 4))


def empty_transfer(c: sa.Connection, account: Account, _: int) -> None:
    transfer(c, account, "grant", None)


def ended_twice(c: sa.Connection, account: Account, task: int) -> None:
    for _ in range(2):
        transfer(c, account, "settle", task, (of_kind(c, "hold"), 0), (of_kind(c, "earned"), 0))


def held_twice(c: sa.Connection, account: Account, task: int) -> None:
    transfer(c, account, "hold", task, (of_kind(c, "grant"), 0), (of_kind(c, "hold"), 0))


def ended_without_a_hold(c: sa.Connection, account: Account, _: int) -> None:
    transfer(c, account, "release", new_id(), (of_kind(c, "grant"), 0), (of_kind(c, "hold"), 0))


def grant_without_a_lot(c: sa.Connection, account: Account, _: int) -> None:
    c.execute(
        sa.insert(tables.grants).values(
            id=new_id(), account_id=account.id, source="gift", period="lost", amount=5, created_at=now_ms()
        )
    )


def grant_of_another_amount(c: sa.Connection, _: Account, __: int) -> None:
    c.execute(sa.update(tables.grants).values(amount=99))


DAMAGE: tuple[tuple[Callable[[sa.Connection, Account, int], None], str, int], ...] = (
    (drift, "drift", 3), (drift_that_sums_to_zero, "drift", 4), (lost_book, "drift", 7), (unbalanced, "unbalanced", 1),
    (empty_transfer, "unbalanced", 1), (ended_twice, "twice", 1), (held_twice, "twice", 1),
    (ended_without_a_hold, "twice", 1), (grant_without_a_lot, "ungranted", 1),
    (grant_of_another_amount, "ungranted", 1),
)  # fmt: skip


def test_damage_is_found(database: Database, ledger: Ledger, account: Account) -> None:
    task = new_id()
    with database.write() as c:
        ledger.grant(c, account.id, 50, source="gift", period="1")
        ledger.hold(c, account.id, task, 20)
    whole = ledger.audit()
    assert (whole.books, whole.transfers, whole.entries) == (5, 2, 4)
    for damage, field, amount in DAMAGE:
        with database.write() as c:
            damage(c, account, task)
            found = audit(c)
            c.rollback()
        assert getattr(found, field) == amount, damage.__name__
        assert not found.sound, damage.__name__
        quiet = {one.name for one in fields(Audit)} - {"books", "transfers", "entries", field}
        assert all(getattr(found, name) == getattr(whole, name) for name in quiet), (damage.__name__, found)
    assert ledger.audit() == whole


@pytest.mark.parametrize("ended", [None, 1])
def test_holds_of_tasks_that_are_no_more_are_astray(
    database: Database, ledger: Ledger, account: Account, ended: int | None
) -> None:
    task, lost = new_id(), new_id()
    with database.write() as c:
        ledger.grant(c, account.id, 50, source="gift", period="1")
        ledger.hold(c, account.id, task, 20)
        ledger.hold(c, account.id, lost, 20)
        c.execute(
            sa.insert(tables.tasks).values(
                id=task, account_id=account.id, kind="text_to_video", state="submitted", model="m", request={},
                options={}, wire={}, slot_kind="video", slots=1, units=20, turn=0, created_at=1, updated_at=1,
                ended_at=ended,
            )
        )  # fmt: skip
    found = ledger.audit()
    assert (found.open_holds, found.astray) == (2, 1 if ended is None else 2)
    assert not found.sound
    with database.write() as c:
        ledger.release(c, lost)
        ledger.settle(c, task, 20)
    assert ledger.audit().sound
    assert ledger.audit().open_holds == 0
