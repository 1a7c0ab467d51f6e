"""Reading the ledger: an account's statement, and the audit that computes everything again from the entries."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import Connection

from kinora.service.store.statement import Statement

__all__ = ["Audit", "Line", "audit", "statement"]

LAST = 2**63 - 1
"""Above every id."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One transfer as its account sees it. `change` is what it did to the units that can be spent, `held` to those that
    tasks hold, `spent` what a task has cost; `balance` is what could be spent after it, lots that are over and not yet
    written off included. `source` is that of a grant.
    """

    id: int
    kind: str
    task_id: int | None
    source: str | None
    created_at: int
    change: int
    held: int
    spent: int
    balance: int


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the entries say. All but the three sizes and `open_holds` must be zero (`sound`)."""

    books: int
    transfers: int
    entries: int
    drift: int
    """Units by which books differ from the sum of their entries."""
    unbalanced: int
    """Transfers whose entries do not sum to zero, or that have fewer than two."""
    negative: int
    """Books below zero; what the house has issued is the only one that may be."""
    twice: int
    """Tasks that were held for, or ended, more than once."""
    ungranted: int
    """Grants that are not one lot with their whole amount."""
    astray: int
    """Open holds without a task, or of a task that has ended."""
    open_holds: int
    """Holds with units in them: of tasks under way."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.drift or self.unbalanced or self.negative or self.twice or self.ungranted or self.astray)


# What the account had after the newest line of the page is what it has now without what came later: few rows for the
# first pages, which are the ones asked for.
_STATEMENT = Statement(
    """SELECT page.id, page.kind, page.task_id, MAX(grants.source), page.created_at,
        COALESCE(SUM(CASE WHEN books.grant_id IS NOT NULL THEN entries.amount END), 0),
        COALESCE(SUM(CASE WHEN books.task_id IS NOT NULL THEN entries.amount END), 0),
        COALESCE(SUM(CASE WHEN books.kind = 'earned' THEN entries.amount END), 0),
        (SELECT COALESCE(SUM(balance), 0) FROM books WHERE account_id = :account AND kind = 'grant') - (
            SELECT COALESCE(SUM(entries.amount), 0) FROM transfers
            JOIN entries ON entries.transfer_id = transfers.id JOIN books ON books.id = entries.book_id
            WHERE transfers.account_id = :account AND transfers.id >= :before AND books.grant_id IS NOT NULL
        )
    FROM (
        SELECT * FROM transfers WHERE account_id = :account AND id < :before ORDER BY id DESC LIMIT :most
    ) AS page
    JOIN entries ON entries.transfer_id = page.id JOIN books ON books.id = entries.book_id
    LEFT JOIN grants ON grants.id = books.grant_id AND page.kind = 'grant'
    GROUP BY page.id, page.kind, page.task_id, page.created_at ORDER BY page.id DESC"""
)


def statement(c: Connection, account_id: int, *, limit: int, before: int | None) -> list[Line]:
    """The account's transfers, newest first, those before the line `before` (its id)."""
    rows = _STATEMENT.rows(c, account=account_id, before=LAST if before is None else before, most=limit)
    lines = []
    balance = int(rows[0][-1]) if rows else 0
    for number, kind, task_id, source, created_at, change, held, spent, _ in rows:
        lines.append(
            Line(
                id=number, kind=kind, task_id=task_id, source=source, created_at=created_at, change=int(change),
                held=int(held), spent=int(spent), balance=balance,
            )
        )  # fmt: skip
        balance -= int(change)
    return lines


_CHECKS = {
    "books": "SELECT COUNT(*) FROM books",
    "transfers": "SELECT COUNT(*) FROM transfers",
    "entries": "SELECT COUNT(*) FROM entries",
    "drift": """SELECT COALESCE(SUM(ABS(books.balance - COALESCE(moved.amount, 0))), 0) FROM books LEFT JOIN (
        SELECT book_id, SUM(amount) AS amount FROM entries GROUP BY book_id
    ) AS moved ON moved.book_id = books.id""",
    "unbalanced": """SELECT COUNT(*) FROM (
        SELECT transfers.id FROM transfers LEFT JOIN entries ON entries.transfer_id = transfers.id
        GROUP BY transfers.id HAVING COUNT(entries.book_id) < 2 OR SUM(entries.amount) <> 0
    ) AS wrong""",
    "negative": "SELECT COUNT(*) FROM books WHERE balance < 0 AND kind <> 'issued'",
    "twice": """SELECT COUNT(*) FROM (
        SELECT task_id FROM transfers WHERE task_id IS NOT NULL GROUP BY task_id
        HAVING SUM(CASE WHEN kind = 'hold' THEN 1 ELSE 0 END) <> 1
            OR SUM(CASE WHEN kind IN ('settle', 'release') THEN 1 ELSE 0 END) > 1
    ) AS wrong""",
    "ungranted": """SELECT COUNT(*) FROM grants WHERE 1 <> (
        SELECT COUNT(*) FROM transfers JOIN entries ON entries.transfer_id = transfers.id
        JOIN books ON books.id = entries.book_id
        WHERE transfers.token = 'grant:' || grants.id AND books.grant_id = grants.id AND entries.amount = grants.amount
    )""",
    "astray": """SELECT COUNT(*) FROM books LEFT JOIN tasks ON tasks.id = books.task_id
        WHERE books.kind = 'hold' AND (tasks.id IS NULL OR tasks.ended_at IS NOT NULL)""",
    "open_holds": "SELECT COUNT(*) FROM books WHERE kind = 'hold'",
}
_STATEMENTS = {name: Statement(sql) for name, sql in _CHECKS.items()}
assert set(_STATEMENTS) == {field.name for field in fields(Audit)}


def audit(c: Connection) -> Audit:
    """Compute everything again. Every check is one statement, so it may run while others write."""
    found = {}
    for name, check in _STATEMENTS.items():
        [(value,)] = check.rows(c)
        found[name] = int(value)
    return Audit(**found)
