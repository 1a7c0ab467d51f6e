"""The ledger's statements. A submit waits for them, so each is written for the driver once and sent straight to it.

Rows of one account are locked in one order by every act, so that no two acts wait for each other: the hold of the task,
then the lots by (expires_at, id), then the house's books.
"""

from __future__ import annotations

from kinora.service.store.statement import Statement

__all__ = [
    "ACT",
    "BALANCE",
    "CLOSE",
    "CLOSE_EXACTLY",
    "CLOSE_LOT",
    "DONE",
    "GRANT",
    "GRANTED",
    "HOLD",
    "HOUSE",
    "LOT",
    "LOTS",
    "MOVE",
    "MOVE_HOUSE",
    "MOVE_ONE",
    "OVER",
    "PUT_BACK",
    "SETTLE_AT_ONCE",
    "TAKE",
    "TAKEN",
    "TAKE_ONE",
    "hold_parts",
]  # fmt: skip


# An act

DONE = Statement("SELECT 1 FROM transfers WHERE token = :token")
ACT = Statement(
    """INSERT INTO transfers (id, kind, account_id, task_id, token, created_at)
    VALUES (:id, :kind, :account, :task, :token, :now) ON CONFLICT (token) DO NOTHING"""
)
MOVE = Statement(
    """INSERT INTO entries (transfer_id, book_id, amount)
    VALUES (:transfer, :first, :first_amount), (:transfer, :second, :second_amount)"""
)
MOVE_ONE = Statement("INSERT INTO entries (transfer_id, book_id, amount) VALUES (:transfer, :book, :amount)")
MOVE_HOUSE = Statement(
    "UPDATE books SET balance = balance + :amount WHERE account_id = :account AND kind = :kind RETURNING id"
)

# Lots

# The soonest to expire, if it has enough.
TAKE_ONE = Statement(
    """UPDATE books SET balance = balance - :units
    WHERE id = (
        SELECT id FROM books WHERE account_id = :account AND kind = 'grant' AND expires_at > :now AND balance > 0
        ORDER BY expires_at, id LIMIT 1
    ) AND balance >= :units
    RETURNING id"""
)
LOTS = Statement(
    """SELECT id, balance FROM books
    WHERE account_id = :account AND kind = 'grant' AND expires_at > :now AND balance > 0 ORDER BY expires_at, id""",
    locks="FOR NO KEY UPDATE",
)
TAKE = Statement("UPDATE books SET balance = balance - :units WHERE id = :id")
# A lot that was closed meanwhile is open again, so that it expires again.
PUT_BACK = Statement("UPDATE books SET balance = balance + :units, kind = 'grant' WHERE id = :id")
OVER = Statement(
    """SELECT id, account_id, balance FROM books WHERE kind = 'grant' AND expires_at <= :now
    ORDER BY account_id, expires_at, id LIMIT :most""",
    locks="FOR NO KEY UPDATE SKIP LOCKED",
)
CLOSE_LOT = Statement("UPDATE books SET balance = 0, kind = 'closed' WHERE id = :id")

# Holds

HOLD = Statement(
    """INSERT INTO books (id, account_id, kind, task_id, balance) VALUES (:id, :account, 'hold', :task, :units)"""
)
CLOSE_EXACTLY = Statement(
    """UPDATE books SET balance = 0, kind = 'closed' WHERE task_id = :task AND kind = 'hold' AND balance = :units
    RETURNING id, account_id"""
)
CLOSE = Statement(
    "UPDATE books SET balance = 0, kind = 'closed' WHERE task_id = :task AND kind = 'hold' RETURNING id, account_id"
)
# Where a hold took its units from, the soonest to expire first.
TAKEN = Statement(
    """SELECT books.id, -entries.amount AS units FROM transfers
    JOIN entries ON entries.transfer_id = transfers.id JOIN books ON books.id = entries.book_id
    WHERE transfers.token = :token AND entries.amount < 0 ORDER BY books.expires_at, books.id"""
)

# Postgres may be another machine: there the common case of an act is one statement. What is not found (no one lot has
# enough, or the price is not all that is held) is left to the statements above.


def hold_parts(only: str) -> str:
    """A hold from one lot as parts of a larger statement, done `only` where a condition holds: `lot` has a row if the
    soonest lot has enough, `act` if the act is new. That statement locks the account's row before: a lot that has too
    little stays locked, and the lots are gathered from the soonest again.
    """
    # Nothing of a client is in this text.
    return f"""lot AS (
        UPDATE books SET balance = balance - :units
        WHERE id = (
            SELECT id FROM books WHERE account_id = :account AND kind = 'grant' AND expires_at > :now AND balance > 0
            ORDER BY expires_at, id LIMIT 1
        ) AND balance >= :units AND {only}
        RETURNING id
    ), act AS (
        INSERT INTO transfers (id, kind, account_id, task_id, token, created_at)
        SELECT :transfer, 'hold', :account, :task, :token, :now FROM lot
        ON CONFLICT (token) DO NOTHING RETURNING id
    ), hold AS (
        INSERT INTO books (id, account_id, kind, task_id, balance)
        SELECT :hold, :account, 'hold', :task, :units FROM act RETURNING id
    ), moved AS (
        INSERT INTO entries (transfer_id, book_id, amount)
        SELECT act.id, lot.id, -:units FROM act, lot UNION ALL SELECT act.id, hold.id, :units FROM act, hold
    )"""  # noqa: S608


SETTLE_AT_ONCE = Statement(
    """WITH hold AS (
        UPDATE books SET balance = 0, kind = 'closed' WHERE task_id = :task AND kind = 'hold' AND balance = :units
        RETURNING id, account_id
    ), earned AS (
        UPDATE books SET balance = balance + :units
        WHERE account_id = (SELECT account_id FROM hold) AND kind = 'earned' RETURNING id
    ), act AS (
        INSERT INTO transfers (id, kind, account_id, task_id, token, created_at)
        SELECT :transfer, 'settle', account_id, :task, :token, :now FROM hold RETURNING id
    ), moved AS (
        INSERT INTO entries (transfer_id, book_id, amount)
        SELECT act.id, hold.id, -:units FROM act, hold UNION ALL SELECT act.id, earned.id, :units FROM act, earned
    )
    SELECT id FROM hold"""
)

# Grants

GRANT = Statement(
    """INSERT INTO grants (id, account_id, source, period, amount, created_at, expires_at)
    VALUES (:id, :account, :source, :period, :amount, :now, :expires_at)
    ON CONFLICT (account_id, source, period) DO NOTHING"""
)
GRANTED = Statement(
    "SELECT created_at FROM grants WHERE account_id = :account AND source = :source AND period = :period"
)
LOT = Statement(
    """INSERT INTO books (id, account_id, kind, grant_id, balance, expires_at)
    VALUES (:id, :account, 'grant', :grant, :amount, :expires_at)"""
)
HOUSE = Statement(
    """INSERT INTO books (id, account_id, kind, balance)
    VALUES (:issued, :account, 'issued', 0), (:earned, :account, 'earned', 0), (:expired, :account, 'expired', 0)
    ON CONFLICT DO NOTHING"""
)

# What is shown

BALANCE = Statement(
    """SELECT COALESCE(SUM(CASE WHEN kind = 'grant' AND expires_at > :now THEN balance END), 0),
        COALESCE(SUM(CASE WHEN kind = 'hold' THEN balance END), 0)
    FROM books WHERE account_id = :account AND kind IN ('grant', 'hold')"""
)
