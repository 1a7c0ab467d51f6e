"""Feedback: how a film was liked, which of several was chosen, what was kept and what was thrown away. Nothing of it is
changed later; what was said last counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from kinora.service.errors import Invalid, Missing
from kinora.service.store import Database, new_id, now_ms, tables

__all__ = ["KINDS", "Feedback", "Said"]

KINDS = ("rating", "chosen", "kept", "deleted")
LAST_ID = 2**63 - 1
"""What the databases hold; a larger number is nobody's."""
BEST = 5
MOST_OVER = 9
LONGEST_WORDS = 2000
_T = tables.feedback


@dataclass(frozen=True, kw_only=True)
class Said:
    """One thing said: a rating has a `value` of 1 to 5; a choice has the outputs it was preferred to in `over`."""

    id: int
    account_id: int
    task_id: int
    output_id: int | None
    kind: str
    value: int | None
    over: tuple[int, ...]
    words: str | None
    created_at: int


class Feedback:
    """What accounts say of their tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(
        self,
        account_id: int,
        task_id: int,
        kind: str,
        *,
        output_id: int | None = None,
        value: int | None = None,
        over: Sequence[int] = (),
        words: str | None = None,
    ) -> Said:
        """Record what was said of a task, or of one of its outputs.

        Raises:
            Invalid: a kind, value or choice that breaks a rule.
            Missing: a task or an output that is not the account's.
        """
        _check(kind, output_id, value, over, words)
        said = Said(
            id=new_id(),
            account_id=account_id,
            task_id=task_id,
            output_id=output_id,
            kind=kind,
            value=value,
            over=tuple(over),
            words=words or None,
            created_at=now_ms(),
        )
        with self._database.write() as c:
            tasks, outputs = tables.tasks.c, tables.outputs.c
            _check_there(
                c, select(tasks.id).where(tasks.id == task_id, tasks.account_id == account_id), "task", task_id
            )
            if output_id is not None:
                mine = select(outputs.id).where(outputs.id == output_id, outputs.task_id == task_id)
                _check_there(c, mine.where(outputs.account_id == account_id), "output", output_id)
            for other in over:
                mine = select(outputs.id).where(outputs.id == other, outputs.account_id == account_id)
                _check_there(c, mine, "output", other)
            # As text: an id is a number that JSON's readers may round.
            c.execute(insert(_T).values(**{**vars(said), "over": [str(other) for other in over] or None}))
        return said

    def page(
        self, account_id: int | None, *, task_id: int | None = None, limit: int = 30, before: int | None = None
    ) -> list[Said]:
        """What the account (None: any) said, the newest first; `before` is the last id of the page before."""
        rows = select(_T).order_by(_T.c.id.desc()).limit(limit)
        if account_id is not None:
            rows = rows.where(_T.c.account_id == account_id)
        if task_id is not None:
            rows = rows.where(_T.c.task_id == min(task_id, LAST_ID))
        if before is not None:
            rows = rows.where(_T.c.id < min(before, LAST_ID))
        with self._database.read() as c:
            return [_said(row) for row in c.execute(rows)]

    def counts(self, since: int = 0) -> dict[str, int]:
        """For the operator: how many of each kind, and of each rating as `rating_1` to `rating_5`."""
        kinds = select(_T.c.kind, _T.c.value, func.count()).where(_T.c.created_at >= since)
        found = dict.fromkeys((*KINDS, *(f"rating_{value}" for value in range(1, BEST + 1))), 0)
        with self._database.read() as c:
            for kind, value, n in c.execute(kinds.group_by(_T.c.kind, _T.c.value)):
                found[kind] += n
                if kind == "rating":
                    found[f"rating_{value}"] += n
        return found


def _check(kind: str, output_id: int | None, value: int | None, over: Sequence[int], words: str | None) -> None:
    if kind not in KINDS:
        raise Invalid(f"Feedback is one of {', '.join(KINDS)}, not {kind!r}.", field="kind")
    if (kind == "rating") != (value is not None) or (value is not None and not 1 <= value <= BEST):
        raise Invalid(f"A rating, and only a rating, has a value of 1 to {BEST}.", field="value")
    if kind != "rating" and output_id is None:
        raise Invalid(f"Say which output was {kind}.", field="output_id")
    if (kind == "chosen") != bool(over) or len(over) > MOST_OVER or output_id in over:
        raise Invalid(f"A choice, and only a choice, names the 1 to {MOST_OVER} outputs not chosen.", field="over")
    if words is not None and len(words) > LONGEST_WORDS:
        raise Invalid(f"Words of feedback are at most {LONGEST_WORDS} characters.", field="words")


def _check_there(c: Connection, found: Any, what: str, asked: int) -> None:
    if not 0 <= asked <= LAST_ID or c.execute(found).first() is None:
        raise Missing(f"There is no {what} {asked} in this account.")


def _said(row: Row[Any]) -> Said:
    return Said(**{**row._mapping, "over": tuple(int(other) for other in row.over or ())})
