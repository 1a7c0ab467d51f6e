"""What the service promises of single acts, counted: late writers, idempotency keys, quotas, refunds, memory, poison.

    python benchmarks/soak_promises.py late --count 1000          a worker declared dead writes after all
    python benchmarks/soak_promises.py keys --count 1000 --times 50
    python benchmarks/soak_promises.py quota --count 10000 --clients 50
    python benchmarks/soak_promises.py refunds --count 50          of each of 12 classes of failure
    python benchmarks/soak_promises.py memory --count 100          memory gives out in real model processes
    python benchmarks/soak_promises.py poison --count 60           others' speed beside tasks that kill their worker

Each prints what it saw and ends with exit code 1 where a promise was broken. The database is SQLite in a temporary
folder, as `kinora serve` has it; workers, where there are any, are real processes with the stub model.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kinora.service.accounts import Caller
from kinora.service.creating import Wanted
from kinora.service.errors import TooManyTasks
from kinora.service.ledger_audit import audit
from kinora.service.service import Service, open_service
from kinora.service.settings import Settings
from kinora.service.store import now_ms
from kinora.service.tasks import Fenced, Lease, NewOutput, Outcome, Progress, Task

FILM = NewOutput(kind="video", digest="0" * 64, media_type="video/mp4", bytes=1, width=64, height=64)
SECRET = "a secret of thirty-two characters!"


def settings_in(folder: Path) -> Settings:
    return Settings(
        data=folder / "data", secret=SECRET, serves="stub", workers=0, loopback=True, lease_seconds=4.0,
        beat_seconds=0.5, poll_seconds=0.02, stall_seconds=10.0,
    )  # fmt: skip


def caller(service: Service, plan: str = "house") -> Caller:
    account = service.accounts.create(f"soak {plan}", plan=plan)
    with service.database.write() as c:
        service.ledger.grant(c, account.id, 10**9, source="gift", period="soak")
    return service.accounts.authenticate(service.accounts.new_key(account.id, "soak").secret)


def task_of(service: Service, who: Caller, **values: Any) -> Task:
    wanted = {"kind": "text_to_video", "prompt": "a ball", "model": "stub", "seconds": 2.0, "quality": "draft"}
    key, asked = values.pop("key", None), values.pop("asked", b"")
    return service.studio.create(who, Wanted(**(wanted | values)), key=key, asked=asked)


def leased(service: Service, task: Task, worker: str) -> Lease:
    lease = service.tasks.leasing.lease(task.id, worker)
    assert isinstance(lease, Lease)
    return lease


def late(service: Service, told: argparse.Namespace) -> bool:
    """Every task is leased twice; what the first holder writes afterwards must be refused."""
    who, refused, accepted = caller(service), 0, 0
    for _ in range(told.count):
        task = task_of(service, who)
        first, second = leased(service, task, "first"), leased(service, task, "second")
        for write in (
            lambda lease=first: service.tasks.leasing.finish(lease, Outcome(state="succeed", outputs=(FILM,))),
            lambda lease=first: service.tasks.leasing.progress(lease, Progress(stage="imagine", done=1, total=2)),
        ):
            try:
                write()
                accepted += 1
            except Fenced:
                refused += 1
        service.tasks.leasing.finish(second, Outcome(state="succeed", outputs=(FILM,)))
        outputs = service.tasks.get(None, task.id).outputs
        accepted += len(outputs) != 1
    print(f"late: {refused} late writes refused, {accepted} accepted")
    return accepted == 0 and sound(service)


def keys(service: Service, told: argparse.Namespace) -> bool:
    """The same key from many clients at once: one task, one charge, the same answer."""
    who = caller(service)

    def ask(index: int) -> Task:
        return task_of(service, who, key=f"key {index}", asked=b"the same")

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, [index for index in range(told.count) for _ in range(told.times)]))
    by_key = [answers[index * told.times : (index + 1) * told.times] for index in range(told.count)]
    different = sum(any(answer != group[0] for answer in group) for group in by_key)
    tasks = service.tasks.count(None)
    with service.database.read() as c:
        held = service.ledger.balance(c, who.account.id).held
    charges = held // answers[0].units
    print(f"keys: {len(answers)} requests: {tasks} tasks, {charges} charges, {different} answers differ")
    return tasks == told.count and held == told.count * answers[0].units and not different and sound(service)


def quota(service: Service, told: argparse.Namespace) -> bool:
    """Many clients submit as fast as they can while tasks end; never may more be under way than the plan allows."""
    who = caller(service, "pro")
    from kinora.service.plans import PLANS

    most, left = PLANS["pro"].video_slots, threading.Semaphore(told.count)
    waiting: list[Task] = []
    lock, done, highest, counts = threading.Lock(), threading.Event(), 0, Counter[str]()

    def client() -> None:
        while left.acquire(blocking=False):
            try:
                task = task_of(service, who)
                with lock:
                    waiting.append(task)
                    counts["accepted"] += 1
            except TooManyTasks:
                with lock:
                    counts["refused"] += 1

    def end_them() -> None:
        while not done.is_set() or waiting:
            with lock:
                task = waiting.pop() if waiting else None
            if task is None:
                time.sleep(0.001)
            else:
                service.tasks.leasing.finish(leased(service, task, "w"), Outcome(state="succeed", outputs=(FILM,)))

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, service.tasks.count(who.account.id, states=["submitted", "processing"]))

    helpers = [threading.Thread(target=work) for work in (end_them, watch)]
    clients = [threading.Thread(target=client) for _ in range(told.clients)]
    for thread in (*helpers, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    done.set()
    for thread in helpers:
        thread.join()
    with service.database.read() as c:
        slots = c.exec_driver_sql("SELECT SUM(video_slots) FROM accounts").scalar()
    print(f"quota: {dict(counts)}, at most {highest} of {most} under way at once, {slots} slots taken in the end")
    return highest <= most and slots == 0 and sound(service)


def refunds(service: Service, told: argparse.Namespace) -> bool:
    """Every class of failure gives back what was held, once, as soon as the state says so."""
    who = caller(service)
    leasing = service.tasks.leasing

    def fails(code: str) -> Callable[[Task], object]:
        return lambda task: leasing.finish(leased(service, task, "w"), Outcome(state="failed", code=code, message="x"))

    def dies(task: Task) -> object:
        for worker in "abc":
            leased(service, task, worker)
        return leasing.lease(task.id, "d")

    def cancelled_under_way(task: Task) -> object:
        leased(service, task, "a")
        service.tasks.cancel(None, task.id)
        return leasing.lease(task.id, "b")

    classes: dict[str, Callable[[Task], object]] = {
        code: fails(code)
        for code in ("input", "refused", "weights", "memory", "media", "stalled", "internal", "expired")
    }
    classes |= {
        "worker died": dies,
        "cancelled waiting": lambda task: service.tasks.cancel(None, task.id),
        "cancelled under way": cancelled_under_way,
        "paused, then cancelled": lambda task: (
            service.tasks.pause(None, task.id),
            service.tasks.cancel(None, task.id),
        ),
    }
    bad, slowest = 0, 0.0
    for name, fail in classes.items():
        for _ in range(told.count):
            task = task_of(service, who)
            fail(task)
            started = time.monotonic()
            with service.database.read() as c:
                balance = service.ledger.balance(c, who.account.id)
            slowest = max(slowest, time.monotonic() - started)
            ended = service.tasks.get(None, task.id)
            bad += balance.held != 0 or ended.charged != 0 or not ended.ended
        print(f"refunds: {name}: {told.count} tasks, {bad} wrong so far")
    print(f"refunds: {len(classes)} classes, {bad} wrong, visible within {slowest * 1000:.0f} ms")
    return len(classes) >= 12 and not bad and sound(service)


def memory(service: Service, told: argparse.Namespace) -> bool:
    """Memory gives out in the model process; the film falls a rung and goes on."""
    fleet = fleet_of(service.settings)
    try:
        fleet.start()
        tasks = [
            fleet.submit(f"ball {index}", fault="memory", rungs=1 + index % 2, step=1 + index % 3)
            for index in range(told.count)
        ]
        ended = [fleet.ended(task) for task in tasks]
    finally:
        fleet.close()
    good = sum(task.state == "succeed" for task in ended)
    attempts = Counter(task.attempts for task in ended)
    print(f"memory: {good} of {told.count} finished on a lower rung; attempts {dict(attempts)}")
    return good >= 0.99 * told.count


def poison(service: Service, told: argparse.Namespace) -> bool:
    """Tasks of one account kill their workers; the others go on."""
    fleet = fleet_of(service.settings)
    try:
        fleet.start()
        fleet.start()
        fleet.ended(fleet.submit())
        seconds = {}
        for name, bad in (("alone", 0), ("beside", max(1, told.count // 20))):
            started = time.monotonic()
            deadly = [fleet.submit(f"deadly {index}", fault="kill", step=1) for index in range(bad)]
            tasks = [fleet.submit(f"ball {index}", step_seconds=0.1, steps=10) for index in range(told.count)]
            for task in tasks:
                fleet.ended(task)
            seconds[name] = time.monotonic() - started
            ended = [fleet.ended(task) for task in deadly]
        attempts = Counter((task.state, task.code, task.attempts) for task in ended)
    finally:
        fleet.close()
    speed = seconds["alone"] / seconds["beside"]
    print(f"poison: {dict(attempts)}; others at {speed:.0%} of their speed ({seconds})")
    return set(attempts) == {("failed", "lost", 3)} and speed >= 0.9


def fleet_of(settings: Settings) -> Any:
    """Real workers, as the tests have them."""
    path = Path(__file__).parents[1] / "tests" / "worker" / "fleet.py"
    spec = importlib.util.spec_from_file_location("fleet", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Fleet(settings, settings.data / "workers.log")


def sound(service: Service) -> bool:
    """Whether the ledger adds up."""
    with service.database.read() as c:
        found = audit(c)
    print(f"ledger: drift {found.drift}, unbalanced {found.unbalanced}, negative {found.negative}, twice {found.twice}")
    return found.sound


PROMISES = {"late": late, "keys": keys, "quota": quota, "refunds": refunds, "memory": memory, "poison": poison}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("promise", choices=PROMISES)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--clients", type=int, default=50)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        service = open_service(settings_in(Path(name)))
        started = now_ms()
        good = PROMISES[told.promise](service, told)
        service.close()
    print(f"{'kept' if good else 'BROKEN'} after {(now_ms() - started) / 1000:.1f} s")
    sys.exit(not good)


if __name__ == "__main__":
    main()
