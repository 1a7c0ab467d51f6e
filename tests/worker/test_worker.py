"""What workers do when all goes well, and when it does not."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from kinora.service.ledger_audit import audit

SLOW = {"step_seconds": 0.3, "steps": 12}


def test_tasks_are_made_one_after_the_other(fleet: Any) -> None:
    fleet.start()
    before = fleet.units()[0]
    film, pictures = fleet.submit(), fleet.submit("a cube", kind="text_to_image", count=3, seconds=None)
    made = fleet.ended(film)
    assert (made.state, made.attempts, len(made.outputs)) == ("succeed", 1, 1)
    output = made.outputs[0]
    assert (output.media_type, output.kind, output.place) == ("video/mp4", "video", 0)
    assert fleet.service.assets.get(fleet.caller.account.id, output.digest).ours
    drawn = fleet.ended(pictures)
    assert [each.kind for each in drawn.outputs] == ["image"] * 3
    assert len({each.digest for each in drawn.outputs}) == 3
    assert fleet.units() == (before - (film.units if before else 0) - pictures.units, 0) or before == 0
    assert fleet.service.objects.list(f"work/{film.id}/") == [], "nothing of the work is left"


def test_a_killed_model_process_goes_on_from_its_save(fleet: Any) -> None:
    worker = fleet.start()
    whole = fleet.ended(fleet.submit(seed=5, **SLOW))
    task = fleet.submit(seed=5, **SLOW)
    fleet.stepped(task, least=5)
    os.kill(fleet.model_of(worker), signal.SIGKILL)
    made = fleet.ended(task)
    assert (made.state, made.attempts) == ("succeed", 2)
    dones = [e.body["done"] for e in fleet.service.tasks.events(None, 0, task_id=task.id) if e.kind == "progress"]
    assert min(dones[dones.index(max(dones)) :]) >= 4, f"it went on from its save: {dones}"
    assert made.outputs[0].frames == whole.outputs[0].frames


def test_a_task_that_kills_its_worker_is_set_aside_and_free(fleet: Any) -> None:
    fleet.start()
    poison, good = fleet.submit(fault="kill"), fleet.submit()
    ended = fleet.ended(poison)
    assert (ended.state, ended.code, ended.attempts, ended.charged) == ("failed", "lost", 3, 0)
    assert fleet.ended(good).state == "succeed"
    assert fleet.units()[1] == 0


@pytest.mark.parametrize(("fault", "state", "code"), [
    ({"fault": "fail", "code": "weights"}, "failed", "weights"),
    ({"fault": "memory", "rungs": 9}, "failed", "memory"),
    ({"fault": "memory", "rungs": 1}, "succeed", None),
    ({"fault": "hang", "attempts": [1]}, "succeed", None),
    ({"fault": "freeze", "attempts": [1]}, "succeed", None),
])  # fmt: skip
def test_what_goes_wrong(fleet: Any, fault: dict[str, Any], state: str, code: str | None) -> None:
    fleet.start()
    ended = fleet.ended(fleet.submit(**fault))
    assert (ended.state, ended.code) == (state, code)
    assert ended.charged == (ended.units if state == "succeed" else 0)


def test_cancelled_within_a_step(fleet: Any) -> None:
    fleet.start()
    task = fleet.submit(step_seconds=0.4, steps=200)
    fleet.stepped(task)
    at = fleet.get(task).done
    fleet.service.tasks.cancel(None, task.id)
    ended = fleet.ended(task)
    assert (ended.state, ended.charged) == ("cancelled", 0)
    assert ended.done - at <= 6
    assert fleet.ended(fleet.submit()).state == "succeed", "the worker goes on"


def test_a_stopped_worker_is_replaced_and_refused_when_it_wakes(fleet: Any) -> None:
    first = fleet.start()
    task = fleet.submit(**SLOW)
    fleet.stepped(task, least=3)
    first.send_signal(signal.SIGSTOP)
    fleet.start()
    fleet.until(lambda: fleet.get(task).attempts == 2)
    owner = fleet.get(task).worker_id
    first.send_signal(signal.SIGCONT)
    made = fleet.ended(task)
    assert (made.state, made.attempts, made.worker_id, len(made.outputs)) == ("succeed", 2, owner, 1)
    assert first.wait(30) == 3, "it found itself declared dead"
    with fleet.service.database.read() as c:
        assert audit(c).open_holds == 0


def test_told_to_end_it_gives_its_task_back(fleet: Any) -> None:
    first = fleet.start()
    task = fleet.submit(step_seconds=0.3, steps=30)
    fleet.stepped(task, least=4)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    given = fleet.get(task)
    assert (given.state, given.attempts) == ("processing", 0)
    fleet.start()
    made = fleet.ended(task)
    assert (made.state, made.attempts) == ("succeed", 1)
    dones = [e.body["done"] for e in fleet.service.tasks.events(None, 0, task_id=task.id) if e.kind == "progress"]
    assert dones.count(1) <= 1, f"another worker went on from the save: {dones}"
