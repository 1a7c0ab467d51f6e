"""Where the service keeps what it knows: one database, SQLite or Postgres."""

from __future__ import annotations

from kinora.service.store.database import Database, open_database
from kinora.service.store.ids import new_id, now_ms

__all__ = ["Database", "new_id", "now_ms", "open_database"]
