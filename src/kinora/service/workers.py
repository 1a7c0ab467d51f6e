"""Workers as the store knows them: who is there, and who was not heard of for too long."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import workers

__all__ = ["WorkerRow", "Workers"]

HERE = ("live", "draining")


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A worker process."""

    id: str
    host: str
    pid: int
    device: str
    models: Sequence[str]
    state: str
    """live, draining (takes no more tasks), dead (not heard of) or gone (ended)."""
    started_at: int
    beat_at: int

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host."""
        return self.host == socket.gethostname()


class Workers:
    """The table of workers."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._lease_ms = int(settings.lease_seconds * 1000)

    def arrive(self, worker_id: str, pid: int, device: str, models: Sequence[str]) -> None:
        """A worker starts."""
        now = now_ms()
        row = {
            "id": worker_id, "host": socket.gethostname(), "pid": pid, "device": device or "auto",
            "models": list(models), "state": "live", "started_at": now, "beat_at": now,
        }  # fmt: skip
        with self._database.write() as c:
            c.execute(insert(workers), row)

    def beat(self, worker_id: str) -> bool:
        """A worker is heard of; False when it was declared dead and must end."""
        return self._set(worker_id, beat_at=now_ms())

    def drain(self, worker_id: str) -> None:
        """A worker takes no more tasks."""
        self._set(worker_id, state="draining")

    def leave(self, worker_id: str) -> None:
        """A worker ends."""
        self._set(worker_id, state="gone")

    def page(self, *, here_only: bool = True) -> list[WorkerRow]:
        """Workers, the newest first."""
        query = select(workers).order_by(workers.c.started_at.desc()).limit(1000)
        with self._database.read() as c:
            return [
                WorkerRow(**row)
                for row in c.execute(query).mappings()
                if not here_only or (row["state"] in HERE and row["beat_at"] > now_ms() - self._lease_ms)
            ]

    def bury(self, c: Connection) -> list[str]:
        """Declare dead who was not heard of; the ids of those who are there."""
        limit = now_ms() - self._lease_ms
        here = workers.c.state.in_(HERE)
        c.execute(update(workers).where(here, workers.c.beat_at < limit).values(state="dead"))
        return [row[0] for row in c.execute(select(workers.c.id).where(here))]

    def _set(self, worker_id: str, **values: object) -> bool:
        with self._database.write() as c:
            return bool(
                c.execute(
                    update(workers).where(workers.c.id == worker_id, workers.c.state.in_(HERE)).values(**values)
                ).rowcount
            )
