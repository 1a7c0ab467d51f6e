"""Feedback, on both databases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from kinora.service.errors import Invalid, Missing
from kinora.service.feedback import Feedback
from kinora.service.store import Database, new_id, now_ms, tables


@dataclass
class Made:
    account_id: int
    task_id: int
    outputs: list[int]


def _made(database: Database) -> Made:
    """An account with a task of two outputs."""
    made = Made(new_id(), new_id(), [new_id(), new_id()])
    named = {"role": "member", "state": "active", "plan": "free", "language": "en", "created_at": now_ms()}
    task = {
        "id": made.task_id, "account_id": made.account_id, "kind": "text_to_image", "state": "succeed", "model": "stub",
        "request": {}, "options": {}, "wire": {}, "slot_kind": "image", "slots": 2, "units": 2, "turn": 0,
        "created_at": now_ms(), "updated_at": now_ms(),
    }  # fmt: skip
    with database.write() as c:
        c.execute(sa.insert(tables.accounts).values(id=made.account_id, name=str(made.account_id), **named))
        c.execute(sa.insert(tables.tasks).values(**task))
        for place, output_id in enumerate(made.outputs):
            output = {
                "id": output_id, "account_id": made.account_id, "task_id": made.task_id, "place": place, "bytes": 1,
                "kind": "image", "digest": "0" * 64, "media_type": "image/png", "width": 1, "height": 1, "frames": 1,
                "seconds": 0.0, "created_at": now_ms(), "expires_at": now_ms(),
            }  # fmt: skip
            c.execute(sa.insert(tables.outputs).values(**output))
    return made


def test_what_is_said_comes_back(database: Database) -> None:
    feedback, made = Feedback(database), _made(database)
    one, two = made.outputs
    said = [
        feedback.give(made.account_id, made.task_id, "rating", value=5, words="Lovely boat."),
        feedback.give(made.account_id, made.task_id, "rating", value=2, output_id=two),
        feedback.give(made.account_id, made.task_id, "chosen", output_id=one, over=[two]),
        feedback.give(made.account_id, made.task_id, "kept", output_id=one),
        feedback.give(made.account_id, made.task_id, "deleted", output_id=two),
    ]
    assert feedback.page(made.account_id) == said[::-1]
    assert feedback.page(made.account_id, limit=2, before=said[3].id) == [said[2], said[1]]
    assert feedback.page(made.account_id, task_id=made.task_id + 1) == []
    assert said[2].over == (two,)
    counts = feedback.counts()
    assert {name: n for name, n in counts.items() if n} == {
        "rating": 2, "chosen": 1, "kept": 1, "deleted": 1, "rating_5": 1, "rating_2": 1
    }  # fmt: skip
    assert not any(feedback.counts(since=now_ms() + 10_000).values())


def test_another_account_s_task_and_outputs_are_missing(database: Database) -> None:
    feedback, mine, theirs = Feedback(database), _made(database), _made(database)
    for values in (
        {"task_id": theirs.task_id, "kind": "rating", "value": 1},
        {"task_id": mine.task_id, "kind": "kept", "output_id": theirs.outputs[0]},
        {"task_id": mine.task_id, "kind": "chosen", "output_id": mine.outputs[0], "over": [theirs.outputs[0]]},
        {"task_id": mine.task_id + 1, "kind": "rating", "value": 1},
        {"task_id": 10**30, "kind": "rating", "value": 1},
        {"task_id": mine.task_id, "kind": "kept", "output_id": 2**63},
    ):
        with pytest.raises(Missing):
            feedback.give(mine.account_id, **values)
    feedback.give(theirs.account_id, theirs.task_id, "rating", value=3)
    assert feedback.page(mine.account_id) == []
    assert len(feedback.page(None)) == 1  # the operator's view


def test_what_breaks_a_rule(database: Database) -> None:
    feedback, made = Feedback(database), _made(database)
    one, two = made.outputs
    for values, field in (
        ({"kind": "liked"}, "kind"),
        ({"kind": "rating"}, "value"),
        ({"kind": "rating", "value": 0}, "value"),
        ({"kind": "rating", "value": 6}, "value"),
        ({"kind": "kept", "output_id": one, "value": 3}, "value"),
        ({"kind": "kept"}, "output_id"),
        ({"kind": "chosen", "output_id": one}, "over"),
        ({"kind": "chosen", "output_id": one, "over": [one]}, "over"),
        ({"kind": "chosen", "output_id": one, "over": [two] * 10}, "over"),
        ({"kind": "kept", "output_id": one, "over": [two]}, "over"),
        ({"kind": "rating", "value": 3, "words": "w" * 2001}, "words"),
    ):
        with pytest.raises(Invalid) as caught:
            feedback.give(made.account_id, made.task_id, **values)
        assert caught.value.field == field
    assert feedback.page(made.account_id) == []
