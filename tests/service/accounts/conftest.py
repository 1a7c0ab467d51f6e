"""Accounts of a database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kinora.service.accounts import Accounts
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, open_database


@pytest.fixture
def accounts(database: Database, settings: Settings) -> Accounts:
    return Accounts(database, Sealer(settings))


@pytest.fixture
def sqlite_accounts(settings: Settings) -> Iterator[Accounts]:
    """On SQLite alone: what is tested never comes to the database."""
    opened = open_database(settings)
    yield Accounts(opened, Sealer(settings))
    opened.close()
