"""The statements of a submission, whose time decides how much a service can accept: written for the driver once, and on
Postgres, which may be another machine, one.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql

from kinora.service.ledger_sql import Statement
from kinora.service.store.tables import events, tasks

__all__ = ["accept"]

NOW = "(SELECT value FROM numbers WHERE name = 'turn')"
JSON_COLUMNS = ("request", "options", "wire")
EVENT = ("account_id", "task_id", "kind", "body", "created_at")
TASK = tuple(tasks.c.keys())


def accept(c: Connection, row: dict[str, Any], *, most: int, step: int) -> int | None:
    """Take the account's slots and its next turn, write the task (`row`, all columns but `turn`) and its first event.

    The turn; None where the slots do not suffice, and then nothing is written.
    """
    values = row | {name: json.dumps(row[name]) for name in JSON_COLUMNS}
    values |= {"most": most, "step": step, "event": "state", "body": '{"state": "submitted"}'}
    if c.dialect.name != "sqlite":
        accepted = AT_ONCE[row["slot_kind"]].row(c, **values)
        return None if accepted is None else int(accepted[0])
    taken = TAKE[row["slot_kind"]].row(c, **values)
    if taken is None:
        return None
    values["turn"] = taken[0]
    NEW_TASK.run(c, **values)
    NEW_EVENT.run(c, **values)
    return int(taken[0])


def _take(kind: str) -> str:
    # Nothing of a client is in these texts: names of columns and parameters alone.
    return f"""UPDATE accounts SET {kind}_slots = {kind}_slots + :slots,
    turn = (CASE WHEN turn > {NOW} THEN turn ELSE {NOW} END) + :step
    WHERE id = :account_id AND {kind}_slots + :slots <= :most RETURNING turn"""


def _typed(table: Table, name: str, value: str) -> str:
    """A value with its column's type, which Postgres cannot guess inside a SELECT."""
    return f"CAST({value} AS {table.c[name].type.compile(dialect=postgresql.dialect())})"


def _at_once(kind: str) -> str:
    new = ", ".join("account.turn" if name == "turn" else _typed(tasks, name, f":{name}") for name in TASK)
    told = {"task_id": ":id", "kind": ":event"}
    event = ", ".join(_typed(events, name, told.get(name, f":{name}")) for name in EVENT)
    return f"""WITH account AS ({_take(kind)}),
    task AS (INSERT INTO tasks ({", ".join(TASK)}) SELECT {new} FROM account),
    event AS (INSERT INTO events ({", ".join(EVENT)}) SELECT {event} FROM account)
    SELECT turn FROM account"""


TAKE = {kind: Statement(_take(kind)) for kind in ("video", "image")}
AT_ONCE = {kind: Statement(_at_once(kind)) for kind in ("video", "image")}
NEW_TASK = Statement(f"INSERT INTO tasks ({', '.join(TASK)}) VALUES ({', '.join(f':{name}' for name in TASK)})")
NEW_EVENT = Statement(f"INSERT INTO events ({', '.join(EVENT)}) VALUES (:account_id, :id, :event, :body, :created_at)")
