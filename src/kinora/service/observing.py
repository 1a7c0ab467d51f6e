"""What an operator sees: a line of JSON for each request, and figures for Prometheus; never bodies, tokens, prompts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kinora.service.store import now_ms, tables

if TYPE_CHECKING:
    from kinora.service.settings import Settings
    from kinora.service.store import Database

__all__ = ["CONTENT_TYPE", "Metrics", "log"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; 0.15 is where the promise for submits lies."""


class _Standard:
    """Lines go where standard error is at that moment."""

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    log = debug = info = warning = error = critical = exception = msg


def log(name: str) -> Any:
    """A logger that writes a line of JSON to standard error: `log("kinora.http").info("request", status=200)`."""
    return structlog.wrap_logger(
        _Standard(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    ).bind(log=name)


class Metrics:
    """Counts of this process, and what the database says when it is asked."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "kinora_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "kinora_request_seconds",
            "Time to the answer's first byte.",
            ["route"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.registry.register(_Stored(database, settings))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` is its template, so that ids make no series of their own."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Stored(Collector):
    """Figures read from the database at each scrape; they are the same on every host."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._lease_ms = int(settings.lease_seconds * 1000)

    def describe(self) -> list[Metric]:
        # Told without asking: the registry would collect once to learn the names.
        return [GaugeMetricFamily(name, what) for name, what in _FIGURES]

    def collect(self) -> Iterator[Metric]:
        with self._database.read() as c:
            states = c.execute(sa.select(tables.tasks.c.state, sa.func.count()).group_by(tables.tasks.c.state)).all()
            books = c.execute(
                sa.select(tables.books.c.kind, sa.func.sum(tables.books.c.balance)).group_by(tables.books.c.kind)
            ).all()
            live = c.execute(
                sa.select(sa.func.count())
                .select_from(tables.workers)
                .where(tables.workers.c.state == "live", tables.workers.c.beat_at > now_ms() - self._lease_ms)
            ).scalar_one()
        by_state = {state: int(count) for state, count in states}
        (tasks, told_tasks), (queue, told_queue), (units, told_units), (workers, told_workers) = _FIGURES
        yield _gauge(tasks, told_tasks, "state", by_state)
        yield GaugeMetricFamily(queue, told_queue, value=by_state.get("submitted", 0))
        yield _gauge(units, told_units, "book", {kind: int(total) for kind, total in books})
        yield GaugeMetricFamily(workers, told_workers, value=live)


_FIGURES = (
    ("kinora_tasks", "Tasks by state."),
    ("kinora_queue_length", "Tasks that wait for a worker."),
    ("kinora_units", "Units by kind of book: granted and free, held, and the house's own."),
    ("kinora_workers_live", "Workers heard of within the lease."),
)


def _gauge(name: str, what: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
