"""For the machines that watch over the service: is the process alive, is it ready, and its figures."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from kinora.service.api.auth import Serving, admin
from kinora.service.api.native.route import native_router
from kinora.service.api.routes import add_routes
from kinora.service.observing import CONTENT_TYPE, Metrics, log
from kinora.service.store import now_ms, tables

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["register"]

PROBE = "health/probe"
"""The object that is written and read back."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

router = native_router("health", prefix="")


def register(app: FastAPI, service: Service) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`."""
    assert app.state.service is service
    add_routes(app, router)


class Health(BaseModel):
    """The process answers."""

    ok: bool = Field(description="Always true: a process that cannot say so does not answer.")


class Readiness(BaseModel):
    """Whether tasks can be taken and will be worked on."""

    ready: bool = Field(description="Whether every part below is well.")
    reasons: dict[str, str] = Field(description="What is wrong, by part: database, objects, workers; empty when ready.")


@router.get("/healthz", operation_id="health")
async def health() -> Health:
    """Whether this process answers; says nothing of database, files or workers."""
    return Health(ok=True)


@router.get("/readyz", operation_id="readiness", responses={503: {"model": Readiness, "description": "Not ready."}})
def readiness(service: Serving) -> Response:
    """Whether database and object store answer and a worker lives: 200, or 503 with the reasons."""
    checks = {"database": _check_database, "objects": _check_objects, "workers": _check_workers}
    reasons: dict[str, str] = {}
    for part, check in checks.items():
        try:
            check(service)
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is not well; the log has the rest
            known = isinstance(error, _NotReady)
            log("kinora.health").warning("not ready", part=part, exc_info=None if known else error)
            reasons[part] = str(error) if known else f"The {part} cannot be reached."
    return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)


@router.get("/metrics", operation_id="metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Figures for Prometheus: from this machine itself without a key, from elsewhere with an administrator's."""
    if not _is_local(request):
        admin(request)
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(), headers={"content-type": CONTENT_TYPE})


class _NotReady(Exception):
    """A reason in words for the operator."""


def _check_database(service: Service) -> None:
    with service.database.read() as c:
        c.execute(sa.text("SELECT 1"))


def _check_objects(service: Service) -> None:
    service.objects.put(PROBE, b"ok")
    if service.objects.read(PROBE, 0, 2) != b"ok":
        raise _NotReady("The object store does not give back what was stored.")


def _check_workers(service: Service) -> None:
    workers = tables.workers
    since = now_ms() - int(service.settings.lease_seconds * 1000)
    query = sa.select(sa.func.count()).select_from(workers).where(workers.c.state == "live", workers.c.beat_at > since)
    with service.database.read() as c:
        if not c.execute(query).scalar_one():
            raise _NotReady("No worker is heard of; start one with `kinora worker`.")


def _is_local(request: Request) -> bool:
    """Whether the request comes from this machine and means it: a proxy passes strangers on, and a page of another site
    can send a browser here.
    """
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        local = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    name = request.headers.get("host", "").lower()
    name = name if name.endswith("]") else name.rpartition(":")[0] or name
    return local and name in LOOPBACK_NAMES
