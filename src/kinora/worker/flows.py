"""The durable workflow of a task: DBOS gives it to one worker, and again to another when that one dies.

It has one step, because everything in a task's life that must happen once is a transaction of the service's own
(`kinora.service.tasks.leasing`). Whoever changes what the step is raises `kinora.service.engine.SCHEMA`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbos import DBOS, DBOSConfig

from kinora.service.engine import FLOW, queue_of

__all__ = ["listen"]


def listen(config: DBOSConfig, models: Sequence[str], carry: Callable[[int], None], *, poll_seconds: float) -> None:
    """Take tasks of these models, one at a time of each, and have them carried; returns at once."""
    DBOS(config=config)

    @DBOS.step(name="carry")
    def step(task_id: str) -> None:
        carry(int(task_id))

    @DBOS.workflow(name=FLOW, max_recovery_attempts=1_000_000)  # how often is ours to say: `Settings.attempts`
    def flow(task_id: str) -> None:
        step(task_id)

    queues = [queue_of(model) for model in models]
    DBOS.listen_queues(queues)
    DBOS.launch()
    for queue in queues:
        DBOS.register_queue(queue, worker_concurrency=1, polling_interval_sec=poll_seconds)
