"""Real databases for the service's tests: SQLite files and one Postgres server, from a wheel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kinora.service.settings import Settings
from kinora.service.store import Database, open_database

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running Postgres."""
    pgserver = pytest.importorskip("pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of its own on that server."""
    name = f"kinora_{next(_names)}"
    base = sa.make_url(postgres_server.replace("postgresql://", "postgresql+psycopg://"))
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as c:
        c.execute(sa.text(f"CREATE DATABASE {name}"))
    yield base.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as c:
        c.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
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
