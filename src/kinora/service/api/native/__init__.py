"""The native format, under `/api`: what our own studio speaks."""

from __future__ import annotations

from fastapi import FastAPI

from kinora.service.api.native import (
    account,
    admin,
    assets,
    events,
    feedback,
    hooks,
    models,
    operating,
    outputs,
    people,
    tasks,
)
from kinora.service.api.native.feed import Feed
from kinora.service.api.native.route import NativeRoute
from kinora.service.api.routes import add_routes, claim
from kinora.service.service import Service

__all__ = ["NativeRoute", "register"]

PARTS = (tasks, events, outputs, assets, feedback, people, models, account, hooks, admin, operating)


def register(app: FastAPI, service: Service) -> None:
    """Add the native routes; their errors, and those of paths that belong to no other format, are told here."""
    claim(app, NativeRoute)
    app.state.feed = Feed(service)
    for part in PARTS:
        add_routes(app, part.router)
