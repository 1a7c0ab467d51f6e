"""Workers as the store knows them: who is there, and who was not heard of for too long."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import workers

__all__ = ["Watch", "WorkerRow", "Workers"]

HERE = ("live", "draining")
ARE_HERE = workers.c.state.in_(HERE)


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

    def here(self) -> dict[str, int]:
        """Who is there, and each one's last beat."""
        with self._database.read() as c:
            return {row.id: row.beat_at for row in c.execute(select(workers.c.id, workers.c.beat_at).where(ARE_HERE))}

    def listed(self, c: Connection) -> list[str]:
        """The ids of those who are there."""
        return [row[0] for row in c.execute(select(workers.c.id).where(ARE_HERE))]

    def bury(self, c: Connection, silent: Mapping[str, int]) -> None:
        """Declare workers dead who still have no other beat than these."""
        for worker_id, beat_at in silent.items():
            same = workers.c.id == worker_id, workers.c.beat_at == beat_at
            c.execute(update(workers).where(*same, ARE_HERE).values(state="dead"))

    def _set(self, worker_id: str, **values: object) -> bool:
        with self._database.write() as c:
            return bool(c.execute(update(workers).where(workers.c.id == worker_id, ARE_HERE).values(**values)).rowcount)


class Watch:
    """Who has been silent for too long, by this process's own clock: hosts need not agree on the time, and nobody is
    taken for dead because the database was slow for all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[int, float]] = {}

    def silent(self, here: Mapping[str, int]) -> dict[str, int]:
        """Those of `here` (last beats by worker) who have shown the same beat for the whole time."""
        now = time.monotonic()
        self._seen = {
            worker_id: seen if (seen := self._seen.get(worker_id)) and seen[0] == beat_at else (beat_at, now)
            for worker_id, beat_at in here.items()
        }
        return {worker_id: beat for worker_id, (beat, since) in self._seen.items() if now - since > self._seconds}
