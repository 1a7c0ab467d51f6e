"""How fast tasks are accepted, beside the raw rate of DBOS's `enqueue_in_transaction` in the same run.

    python benchmarks/submit.py                        SQLite in a temporary folder
    python benchmarks/submit.py --database URL         Postgres
    python benchmarks/submit.py --postgres             Postgres from a wheel (the dev extra)
    python benchmarks/submit.py --waiting 100000       and again with so many tasks waiting

Raw and ours take turns in blocks, so that a busy machine slows both. A submission of ours takes the account's slots and
turn, holds units in the ledger (double entry), writes the task and its first event, and enqueues; raw is the enqueue
alone in a transaction of its own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

from kinora.service.accounts import Account, Accounts
from kinora.service.engine import Engine
from kinora.service.ledger import Ledger
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, new_id, open_database
from kinora.service.tasks import Submission, Tasks

BLOCK = 100
REQUEST = {
    "prompt": "a red ball rolls to the right on the grass",
    "seconds": 5.0,
    "aspect": "1:1",
    "quality": "draft",
    "seed": 1,
    "negative": "",
}


class Bench:
    def __init__(self, settings: Settings) -> None:
        self.database: Database = open_database(settings)
        self.engine = Engine(self.database)
        self.engine.warm()
        self.ledger = Ledger(self.database)
        self.tasks = Tasks(self.database, settings, self.ledger, self.engine, lambda _c, _task: None)
        accounts = Accounts(self.database, Sealer(settings))
        self.accounts = [accounts.create(f"account {index}", plan="house") for index in range(8)]
        with self.database.write() as c:
            for account in self.accounts:
                self.ledger.refresh(c, account)
                self.ledger.grant(c, account.id, 10**9, source="gift", period="bench")

    def submit(self, account: Account) -> None:
        self.tasks.submit(
            Submission(account=account, kind="text_to_video", model="stub", request=REQUEST, units=15, most_slots=10**9)
        )

    def raw(self) -> None:
        with self.database.write() as c:
            self.engine.enqueue(c, new_id(), "raw", 5)

    def block(self, act: object, *arguments: object) -> float:
        started = time.perf_counter()
        for _ in range(BLOCK):
            act(*arguments)  # type: ignore[operator]
        return BLOCK / (time.perf_counter() - started)


def rates(bench: Bench, blocks: int) -> tuple[float, float, float]:
    """Raw and our rate (medians of blocks), and the median ratio of neighbours."""
    raw, ours = [], []
    for index in range(blocks):
        raw.append(bench.block(bench.raw))
        ours.append(bench.block(bench.submit, bench.accounts[index % 8]))
    ratio = statistics.median(our / one for our, one in zip(ours, raw, strict=True))
    return statistics.median(raw), statistics.median(ours), ratio


def tail(bench: Bench, rate: float, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile of a submit's seconds at a steady load from four clients."""
    taken: list[float] = []
    lock = threading.Lock()
    begin = time.perf_counter() + 0.1

    def client(index: int) -> None:
        count = 0
        while (due := begin + (count * 4 + index) / rate) < begin + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            bench.submit(bench.accounts[index])
            with lock:
                taken.append(time.perf_counter() - due)
            count += 1

    threads = [threading.Thread(target=client, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.99)]


def fill(bench: Bench, count: int) -> None:
    """So many tasks that wait, many in a transaction."""
    submitting = bench.tasks._submitting
    for start in range(0, count, 500):
        with bench.database.write() as c:
            for index in range(start, min(start + 500, count)):
                account = bench.accounts[index % 8]
                asked = Submission(
                    account=account, kind="text_to_video", model="stub", request=REQUEST, units=15, most_slots=10**9
                )
                submitting._accept(c, asked, new_id(), time.time_ns() // 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--waiting", type=int, default=0)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url, server = told.database, None
        if told.postgres:
            import pgserver

            server = pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
            url = server.get_uri()
        bench = Bench(Settings(data=Path(folder), database=url, secret="a secret of thirty-two characters!"))
        raw, ours, ratio = rates(bench, told.blocks)
        print(f"{bench.database.engine.dialect.name}: raw {raw:.0f}/s, ours {ours:.0f}/s, ratio {ratio:.2f} (aim 0.80)")
        median, last = tail(bench, 0.6 * ours, 10.0)
        print(f"at 60% of that load: median {median * 1000:.1f} ms, p99 {last * 1000:.1f} ms (aim 150)")
        if told.waiting:
            fill(bench, told.waiting)
            raw_full, full, _ = rates(bench, told.blocks)
            slower = ours / full
            print(f"with {told.waiting} waiting: {full:.0f}/s (raw {raw_full:.0f}/s), slower by {slower:.2f} (aim 1.5)")
        bench.engine.close()
        bench.database.close()
        if server is not None:
            server.cleanup()


if __name__ == "__main__":
    main()
