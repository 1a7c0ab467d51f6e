"""The database: connections, transactions, and the schema brought up to date.

SQLite runs in WAL mode with `synchronous=FULL` (what is accepted survives a power cut); a writing transaction takes the
write lock at its beginning, so that none fails half-way. Postgres runs the same code.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from kinora.core.errors import OutputError
from kinora.service.settings import Settings

__all__ = ["Database", "open_database"]

HEAD = "0001"
"""The newest of the migrations: a schema that stands there needs none, and alembic is not loaded."""
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 30_000
"""How long a writer waits for another one."""
PRAGMAS = (
    "journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON",
    # 32 MiB of log between checkpoints, which write each page once however often it was changed.
    "wal_autocheckpoint=8000", "cache_size=-32000",
)  # fmt: skip
MIGRATING = 0x4B696E6F7261
"""Postgres' advisory lock while the schema is brought up to date: two hosts that start at once take turns."""


class Database:
    """One engine and how to use it. `read` may see the state of a moment ago; `write` is serialised per row touched
    (Postgres) or altogether (SQLite).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writing = self.engine.execution_options(writing=True)
        # SQLite lets writers sleep and try again, the unlucky for a second: those of one process queue up instead.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing. Not within another of the same thread."""
        with self._turn, self._writing.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema up to date; safe to call from several processes at once."""
        if self._schema() == HEAD:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._writing.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATING})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()

    def _schema(self) -> str | None:
        """The revision that the schema stands at; None for an empty database."""
        with self.read() as c:
            if not inspect(c).has_table("alembic_version"):
                return None
            revision: str | None = c.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return revision


def open_database(settings: Settings) -> Database:
    """The settings' database, up to date."""
    url = settings.database_url
    if make_url(url).get_backend_name() == "sqlite":
        file = make_url(url).database
        if file:
            # Prompts, films and keys are nobody else's on this machine.
            Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(url)
    try:
        database.migrate()
    except OperationalError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise OutputError(
            f"The database {shown} cannot be used ({error.orig}); see KINORA_DATA and KINORA_DATABASE."
        ) from error
    return database


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True)
    # Threads of the HTTP process share the pool; each connection is used by one at a time.
    engine = create_engine(
        url, pool_size=10, max_overflow=20, connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own way of beginning transactions is switched off; `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads before it writes cannot be upgraded while another writes: it asks for the lock at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN")
