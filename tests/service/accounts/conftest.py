"""Accounts of a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kinora.service.accounts import Accounts
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, open_database


@pytest.fixture
def on_both(database: Database, settings: Settings) -> Accounts:
    """Where the statements matter: on SQLite and on Postgres."""
    return Accounts(database, Sealer(settings))


@pytest.fixture
def accounts(settings: Settings) -> Iterator[Accounts]:
    """Where they do not: on SQLite."""
    opened = open_database(settings)
    yield Accounts(opened, Sealer(settings))
    opened.close()


@pytest.fixture
def another(accounts: Accounts, settings: Settings) -> Iterator[Callable[..., Accounts]]:
    """`another(secret=...)`: another process of the same service, as far as it matters here."""
    opened: list[Database] = []

    def start(**changed: str) -> Accounts:
        opened.append(open_database(settings))
        return Accounts(opened[-1], Sealer(settings.model_copy(update=changed)))

    yield start
    for database in opened:
        database.close()
