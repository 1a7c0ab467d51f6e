"""Acts at the same moment, from connections of their own: each happens once, and no book is overdrawn.

Nothing but the ledger's own statements keeps them apart: the account's row is not locked here.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from kinora.service.accounts import Account
from kinora.service.errors import OutOfUnits
from kinora.service.ledger import Balance, Ledger
from kinora.service.store import Database, new_id, now_ms

THREADS = 8


def at_once(database: Database, acts: list[Callable[[sa.Connection], bool]]) -> list[bool]:
    """All acts at the same time, each in its own transaction; OutOfUnits counts as False."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[sa.Connection], bool]) -> bool:
        gate.wait()
        try:
            with database.write() as c:
                return act(c)
        except OutOfUnits:
            return False

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def give(database: Database, ledger: Ledger, account: Account, *amounts: int) -> None:
    with database.write() as c:
        for number, amount in enumerate(amounts):
            ledger.grant(c, account.id, amount, source="gift", period=str(number), expires_at=now_ms() + 10**7 + number)


def test_no_more_is_held_than_there_is(database: Database, ledger: Ledger, account: Account) -> None:
    give(database, ledger, account, 5, 3, 4)  # most holds take from two lots
    done = at_once(
        database, [lambda c: ledger.hold(c, account.id, new_id(), 2) for _ in range(THREADS)]
    )  # fmt: skip
    assert sum(done) == 6
    with database.read() as c:
        assert ledger.balance(c, account.id) == Balance(available=0, held=12)
    assert ledger.audit().drift == 0


def test_one_hold_of_many_with_one_token(database: Database, ledger: Ledger, account: Account) -> None:
    for amounts in ((100,), (2, 2, 96)):
        give(database, ledger, account, *amounts)
        with database.read() as c:
            before = ledger.balance(c, account.id)
        task = new_id()
        done = at_once(database, [lambda c, task=task: ledger.hold(c, account.id, task, 5) for _ in range(THREADS)])  # type: ignore[misc]
        assert sum(done) == 1
        with database.read() as c:
            after = ledger.balance(c, account.id)
        assert (after.available, after.held) == (before.available - 5, before.held + 5)


def test_a_task_ends_once(database: Database, ledger: Ledger, account: Account) -> None:
    give(database, ledger, account, 3, 500)
    for _ in range(8):
        task = new_id()
        with database.write() as c:
            ledger.hold(c, account.id, task, 10)
            before = ledger.balance(c, account.id).available
        acts: list[Callable[[sa.Connection], bool]] = [
            lambda c, task=task: ledger.settle(c, task, 10),  # type: ignore[misc]
            lambda c, task=task: ledger.settle(c, task, 6),  # type: ignore[misc]
            lambda c, task=task: ledger.release(c, task),  # type: ignore[misc]
        ] * 2
        random.shuffle(acts)
        assert sum(at_once(database, acts)) == 1
        with database.read() as c:
            after = ledger.balance(c, account.id)
        assert after.held == 0
        assert after.available - before in {0, 4, 10}
    assert ledger.audit().sound


def test_one_grant_of_many(database: Database, account: Account) -> None:
    ledgers = [Ledger(database) for _ in range(THREADS)]

    def act(ledger: Ledger) -> Callable[[sa.Connection], bool]:
        return lambda c: ledger.refresh(c, account) is None

    at_once(database, [act(ledger) for ledger in ledgers])
    done = at_once(
        database, [lambda c: ledgers[0].grant(c, account.id, 9, source="gift", period="one") for _ in range(THREADS)]
    )  # fmt: skip
    assert sum(done) == 1
    with database.read() as c:
        assert ledgers[0].balance(c, account.id).available == 66 + 9
    assert ledgers[0].audit().sound


def test_what_is_over_is_written_off_once(database: Database, ledger: Ledger, account: Account) -> None:
    with database.write() as c:
        for number in range(30):
            ledger.grant(c, account.id, 7, source="gift", period=str(number), expires_at=now_ms() - 1)
    at_once(database, [lambda c: ledger.expire(c, now_ms()) > 0 for _ in range(4)])
    with database.write() as c:
        assert ledger.expire(c, now_ms()) == 0
        expired = c.execute(sa.text("SELECT balance FROM books WHERE kind = 'expired'")).scalar_one()
    assert expired == 210
    assert ledger.audit().sound


def test_everything_at_once_on_one_account(database: Database, ledger: Ledger, account: Account) -> None:
    """Bare acts of every kind against one account's few rows: no two of them ever wait for each other."""
    give(database, ledger, account, *[40] * 12)
    tasks = [new_id() for _ in range(60)]
    with database.write() as c:
        for task in tasks:
            ledger.hold(c, account.id, task, 7)

    def player(seed: int) -> Callable[[sa.Connection], bool]:
        chance = random.Random(seed)
        order = chance.sample(tasks, len(tasks))

        def play(_: sa.Connection) -> bool:
            for task in order:
                with database.write() as c:
                    what = chance.random()
                    if what < 0.5:
                        ledger.settle(c, task, chance.randint(0, 7))
                    elif what < 0.8:
                        ledger.release(c, task)
                    else:
                        ledger.expire(c, now_ms())
                with database.write() as c:
                    try:
                        ledger.hold(c, account.id, new_id(), chance.randint(1, 60))
                    except OutOfUnits:
                        continue
            return True

        return play

    with ThreadPoolExecutor(4) as pool:
        players = [pool.submit(player(seed), None) for seed in range(4)]  # type: ignore[arg-type]
        assert all(played.result(timeout=60) for played in players)
    found = ledger.audit()
    assert (found.drift, found.negative, found.unbalanced, found.twice) == (0, 0, 0, 0)
