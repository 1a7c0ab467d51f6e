"""Units: who has how many, and what became of them. Double entry, append-only, whole numbers.

A grant makes a lot, a book that units are taken from until it expires. Submitting a task moves units from lots into
the task's hold; its end moves them on to what the house has earned, or back where they came from:

    grant     issued -> lot             settle    hold -> earned, what was held beyond the price -> lots
    hold      lots -> hold              release   hold -> lots
    expire    lot -> expired

Every account has its own books of all these kinds, so that accounts never wait for each other. Every act runs inside
the caller's writing transaction and has a token that is unique in the store: done again, it changes nothing and says
False. On Postgres a transaction that also changes the account's row (its slots) does that first, before its acts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from kinora.service import ledger_sql as sql
from kinora.service.callers import Account
from kinora.service.errors import OutOfUnits
from kinora.service.ledger_audit import Audit, Line, audit, statement
from kinora.service.plans import PLANS, Due, due
from kinora.service.store import Database, new_id, now_ms

__all__ = ["NEVER", "Audit", "Balance", "Ledger", "Line"]

NEVER = 2**62
"""When a lot without an end expires."""
AT_ONCE = 200
"""Lots that one call of `expire` closes: on SQLite all other writers wait for it."""
SETTLED_MS = 30_000
"""A grant so old is surely committed, and is not looked for again."""
MOST_REMEMBERED = 100_000

Part = tuple[int, int]
"""A lot's id, and units of it."""


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Units that can be spent, and units held by tasks under way."""

    available: int
    held: int


class Ledger:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._refreshed: dict[int, tuple[Due, ...]] = {}

    def grant(
        self, c: Connection, account_id: int, amount: int, *, source: str, period: str, expires_at: int | None = None
    ) -> bool:
        """Give `amount` units, once for every `source` and `period` of an account; False when they were given before.

        `source` says why (gift, purchase, plan:...); `period` tells grants of one source apart: a day, a month, for a
        purchase the payment provider's id. `expires_at`: milliseconds since 1970, None for never.
        """
        _check(amount, least=1)
        now, grant = now_ms(), new_id()
        given = sql.GRANT.run(
            c, id=grant, account=account_id, source=source, period=period, amount=amount, now=now, expires_at=expires_at
        )
        if not given:
            return False
        issued = self._house(c, account_id, "issued", -amount)
        lot = new_id()
        sql.LOT.run(
            c, id=lot, account=account_id, grant=grant, amount=amount,
            expires_at=NEVER if expires_at is None else expires_at,
        )  # fmt: skip
        transfer = _act(c, "grant", account_id, None, f"grant:{grant}", now)
        assert transfer is not None
        _move(c, transfer, [(issued, -amount), (lot, amount)])
        return True

    def refresh(self, c: Connection, account: Account) -> None:
        """Give what the account's plan grants for this day and month, where that was not given yet."""
        now = now_ms()
        wanted = tuple(due(PLANS[account.plan], now))
        if not wanted or self._refreshed.get(account.id) == wanted:
            return
        settled = True
        for one in wanted:
            given = sql.GRANTED.row(c, account=account.id, source=one.source, period=one.period)
            if given is None:
                self.grant(c, account.id, one.amount, source=one.source, period=one.period, expires_at=one.expires_at)
            # One of a moment ago may be this very transaction's, which may still come to nothing.
            settled = settled and given is not None and given[0] < now - SETTLED_MS
        if settled:
            if len(self._refreshed) >= MOST_REMEMBERED:
                self._refreshed.clear()
            self._refreshed[account.id] = wanted

    def hold(self, c: Connection, account_id: int, task_id: int, units: int) -> bool:
        """Set `units` aside for a task, from the lots that expire soonest. False when that was done before;
        `OutOfUnits` when there are not as many.
        """
        _check(units, least=0)
        if not units:
            return True
        token, now = f"hold:{task_id}", now_ms()
        # Not on Postgres: a statement that waits for a lot, and then finds too little in it, keeps that lot locked, and
        # units that came back to an earlier lot meanwhile would be waited for out of order.
        one = sql.TAKE_ONE.row(c, account=account_id, now=now, units=units) if self._database.is_sqlite else None
        parts = self._gather(c, account_id, units, token, now) if one is None else [(one[0], units)]
        if not parts:
            return False
        transfer = _act(c, "hold", account_id, task_id, token, now)
        if transfer is None:  # it was done before
            for book, taken in parts:
                sql.PUT_BACK.run(c, id=book, units=taken)
            return False
        hold = new_id()
        sql.HOLD.run(c, id=hold, account=account_id, task=task_id, units=units)
        _move(c, transfer, [*((book, -taken) for book, taken in parts), (hold, units)])
        return True

    def settle(self, c: Connection, task_id: int, units: int) -> bool:
        """The task is done and costs `units`: they are earned, what was held beyond them goes back. False when the task
        holds nothing (any more); a price above what is held is a mistake of the caller's.
        """
        _check(units, least=0)
        if units and self._settle_exactly(c, task_id, units):
            return True
        return self._close(c, "settle", task_id, units)

    def release(self, c: Connection, task_id: int) -> bool:
        """The task costs nothing: its units go back where they came from. False when it holds none (any more)."""
        return self._close(c, "release", task_id, 0)

    def expire(self, c: Connection, now: int) -> int:
        """Close lots that are over at `now`, and write off what is left in them. Some hundred at a time, so that others
        get a turn: call it again, in another transaction, until it says 0.
        """
        lots = sql.OVER.rows(c, now=now, most=AT_ONCE)
        for lot, account_id, left in lots:
            sql.CLOSE_LOT.run(c, id=lot)
            if left:
                expired = self._house(c, account_id, "expired", left)
                # Units may come back to a lot after it expired, so a lot may expire again.
                transfer = _act(c, "expire", account_id, None, f"expire:{lot}:{new_id()}", now)
                assert transfer is not None
                _move(c, transfer, [(lot, -left), (expired, left)])
        return len(lots)

    def balance(self, c: Connection, account_id: int) -> Balance:
        """What the account has at this moment."""
        [(available, held)] = sql.BALANCE.rows(c, account=account_id, now=now_ms())
        return Balance(available=int(available), held=int(held))

    def statement(self, account_id: int, *, limit: int = 50, before: int | None = None) -> list[Line]:
        """The account's transfers, newest first, with the balance after each; the next page is `before` the last id."""
        with self._database.read() as c:
            return statement(c, account_id, limit=limit, before=before)

    def audit(self) -> Audit:
        """Everything computed again from the entries."""
        with self._database.read() as c:
            return audit(c)

    def _gather(self, c: Connection, account_id: int, units: int, token: str, now: int) -> list[Part]:
        """`units` from as many lots as it takes; nothing where the act was done before."""
        if sql.DONE.row(c, token=token) is not None:
            return []
        parts: list[Part] = []
        missing, available = units, 0
        for lot, balance in sql.LOTS.rows(c, account=account_id, now=now):
            available += balance
            taken = min(missing, balance)
            if taken:
                parts.append((lot, taken))
                missing -= taken
        if missing:
            raise OutOfUnits(
                f"This costs {units} units and the account has {available}: ask for something shorter, smaller or"
                " fewer, or get more units."
            )
        for lot, taken in parts:
            sql.TAKE.run(c, id=lot, units=taken)
        return parts

    def _settle_exactly(self, c: Connection, task_id: int, units: int) -> bool:
        """The common case: the task costs just what it holds."""
        if not self._database.is_sqlite:
            return sql.SETTLE_AT_ONCE.row(
                c, task=task_id, units=units, transfer=new_id(), token=f"end:{task_id}", now=now_ms()
             ) is not None  # fmt: skip
        closed = sql.CLOSE_EXACTLY.row(c, task=task_id, units=units)
        if closed is not None:
            self._end(c, "settle", task_id, closed[0], closed[1], units, [])
        return closed is not None

    def _close(self, c: Connection, kind: str, task_id: int, units: int) -> bool:
        closed = sql.CLOSE.row(c, task=task_id)
        if closed is None:
            return False
        taken: Sequence[Part] = [(lot, amount) for lot, amount in sql.TAKEN.rows(c, token=f"hold:{task_id}")]
        held = sum(amount for _, amount in taken)
        if units > held:
            raise ValueError(
                f"task {task_id} holds {held} units and cannot cost {units}: hold the whole price at submit"
            )
        # What is spent is of the lots that expire soonest, what goes back of the last ones.
        back: list[Part] = []
        spend = units
        for lot, amount in taken:
            spent = min(spend, amount)
            spend -= spent
            if amount > spent:
                sql.PUT_BACK.run(c, id=lot, units=amount - spent)
                back.append((lot, amount - spent))
        self._end(c, kind, task_id, closed[0], closed[1], units, back)
        return True

    def _end(
        self, c: Connection, kind: str, task_id: int, hold: int, account_id: int, units: int, back: list[Part]
    ) -> None:
        earned = [(self._house(c, account_id, "earned", units), units)] if units else []
        transfer = _act(c, kind, account_id, task_id, f"end:{task_id}", now_ms())
        # The hold was open, and is closed in the same transaction as the token is taken.
        assert transfer is not None
        held = units + sum(amount for _, amount in back)
        _move(c, transfer, [(hold, -held), *earned, *back])

    def _house(self, c: Connection, account_id: int, kind: str, amount: int) -> int:
        """Change one of the house's books of this account, which the first grant makes; its id."""
        book = sql.MOVE_HOUSE.row(c, account=account_id, kind=kind, amount=amount)
        if book is None:
            sql.HOUSE.run(c, account=account_id, issued=new_id(), earned=new_id(), expired=new_id())
            book = sql.MOVE_HOUSE.row(c, account=account_id, kind=kind, amount=amount)
        assert book is not None
        return int(book[0])


def _act(c: Connection, kind: str, account_id: int, task_id: int | None, token: str, now: int) -> int | None:
    """Write the transfer; None when its token was used before."""
    transfer = new_id()
    written = sql.ACT.run(c, id=transfer, kind=kind, account=account_id, task=task_id, token=token, now=now)
    return transfer if written else None


def _move(c: Connection, transfer: int, moved: list[Part]) -> None:
    assert not sum(amount for _, amount in moved)
    if len(moved) == 2:
        (first, first_amount), (second, second_amount) = moved
        sql.MOVE.run(
            c, transfer=transfer, first=first, first_amount=first_amount, second=second, second_amount=second_amount
        )
        return
    for book, amount in moved:
        sql.MOVE_ONE.run(c, transfer=transfer, book=book, amount=amount)


def _check(units: int, *, least: int) -> None:
    if units < least or isinstance(units, bool):
        raise ValueError(f"{units} units cannot be moved: it takes {least} or more")
