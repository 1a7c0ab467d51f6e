"""Tasks on real databases, with the real ledger and the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from kinora.service.accounts import Account, Accounts
from kinora.service.engine import Engine
from kinora.service.ledger import Ledger
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database
from kinora.service.tasks import Submission, Task, Tasks


class Desk:
    """What a test of tasks works with."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self.engine = Engine(database)
        self.engine.warm()
        self.told: list[Task] = []
        self._given: dict[int, int] = {}
        self.tasks = Tasks(database, settings, self.ledger, self.engine, self._tell)
        self.leasing = self.tasks.leasing
        self.accounts = Accounts(database, Sealer(settings))

    def _tell(self, c: Connection, task: Task) -> None:
        self.told.append(task)

    def account(self, name: str, units: int = 1000) -> Account:
        account = self.accounts.create(name, plan="free")
        with self.database.write() as c:
            self.ledger.refresh(c, account)
            self._given[account.id] = self.ledger.balance(c, account.id).available
            self.ledger.grant(c, account.id, units, source="gift", period="test")
        return account

    def submission(self, account: Account, **values: object) -> Submission:
        usual = {
            "kind": "text_to_video",
            "model": "stub",
            "request": {"prompt": "a ball"},
            "units": 10,
            "most_slots": 100,
        }
        return Submission(account=account, **(usual | values))  # type: ignore[arg-type]

    def units(self, account: Account) -> tuple[int, int]:
        """Available beside what the plan gave, and held."""
        with self.database.read() as c:
            balance = self.ledger.balance(c, account.id)
        return balance.available - self._given[account.id], balance.held

    def slots(self, account: Account) -> tuple[int, int]:
        with self.database.read() as c:
            row = c.exec_driver_sql(f"SELECT video_slots, image_slots FROM accounts WHERE id = {account.id}").one()
        return tuple(row)

    def queued(self) -> list[tuple[str, str, int]]:
        """Workflow ids, states and priorities, in the order in which they are made."""
        name = "workflow_status" if self.database.is_sqlite else "dbos.workflow_status"
        with self.database.read() as c:
            return [
                tuple(row)
                for row in c.exec_driver_sql(
                    f"SELECT workflow_uuid, status, priority FROM {name} ORDER BY priority, workflow_uuid"
                )
            ]


@pytest.fixture
def desk(database: Database, settings: Settings) -> Iterator[Desk]:
    made = Desk(database, settings)
    yield made
    made.engine.close()


@pytest.fixture
def submit(desk: Desk) -> Callable[..., Task]:
    return lambda account, **values: desk.tasks.submit(desk.submission(account, **values))
