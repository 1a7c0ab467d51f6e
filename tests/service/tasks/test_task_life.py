"""The life of a task, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from kinora.service.errors import Clash, Missing, OutOfUnits, TooManyTasks
from kinora.service.tasks import Fenced, Lease, NewOutput, Outcome, Progress, Refusal, Task

Submit = Callable[..., Task]

FILM = NewOutput(
    kind="video", digest="ab" * 32, media_type="video/mp4", bytes=10, width=64, height=64, frames=5, seconds=0.3
)


def leased(desk: Any, task: Task, worker: str = "w1") -> Lease:
    lease = desk.leasing.lease(task.id, worker)
    assert isinstance(lease, Lease)
    return lease


def test_submit_takes_slots_units_and_a_place_in_the_queue(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    task = submit(account, external_id="mine", wire={"family": "kling"})
    assert task.state == "submitted"
    assert len(str(task.id)) in (18, 19)
    assert desk.units(account) == (990, 10)
    assert desk.slots(account) == (1, 0)
    assert desk.queued() == [(str(task.id), "ENQUEUED", task.turn)]
    assert desk.tasks.get(account.id, task.id) == task
    assert desk.tasks.find(account.id, "mine").id == task.id
    assert [event.body for event in desk.tasks.events(account.id, 0)] == [{"state": "submitted"}]


def test_a_refused_submission_leaves_nothing(desk: Any, submit: Submit) -> None:
    account = desk.account("ann", units=5)
    with pytest.raises(OutOfUnits):
        submit(account, units=100)
    with pytest.raises(TooManyTasks, match="2 image tasks"):
        submit(account, kind="text_to_image", count=3, most_slots=2, units=1)
    with pytest.raises(TooManyTasks, match="1 image task under way"):
        submit(account, kind="text_to_image", count=2, most_slots=1, units=1)
    assert desk.units(account) == (5, 0)
    assert desk.slots(account) == (0, 0)
    assert desk.queued() == []
    assert desk.tasks.page(account.id) == []


def test_pictures_take_a_slot_each_and_films_one_of_their_own(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    submit(account, kind="text_to_image", count=3, most_slots=4)
    submit(account)
    assert desk.slots(account) == (1, 3)
    with pytest.raises(TooManyTasks):
        submit(account, kind="text_to_image", count=2, most_slots=4)
    submit(account, kind="text_to_image", count=1, most_slots=4)


def test_another_account_s_task_is_as_if_it_did_not_exist(desk: Any, submit: Submit) -> None:
    ann, bob = desk.account("ann"), desk.account("bob")
    task = submit(ann, external_id="mine")
    for act in (
        desk.tasks.get,
        desk.tasks.cancel,
        desk.tasks.pause,
        desk.tasks.go_on,
        desk.tasks.move_first,
        desk.tasks.delete,
    ):
        with pytest.raises(Missing):
            act(bob.id, task.id)
    with pytest.raises(Missing):
        desk.tasks.find(bob.id, "mine")
    assert desk.tasks.page(bob.id) == []
    assert desk.tasks.events(bob.id, 0) == []
    assert submit(bob, external_id="mine").account_id == bob.id, "external ids are each account's own"


def test_a_task_is_made_and_charged(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    task = submit(account, callback_url="https://example.com/hook")
    lease = leased(desk, task)
    assert not desk.leasing.progress(
        lease, Progress(stage="imagine", done=3, total=10, seconds_left=2.5), "data:image/jpeg;base64,"
    )
    seen = desk.tasks.get(account.id, task.id)
    assert (seen.state, seen.stage, seen.done, seen.total, seen.share) == ("processing", "imagine", 3, 10, 0.3)
    ended = desk.leasing.finish(lease, Outcome(state="succeed", outputs=(FILM,)))
    assert ended.state == "succeed"
    assert ended.charged == 10
    again = desk.tasks.get(account.id, task.id)
    assert [output.digest for output in again.outputs] == [FILM.digest]
    assert desk.tasks.output(account.id, again.outputs[0].id) == again.outputs[0]
    assert desk.units(account) == (990, 0)
    assert desk.slots(account) == (0, 0)
    kinds = [event.kind for event in desk.tasks.events(account.id, 0, task_id=task.id)]
    assert kinds == ["state", "state", "progress", "preview", "state"]
    assert [told.state for told in desk.told] == ["submitted", "processing", "succeed"]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_is_not_made_is_free(desk: Any, submit: Submit, state: str) -> None:
    account = desk.account("ann")
    lease = leased(desk, submit(account))
    desk.leasing.finish(lease, Outcome(state=state, code="memory" if state == "failed" else None))
    assert desk.units(account) == (1000, 0)
    assert desk.slots(account) == (0, 0)


def test_a_late_writer_is_refused(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    task = submit(account)
    late, now = leased(desk, task, "w1"), leased(desk, task, "w2")
    for act in (
        lambda: desk.leasing.progress(late, Progress(stage="imagine", done=1, total=2)),
        lambda: desk.leasing.wanted(late),
        lambda: desk.leasing.finish(late, Outcome(state="succeed", outputs=(FILM,))),
        lambda: desk.leasing.give_back(late),
    ):
        with pytest.raises(Fenced):
            act()
    desk.leasing.finish(now, Outcome(state="succeed", outputs=(FILM,)))
    with pytest.raises(Fenced):
        desk.leasing.finish(now, Outcome(state="succeed", outputs=(FILM,)))
    assert len(desk.tasks.get(account.id, task.id).outputs) == 1
    assert desk.units(account) == (990, 0)


def test_the_third_lost_worker_sets_a_task_aside(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    task = submit(account)
    for worker in ("w1", "w2", "w3"):
        leased(desk, task, worker)
    assert desk.leasing.lease(task.id, "w4") is Refusal.LOST
    seen = desk.tasks.get(account.id, task.id)
    assert (seen.state, seen.code, seen.attempts) == ("failed", "lost", 3)
    assert "3 times" in str(seen.message)
    assert desk.units(account) == (1000, 0)
    assert desk.leasing.lease(task.id, "w5") is Refusal.OVER


def test_a_task_given_back_has_lost_no_attempt(desk: Any, submit: Submit) -> None:
    task = submit(desk.account("ann"))
    lease = leased(desk, task)
    desk.leasing.give_back(lease)
    assert desk.queued()[0][1] == "ENQUEUED"
    assert leased(desk, task, "w2").task.attempts == 1


def test_cancel_before_and_during(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    waiting, running = submit(account), submit(account)
    assert desk.tasks.cancel(account.id, waiting.id).state == "cancelled"
    assert desk.leasing.lease(waiting.id, "w1") is Refusal.OVER
    lease = leased(desk, running)
    assert desk.leasing.wanted(lease)
    assert desk.tasks.cancel(account.id, running.id).cancelling
    assert not desk.leasing.wanted(lease)
    assert desk.leasing.progress(lease, Progress(stage="imagine", done=1, total=2))
    # Its worker dies before it hears of it: the next one ends the task instead of making it.
    assert desk.leasing.lease(running.id, "w2") is Refusal.CANCELLED
    assert desk.tasks.get(account.id, running.id).state == "cancelled"
    assert desk.units(account) == (1000, 0)
    assert desk.tasks.cancel(account.id, running.id).state == "cancelled", "twice is once"


def test_pause_resume_and_reorder(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    first, second, third = (submit(account) for _ in range(3))
    assert [desk.tasks.position(task) for task in (first, second, third)] == [0, 1, 2]
    desk.tasks.move_first(account.id, third.id)
    assert desk.queued()[0][0] == str(third.id)
    assert desk.tasks.position(desk.tasks.get(account.id, third.id)) == 0
    desk.tasks.pause(account.id, third.id)
    assert desk.tasks.position(desk.tasks.get(account.id, third.id)) is None
    assert {row[0]: row[1] for row in desk.queued()}[str(third.id)] == "DELAYED"
    assert desk.leasing.lease(third.id, "w1") is Refusal.PAUSED
    desk.tasks.go_on(account.id, third.id)
    assert desk.queued()[0][:2] == (str(third.id), "ENQUEUED")
    leased(desk, third)
    with pytest.raises(Clash, match="is under way; only a task that waits can be paused"):
        desk.tasks.pause(account.id, third.id)


def test_accounts_take_turns_however_much_one_submits(desk: Any, submit: Submit) -> None:
    ann, bob = desk.account("ann"), desk.account("bob")
    many = [submit(ann) for _ in range(6)]
    few = [submit(bob) for _ in range(2)]
    owner = {str(task.id): task.account_id for task in (*many, *few)}
    order = [owner[row[0]] for row in desk.queued()]
    assert sorted(order[:2]) == sorted([ann.id, bob.id])
    assert sorted(order[2:4]) == sorted([ann.id, bob.id])
    # Who comes later begins at the queue's now: neither before all others nor behind what was piled up.
    leased(desk, many[0])
    leased(desk, few[0])
    leased(desk, many[1])
    late = submit(desk.account("cleo"))
    position = desk.tasks.position(late)
    assert position is not None
    assert position <= 2


def test_weight_shortens_turns(desk: Any, submit: Submit) -> None:
    light, heavy = desk.account("light"), desk.account("heavy")
    slow = [submit(light, weight=1) for _ in range(6)]
    fast = [submit(heavy, weight=3) for _ in range(6)]
    owner = {str(task.id): task.account_id for task in (*slow, *fast)}
    order = [owner[row[0]] for row in desk.queued()]
    assert order[:4].count(heavy.id) == 3


def test_the_same_key_gives_the_same_task_as_it_was(desk: Any, submit: Submit) -> None:
    account, other = desk.account("ann"), desk.account("bob")
    task = submit(account, key="k", asked="a")
    lease = leased(desk, task)
    again = submit(account, key="k", asked="a")
    assert again == task
    desk.leasing.finish(lease, Outcome(state="succeed", outputs=(FILM,)))
    assert submit(account, key="k", asked="a") == task
    with pytest.raises(Clash) as clash:
        submit(account, key="k", asked="b")
    assert clash.value.status == 422
    assert submit(other, key="k", asked="b").id != task.id, "keys are each account's own"
    assert desk.units(account) == (990, 0)


def test_parallel_repeats_make_one_task(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    made: list[Task] = []
    threads = [threading.Thread(target=lambda: made.append(submit(account, key="k", asked="a"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 12
    assert len({task.id for task in made}) == 1
    assert all(task == made[0] for task in made)
    assert desk.units(account) == (990, 10)


def test_slots_are_exact_under_parallel_submits(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    results: list[str] = []

    def try_one() -> None:
        try:
            submit(account, most_slots=5)
            results.append("yes")
        except TooManyTasks:
            results.append("no")

    threads = [threading.Thread(target=try_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("yes") == 5
    assert desk.slots(account) == (5, 0)


def test_an_external_id_is_used_once(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    submit(account, external_id="mine")
    with pytest.raises(Clash, match="mine"):
        submit(account, external_id="mine")
    assert desk.slots(account) == (1, 0)


def test_pages(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    made = [submit(account) for _ in range(5)]
    ids = [task.id for task in made]
    assert [task.id for task in desk.tasks.page(account.id, limit=2)] == ids[:-3:-1]
    assert [task.id for task in desk.tasks.page(account.id, limit=2, offset=2)] == [ids[2], ids[1]]
    assert [task.id for task in desk.tasks.page(account.id, before=ids[2])] == [ids[1], ids[0]]
    assert [task.id for task in desk.tasks.page(account.id, after=ids[2], oldest_first=True)] == ids[3:]
    assert desk.tasks.page(account.id, kinds=["extend"]) == []
    assert desk.tasks.count(account.id, states=["submitted"]) == 5


def test_delete_forgets_what_is_over(desk: Any, submit: Submit) -> None:
    account = desk.account("ann")
    task = submit(account)
    with pytest.raises(Clash, match="still waits; cancel it"):
        desk.tasks.delete(account.id, task.id)
    desk.leasing.finish(leased(desk, task), Outcome(state="succeed", outputs=(FILM,)))
    with pytest.raises(Clash, match=rf"^Task {task.id} is over; only a task that waits can be moved\.$"):
        desk.tasks.move_first(account.id, task.id)
    output = desk.tasks.get(account.id, task.id).outputs[0]
    desk.tasks.delete(account.id, task.id)
    for act in (lambda: desk.tasks.get(account.id, task.id), lambda: desk.tasks.output(account.id, output.id)):
        with pytest.raises(Missing):
            act()


def test_tasks_of_a_dead_worker_are_handed_out_again(desk: Any, submit: Submit) -> None:
    task = submit(desk.account("ann"))
    name = "workflow_status" if desk.database.is_sqlite else "dbos.workflow_status"
    with desk.database.write() as c:
        c.exec_driver_sql(f"UPDATE {name} SET status = 'PENDING', executor_id = 'dead'")
        assert desk.engine.held_by_others(c, ["dead", "other"]) == []
        assert desk.engine.held_by_others(c, ["other"]) == [task.id]
        assert desk.engine.held_by_others(c, []) == [task.id]
        desk.engine.requeue(c, [task.id])
    assert desk.queued()[0][1] == "ENQUEUED"
    with desk.database.write() as c:
        c.exec_driver_sql(f"UPDATE {name} SET status = 'ERROR', completed_at = 1")
        assert desk.engine.adrift(c, task.created_at) == []
        assert desk.engine.adrift(c, task.created_at + 1) == [task.id]
        assert desk.engine.clean(c, 5) == 1
        assert desk.engine.adrift(c, task.created_at + 1) == [task.id]
