"""Hostile files, good files, and assets on a database of their own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kinora.service.accounts import Accounts
from kinora.service.assets import Assets
from kinora.service.guard import Guard
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    """The package beside this file (tests are no packages themselves)."""
    folder = Path(__file__).parent / "hostile"
    spec = importlib.util.spec_from_file_location(
        "hostile", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["hostile"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return Objects(settings)


@pytest.fixture
def assets(database: Database, objects: Objects, settings: Settings) -> Assets:
    return Assets(database, objects, Sealer(settings), settings)


@pytest.fixture
def account(database: Database, settings: Settings) -> int:
    return int(Accounts(database, Sealer(settings)).create("an account").id)


@pytest.fixture
def other(database: Database, settings: Settings) -> int:
    return int(Accounts(database, Sealer(settings)).create("another account").id)
