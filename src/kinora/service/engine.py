"""The engine that carries tasks to workers: DBOS, on the service's own database. The one place that writes its tables.

A workflow's id is its task's, its priority the task's turn. What a workflow does is in `kinora.worker.flows`; all that
must happen once is decided by our own tables, so a workflow that runs twice does no harm.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, TableClause, cast, column, delete, or_, select, table, update

from kinora.service.store import Database
from kinora.service.store.tables import tasks

if TYPE_CHECKING:
    # Loading it takes a third of the service's start: it comes when the service answers already (`Engine.warm`).
    from dbos import DBOSClient, DBOSConfig, EnqueueOptions

__all__ = ["FLOW", "SCHEMA", "Engine", "config_of", "queue_of"]

FLOW = "task"
"""The workflow's name."""
SCHEMA = "1"
"""Version of the workflows: DBOS gives a workflow only to workers of its own version. Raised when `flows` changes what
its steps are; until the last task of the old version has ended, workers of both run.
"""
NAME = "kinora"
"""How DBOS knows the application."""
NEVER = 2**53
"""A moment that does not come."""
UNDER_WAY = ("ENQUEUED", "PENDING", "DELAYED")
"""States of a workflow that is not over."""


def queue_of(model: str) -> str:
    """The queue of a model's tasks: a worker listens to those of the models it has."""
    return f"film-{model}"


def config_of(database: Database, worker_id: str) -> DBOSConfig:
    """How a worker starts DBOS."""
    from dbos import DBOSConfig, DBOSPortableJSONSerializer

    return DBOSConfig(
        name=NAME,
        system_database_url=database.url,
        application_version=SCHEMA,
        executor_id=worker_id,
        serializer=DBOSPortableJSONSerializer(),
        log_level="WARNING",
        max_executor_threads=16,
    )


class Engine:
    """The service's side of the queue; needs no launched DBOS."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._warming = threading.Lock()
        self._client: DBOSClient | None = None
        self._schema = None if database.is_sqlite else "dbos"
        self._flows = self._its_table(
            "workflow_status", "workflow_uuid", "status", "name", "priority", "executor_id", "owner_xid", "output",
            "error", "recovery_attempts", "started_at_epoch_ms", "completed_at", "delay_until_epoch_ms",
        )  # fmt: skip

    def warm(self) -> None:
        """Load DBOS and bring its tables up to date, once; safe from several processes at once. Not within a writing
        transaction: SQLite has one writer.
        """
        with self._warming:
            if self._client is not None:
                return
            from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

            DBOS.migrate(self._database.url)
            self._client = DBOSClient(
                system_database_url=self._database.url,
                serializer=DBOSPortableJSONSerializer(),
                application_name=NAME,
                lazy=True,
            )

    def enqueue(self, c: Connection, task_id: int, model: str, turn: int) -> None:
        """Hand a task over, within the caller's transaction; the engine is warm."""
        assert self._client is not None
        options: EnqueueOptions = {
            "workflow_name": FLOW,
            "queue_name": queue_of(model),
            "workflow_id": str(task_id),
            "app_version": SCHEMA,
            "priority": turn,
        }
        self._client.enqueue_in_transaction(c, options, str(task_id))

    def move(self, c: Connection, task_id: int, turn: int) -> None:
        """Another place in the queue for a task that waits."""
        c.execute(update(self._flows).where(self._flows.c.workflow_uuid == str(task_id)).values(priority=turn))

    def pause(self, c: Connection, task_id: int) -> None:
        """Keep a task from being handed out. One that just was is refused its lease, and its workflow is over."""
        c.execute(
            update(self._flows)
            .where(self._flows.c.workflow_uuid == str(task_id), self._flows.c.status == "ENQUEUED")
            .values(status="DELAYED", delay_until_epoch_ms=NEVER)
        )

    def go_on(self, c: Connection, task_id: int) -> None:
        """Let a paused task be handed out again.

        Where its workflow is just being ended, nothing is done: to take it from a worker that lives would have that
        worker wait for whoever takes it, which may be itself. It is found adrift a little later.
        """
        status = c.execute(select(self._flows.c.status).where(self._flows.c.workflow_uuid == str(task_id))).scalar()
        if status != "PENDING":
            self.requeue(c, [task_id])

    def requeue(self, c: Connection, task_ids: Sequence[int]) -> None:
        """Hand tasks out again, wherever their workflows stand; whoever runs them now no longer owns them."""
        ids = [str(task_id) for task_id in task_ids]
        for name in ("operation_outputs", "workflow_output"):
            kept = self._its_table(name, "workflow_uuid")
            c.execute(delete(kept).where(kept.c.workflow_uuid.in_(ids)))
        c.execute(
            update(self._flows)
            .where(self._flows.c.workflow_uuid.in_(ids))
            .values(
                status="ENQUEUED",
                owner_xid=None,
                executor_id=None,
                output=None,
                error=None,
                recovery_attempts=0,
                started_at_epoch_ms=None,
                completed_at=None,
                delay_until_epoch_ms=None,
            )
        )

    def held_by_others(self, c: Connection, workers: Iterable[str]) -> list[int]:
        """Tasks whose workflow runs on none of `workers`: on one that is dead."""
        flows = self._flows.c
        known = or_(flows.executor_id.is_(None), flows.executor_id.not_in(list(workers)))
        rows = c.execute(select(flows.workflow_uuid).where(flows.status == "PENDING", flows.name == FLOW, known))
        return [int(row[0]) for row in rows]

    def held_by(self, c: Connection, worker_id: str) -> set[int]:
        """Tasks whose workflow runs on a worker, as far as the tables know."""
        flows = self._flows.c
        mine = flows.status == "PENDING", flows.name == FLOW, flows.executor_id == worker_id
        return {int(row[0]) for row in c.execute(select(flows.workflow_uuid).where(*mine))}

    def adrift(self, c: Connection, untouched_since: int, most: int = 1000) -> list[int]:
        """Tasks that are under way and whose workflow is over or gone, although nobody has touched them for a while;
        at most so many.
        """
        flows = self._flows.c
        lost = or_(flows.status.is_(None), flows.status.not_in(UNDER_WAY))
        query = (
            select(tasks.c.id)
            .select_from(tasks.outerjoin(self._flows, flows.workflow_uuid == cast(tasks.c.id, String)))
            .where(
                tasks.c.state.in_(("submitted", "processing")),
                ~tasks.c.paused,
                tasks.c.updated_at < untouched_since,
                lost,
            )
            .limit(most)
        )
        return [int(row[0]) for row in c.execute(query)]

    def clean(self, c: Connection, ended_before: int, most: int = 1000) -> int:
        """Forget workflows that ended before a moment, at most so many; says how many went."""
        flows = self._flows.c
        query = select(flows.workflow_uuid).where(flows.completed_at < ended_before, flows.name == FLOW).limit(most)
        ids = [row[0] for row in c.execute(query)]
        for name in ("operation_outputs", "workflow_output", "workflow_input", "workflow_status"):
            kept = self._its_table(name, "workflow_uuid")
            c.execute(delete(kept).where(kept.c.workflow_uuid.in_(ids)))
        return len(ids)

    def close(self) -> None:
        if self._client is not None:
            self._client.destroy()

    def _its_table(self, name: str, *columns: str) -> TableClause:
        return table(name, *map(column, columns), schema=self._schema)
