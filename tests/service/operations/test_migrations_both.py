"""The schema: from nothing to what `tables.py` says, on both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from kinora.service.store import Database
from kinora.service.store.database import HEAD, MIGRATIONS
from kinora.service.store.tables import metadata

OPEN = """
import sys
from pathlib import Path
from kinora.service.engine import Engine
from kinora.service.settings import Settings
from kinora.service.store import open_database

database = open_database(Settings(data=Path(sys.argv[1]), database=sys.argv[2]))
Engine(database).warm()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("empty_postgres_url"))
    return ""


def test_from_nothing_by_two_at_once_and_again(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path), url]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    database = Database(url or f"sqlite:///{tmp_path / 'kinora.db'}")
    before = shape(database)
    assert differences(database) == []
    database.migrate()
    assert shape(database) == before, "twice is once"
    assert "tasks" in before
    database.close()


def test_a_schema_at_head_is_left_alone() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD, "HEAD names the newest migration"


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'kinora.db'}")
    database.migrate()
    with database.write() as c:
        c.exec_driver_sql("ALTER TABLE workers ADD COLUMN more INTEGER")
    assert [difference[0] for difference in differences(database)] == ["remove_column"]
    database.close()


def differences(database: Database) -> list[Any]:
    """What a migration would change, in our tables."""
    ours = set(metadata.tables)

    def mine(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return kind != "table" or name in ours

    with database.read() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True, "include_object": mine})
        return list(compare_metadata(context, metadata))


def shape(database: Database) -> dict[str, list[str]]:
    seen = inspect(database.engine)
    return {name: sorted(column["name"] for column in seen.get_columns(name)) for name in seen.get_table_names()}
