"""Random acts on the ledger from many processes, random ones of which are killed, and then an audit.

    python benchmarks/soak_ledger.py --operations 1000000 --processes 8 --kills 200 --database sqlite:////dev/shm/soak.db

Every process picks an account and acts on it: grants (some over within a second), holds, settles for all or a part of
what is held, releases, expiries, and acts that it or another one has done before, which must change nothing. A part of
the transactions has one act, a part has many. What the processes were told is counted apart from the ledger: the store
must know as many acts, but for those whose process was killed after the commit and before it could count.
Ends with 0 if nothing is wrong.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from kinora.service.accounts import Accounts
from kinora.service.errors import OutOfUnits
from kinora.service.ledger import Audit, Ledger
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, new_id, now_ms
from kinora.service.store.statement import Statement
from kinora.service.store.tables import accounts, books, transfers

KINDS = ("grant", "hold", "settle", "release", "expire")
COUNTED = ("operations", "refused", "repeated", "retried", "wrong", *KINDS)
MANY = 25
"""Acts of a grouped transaction."""
HELD_AT_MOST = 60
"""Open holds of an account beyond which nothing more is held: a worker looks at them all."""

Again = Callable[[sa.Connection], bool]
"""An act of the ledger's: whether it changed anything."""
Act = Callable[[sa.Connection], tuple[str, Again | None]]
"""Tries one: what came of it (a name in `COUNTED`), and how to try it again if it was done."""


class Tally:
    """Counts of every process, in memory that outlives it. Each process writes its own row and nobody locks."""

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, rows * len(COUNTED) * 8)
        self._rows = rows

    def add(self, row: int, name: str, count: int = 1) -> None:
        """Count for one process."""
        place = (row * len(COUNTED) + COUNTED.index(name)) * 8
        struct.pack_into("q", self._memory, place, struct.unpack_from("q", self._memory, place)[0] + count)

    def total(self, name: str) -> int:
        """Of all processes."""
        places = ((row * len(COUNTED) + COUNTED.index(name)) * 8 for row in range(self._rows))
        return sum(struct.unpack_from("q", self._memory, place)[0] for place in places)


@dataclass(frozen=True, kw_only=True)
class Soak:
    """What is asked for."""

    operations: int
    processes: int
    kills: int
    accounts: int
    grouped: float
    """Share of the transactions that have many acts."""
    seed: int


class Actor:
    """One process: acts at random until all have done enough."""

    def __init__(self, soak: Soak, url: str, tally: Tally, seat: int, seed: int) -> None:
        self.soak, self.tally, self.seat, self.chance = soak, tally, seat, random.Random(seed)
        self.database = Database(url)
        self.ledger = Ledger(self.database)
        with self.database.read() as c:
            self.accounts = list(c.execute(sa.select(accounts.c.id).order_by(accounts.c.id)).scalars())
        self.done: deque[Again] = deque(maxlen=200)

    def run(self) -> None:
        """Until the operations are done."""
        while self.tally.total("operations") < self.soak.operations:
            account = self.chance.choice(self.accounts)
            many = self.chance.random() < self.soak.grouped
            self.commit(account, [self.pick(account) for _ in range(MANY if many else 1)])

    def commit(self, account: int, acts: list[Act]) -> None:
        """All of them in one transaction; once more from the start where the store could not take it."""
        while True:
            try:
                with self.database.write() as c:
                    if self.soak.grouped:  # the service, too, takes the account's row first
                        ACCOUNT.row(c, account=account)
                    results = [act(c) for act in acts]
                break
            except (sa.exc.IntegrityError, sa.exc.OperationalError):
                # Two processes made one id in the same millisecond, or each waited for the other.
                self.tally.add(self.seat, "retried")
        for name, again in results:
            self.tally.add(self.seat, name)
            self.tally.add(self.seat, "operations")
            if again is not None:
                self.done.append(again)

    def pick(self, account: int) -> Act:
        """One act at random, with its dice thrown, so that it can be tried again."""
        roll = self.chance.random()
        if roll < 0.10:
            return self.grant(account)
        if roll < 0.48:
            return self.hold(account)
        if roll < 0.90:
            return self.end(account, "settle" if roll < 0.75 else "release")
        return self.expire if roll < 0.93 else self.repeat()

    def grant(self, account: int) -> Act:
        """Units, more often than not for less than two seconds."""
        amount, period = self.chance.randint(1, 2000), str(new_id())
        ends = now_ms() + self.chance.randint(0, 1500) if self.chance.random() < 0.7 else None
        return tried(
            "grant", lambda c: self.ledger.grant(c, account, amount, source="gift", period=period, expires_at=ends)
        )

    def hold(self, account: int) -> Act:
        """Units for a new task, often from several lots."""
        task, units = new_id(), self.chance.randint(1, 400)
        act = tried("hold", lambda c: self.ledger.hold(c, account, task, units))
        return lambda c: ("refused", None) if len(open_holds(c, account)) > HELD_AT_MOST else act(c)

    def end(self, account: int, kind: str) -> Act:
        """The end of a task of any process; half of those settled cost what is held, half some of it."""
        which, part = self.chance.random(), self.chance.choice((1.0, self.chance.random()))

        def act(c: sa.Connection) -> tuple[str, Again | None]:
            held = open_holds(c, account)
            if not held:
                return "refused", None
            task, units = held[int(which * len(held))]
            if kind == "release":
                return tried(kind, lambda c: self.ledger.release(c, task))(c)
            return tried(kind, lambda c: self.ledger.settle(c, task, int(units * part)))(c)

        return act

    def expire(self, c: sa.Connection) -> tuple[str, Again | None]:
        """Lots of all accounts."""
        return ("expire" if self.ledger.expire(c, now_ms()) else "refused"), None

    def repeat(self) -> Act:
        """What this process has done before."""
        again = self.chance.choice(self.done) if self.done else None
        if again is None:
            return lambda c: ("refused", None)
        return lambda c: ("wrong" if again(c) else "repeated", None)


def tried(kind: str, again: Again) -> Act:
    """The act whose success counts as `kind`."""

    def act(c: sa.Connection) -> tuple[str, Again | None]:
        try:
            return (kind, again) if again(c) else ("repeated", None)
        except OutOfUnits:
            return "refused", None

    return act


OPEN = Statement(
    "SELECT task_id, balance FROM books WHERE account_id = :account AND kind = 'hold' ORDER BY task_id LIMIT :most"
)
ACCOUNT = Statement("SELECT id FROM accounts WHERE id = :account", locks="FOR NO KEY UPDATE")


def open_holds(c: sa.Connection, account: int) -> list[tuple[int, ...]]:
    """Tasks of an account that hold units, and how many."""
    return OPEN.rows(c, account=account, most=HELD_AT_MOST + 1)


def drain(database: Database) -> None:
    """End every task and write off what is over."""
    ledger = Ledger(database)
    with database.write() as c:
        tasks = list(c.execute(sa.select(books.c.task_id).where(books.c.kind == "hold")).scalars())
        for task in tasks:
            ledger.release(c, task)
    closed = -1
    while closed:
        with database.write() as c:
            closed = ledger.expire(c, now_ms())


class Troupe:
    """The processes, and the one who kills them."""

    def __init__(self, soak: Soak, url: str) -> None:
        self.soak, self.url = soak, url
        self.tally = Tally(soak.processes)
        self.chance = random.Random(soak.seed)
        self.seats = [self.start(seat) for seat in range(soak.processes)]
        self.kills = 0
        self.failed = 0

    def start(self, seat: int) -> int:
        """A new process in a seat; it counts on from where the last one was killed."""
        seed = self.chance.getrandbits(32)
        process = os.fork()
        if process:
            return process
        try:
            Actor(self.soak, self.url, self.tally, seat, seed).run()
            os._exit(0)
        except BaseException:  # noqa: BLE001  a forked process must end here, whatever happens
            traceback.print_exc()
            os._exit(1)

    def play(self) -> None:
        """Kill at even distances of work done, until it is all done."""
        soak = self.soak
        while self.tally.total("operations") < soak.operations and not self.failed:
            time.sleep(0.005)
            due = (self.kills + 1) * soak.operations / (soak.kills + 1)
            if self.kills < soak.kills and self.tally.total("operations") >= due:
                seat = self.chance.randrange(soak.processes)
                os.kill(self.seats[seat], signal.SIGKILL)
                self.kills += os.WIFSIGNALED(os.waitpid(self.seats[seat], 0)[1])
                self.seats[seat] = self.start(seat)
            self.failed = sum(1 for process in self.seats if has_failed(process))
        for process in self.seats:
            with suppress(ChildProcessError):
                self.failed += os.waitpid(process, 0)[1] != 0


def has_failed(process: int) -> bool:
    """Whether a process ended by a mistake of its own."""
    try:
        ended, status = os.waitpid(process, os.WNOHANG)
    except ChildProcessError:  # it has ended well, and was asked before
        return False
    return ended != 0 and status != 0


def told(troupe: Troupe, database: Database) -> dict[str, tuple[int, int]]:
    """For every kind of act: how many the processes counted, and how many the store has."""
    with database.read() as c:
        kept = c.execute(sa.select(transfers.c.kind, sa.func.count()).group_by(transfers.c.kind)).all()
    stored = {row[0]: row[1] for row in kept}
    return {kind: (troupe.tally.total(kind), stored.get(kind, 0)) for kind in KINDS}


def soak_ledger(soak: Soak, url: str) -> list[str]:
    """Run it, print the table, and say what is wrong."""
    database = Database(url)
    database.migrate()
    with tempfile.TemporaryDirectory() as folder:
        members = Accounts(database, Sealer(Settings(data=Path(folder))))
        for number in range(soak.accounts):
            members.create(f"soak {new_id()} {number}")
    database.close()  # no connection is inherited
    began = time.monotonic()
    troupe = Troupe(soak, url)
    troupe.play()
    seconds = time.monotonic() - began
    acts = told(troupe, database)
    before = Ledger(database).audit()
    drain(database)
    after = Ledger(database).audit()
    database.close()
    total = troupe.tally.total
    rows = {
        "database": database.engine.dialect.name, "processes": soak.processes, "operations": total("operations"),
        "seconds": round(seconds, 1), "operations per second": round(total("operations") / seconds),
        "SIGKILLs": troupe.kills, "transactions tried again": total("retried"), "acts refused": total("refused"),
        "acts repeated": total("repeated"), "repeated acts that did something": total("wrong"),
        **{f"{kind}: told, stored": f"{counted}, {stored}" for kind, (counted, stored) in acts.items()},
        "transfers": after.transfers, "entries": after.entries, "books": after.books,
        "drift": after.drift, "negative": after.negative, "unbalanced": after.unbalanced, "done twice": after.twice,
        "grants without their lot": after.ungranted, "open holds before the drain": before.open_holds,
        "open holds after the drain": after.open_holds,
    }  # fmt: skip
    for name, value in rows.items():
        print(f"{name:34} {value}")
    return mistakes(soak, troupe, acts, before, after)


def mistakes(soak: Soak, troupe: Troupe, acts: dict[str, tuple[int, int]], before: Audit, after: Audit) -> list[str]:
    """What the promise does not allow."""
    found = [
        f"{counted} acts of {kind} were told of, and {stored} are stored"
        for kind, (counted, stored) in acts.items()
        # A process that is killed after its commit cannot count it; nothing is counted that was not committed.
        if kind != "expire" and not 0 <= stored - counted <= troupe.kills * MANY
    ]
    wrong = {
        "processes failed": troupe.failed,
        "operations missing": max(0, soak.operations - troupe.tally.total("operations")),
        "kills missing": soak.kills - troupe.kills,
        "repeated acts did something": troupe.tally.total("wrong"),
        "holds are open after the drain": after.open_holds,
        # The soak's tasks are in no table: its holds are astray until the drain.
        "holds are astray": after.astray,
        "audit before the drain is not sound": not replace(before, astray=0).sound,
        "audit after the drain is not sound": not after.sound,
    }
    return found + [f"{name}: {value}" for name, value in wrong.items() if value]


def main() -> int:
    """Read the arguments, run, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--accounts", type=int, default=24)
    parser.add_argument("--grouped", type=float, default=0.3, help="share of the transactions with many acts")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--database", default="", help="SQLAlchemy URL of an empty database; empty: a SQLite file")
    asked = vars(parser.parse_args())
    url = asked.pop("database")
    with tempfile.TemporaryDirectory() as folder:
        found = soak_ledger(Soak(**asked), url or f"sqlite:///{folder}/soak.db")
    for line in found:
        print(f"WRONG  {line}")
    print("verdict: " + ("wrong" if found else "sound"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
