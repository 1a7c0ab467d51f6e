"""The statements of a submission, whose time decides how much a service can accept: written for the driver once, and on
Postgres, which may be another machine, one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql

from kinora.service.ledger_sql import hold_parts
from kinora.service.store import new_id
from kinora.service.store.statement import Statement
from kinora.service.store.tables import events, tasks

__all__ = ["Accepted", "accept"]

NOW = "(SELECT value FROM numbers WHERE name = 'turn')"
JSON_COLUMNS = ("request", "options", "wire")
EVENT = ("account_id", "task_id", "kind", "body", "created_at")
TASK = tuple(tasks.c.keys())
AFTER_ACCOUNT = ":units > 0 AND :account = (SELECT id FROM account)"
"""Refers to the account, so that its row is locked before its books, as everywhere."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A task's turn, and whether its units are held already."""

    turn: int
    held: bool


def accept(c: Connection, row: dict[str, Any], *, most: int, step: int) -> Accepted | None:
    """Take the account's slots and its next turn, write the task (`row`, all columns but `turn`) and its first event.

    None where the slots do not suffice, and then nothing is written. On Postgres the units are held on the way, where
    one lot has enough of them.
    """
    values = row | {name: json.dumps(row[name]) for name in JSON_COLUMNS}
    values |= {"most": most, "step": step, "event": "state", "body": '{"state": "submitted"}'}
    if c.dialect.name != "sqlite":
        values |= {
            "account": row["account_id"], "task": row["id"], "now": row["created_at"], "token": f"hold:{row['id']}",
            "transfer": new_id(), "hold": new_id(),
        }  # fmt: skip
        found = AT_ONCE[row["slot_kind"]].row(c, **values)
        return None if found is None else Accepted(turn=int(found[0]), held=found[1] is not None)
    taken = TAKE[row["slot_kind"]].row(c, **values)
    if taken is None:
        return None
    values["turn"] = taken[1]
    NEW_TASK.run(c, **values)
    NEW_EVENT.run(c, **values)
    return Accepted(turn=int(taken[1]), held=False)


def _take(kind: str) -> str:
    # Nothing of a client is in these texts: names of columns and parameters alone.
    return f"""UPDATE accounts SET {kind}_slots = {kind}_slots + :slots,
    turn = (CASE WHEN turn > {NOW} THEN turn ELSE {NOW} END) + :step
    WHERE id = :account_id AND {kind}_slots + :slots <= :most RETURNING id, turn"""


def _typed(table: Table, name: str, value: str) -> str:
    """A value with its column's type, which Postgres cannot guess inside a SELECT."""
    return f"CAST({value} AS {table.c[name].type.compile(dialect=postgresql.dialect())})"


def _at_once(kind: str) -> str:
    new = ", ".join("account.turn" if name == "turn" else _typed(tasks, name, f":{name}") for name in TASK)
    told = {"task_id": ":id", "kind": ":event"}
    event = ", ".join(_typed(events, name, told.get(name, f":{name}")) for name in EVENT)
    return f"""WITH account AS ({_take(kind)}),
    task AS (INSERT INTO tasks ({", ".join(TASK)}) SELECT {new} FROM account),
    event AS (INSERT INTO events ({", ".join(EVENT)}) SELECT {event} FROM account),
    {hold_parts(AFTER_ACCOUNT)}
    SELECT account.turn, act.id FROM account LEFT JOIN act ON true"""


TAKE = {kind: Statement(_take(kind)) for kind in ("video", "image")}
AT_ONCE = {kind: Statement(_at_once(kind)) for kind in ("video", "image")}
NEW_TASK = Statement(f"INSERT INTO tasks ({', '.join(TASK)}) VALUES ({', '.join(f':{name}' for name in TASK)})")
NEW_EVENT = Statement(f"INSERT INTO events ({', '.join(EVENT)}) VALUES (:account_id, :id, :event, :body, :created_at)")
