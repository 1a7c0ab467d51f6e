"""A ledger, and accounts in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kinora.service.accounts import Account, Accounts
from kinora.service.ledger import Ledger
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def member(database: Database, settings: Settings) -> Callable[..., Account]:
    """`member("name", plan="free")`: an account without units."""
    return Accounts(database, Sealer(settings)).create


@pytest.fixture
def account(member: Callable[..., Account]) -> Account:
    return member("studio")
