"""SQL of the hot path, written for the driver once and sent straight to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["Statement"]

Row = tuple[Any, ...]


class Statement:
    """SQL with parameters named `:so`. `locks` is added for Postgres, where rows that are read to be changed must be
    locked; SQLite's writers are alone anyhow.
    """

    def __init__(self, sql: str, *, locks: str = "") -> None:
        self._sql = sql
        self._locks = locks
        self._written: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def run(self, c: Connection, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return self._sent(c, values)[1]

    def row(self, c: Connection, **values: Any) -> Row | None:
        """Run it; its first row."""
        rows = self._sent(c, values)[0]
        return rows[0] if rows else None

    def rows(self, c: Connection, **values: Any) -> list[Row]:
        """Run it; all its rows."""
        return self._sent(c, values)[0]

    def _sent(self, c: Connection, values: dict[str, Any]) -> tuple[list[Row], int]:
        # Straight to the driver: SQLAlchemy's own way costs four times as much as SQLite needs for the statement.
        dialect = c.dialect
        sql, order = self._written.get(dialect.name) or self._write(dialect)
        if not c.in_transaction():
            c.begin()
        cursor = c.connection.cursor()
        try:
            cursor.execute(sql, values if order is None else tuple([values[name] for name in order]))
            return list(cursor.fetchall()) if cursor.description else [], cursor.rowcount
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(sql, values, error, dialect.loaded_dbapi.Error, dialect=dialect) from error
        finally:
            cursor.close()

    def _write(self, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
        sql = self._sql if dialect.name == "sqlite" else f"{self._sql} {self._locks}"
        compiled = text(sql).compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        order = tuple(compiled.positiontup) if compiled.positional and compiled.positiontup is not None else None
        self._written[dialect.name] = str(compiled), order
        return self._written[dialect.name]
