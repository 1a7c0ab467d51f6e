"""Real databases for the service's tests: SQLite files and one Postgres server, from a wheel."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kinora.service.engine import Engine
from kinora.service.settings import Settings
from kinora.service.store import Database, open_database
from running import BUSY, IDLE, Running

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running Postgres.

    In a folder of its own: another pytest session closes pytest's to the user that the server runs as.
    """
    pgserver = pytest.importorskip("pgserver")
    folder = tempfile.mkdtemp(prefix="kinora-pg-")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        _run(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")  # no test cuts the power
    _run(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database on that server, to be copied: a hundred migrations of the engine's take their time."""
    url = _named(postgres_server, "template_kinora")
    _run(postgres_server, "CREATE DATABASE template_kinora")
    database = Database(url)
    database.migrate()
    engine = Engine(database)
    engine.warm()
    engine.close()
    database.close()
    return "template_kinora"


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of its own without a table."""
    yield from _database(postgres_server, "template0")


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated database of its own."""
    yield from _database(postgres_server, postgres_template)


def _database(server: str, template: str) -> Iterator[str]:
    name = f"kinora_{next(_names)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    # Not dropped: that waits for the disk, and the server goes with the session anyhow.
    yield _named(server, name)


def _named(server: str, name: str) -> str:
    return sa.make_url(server).set(database=name, drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _run(server: str, statement: str) -> None:
    engine = sa.create_engine(_named(server, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as c:
        c.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a service of its own in a temporary folder, on SQLite."""
    return Settings(data=tmp_path / "data", port=0, loopback=True, secret="a secret of thirty-two characters!")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Database]:
    """An empty, migrated database: every test that takes it runs on both kinds."""
    if request.param == "postgres":
        settings = settings.model_copy(update={"database": request.getfixturevalue("postgres_url")})
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service without a worker."""
    with IDLE.use(tmp_path_factory.mktemp("idle")) as made:
        yield made


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a worker."""
    with BUSY.use(tmp_path_factory.mktemp("busy")) as made:
        yield made
