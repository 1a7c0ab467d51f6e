"""`/models`: the models that are served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import select

from kinora.service.api.auth import Serving, Signed
from kinora.service.catalogue import Card
from kinora.service.service import Service
from kinora.service.store.tables import models

__all__ = ["add_routes"]


def add_routes(router: APIRouter) -> None:
    router.add_api_route("/models", page, methods=["GET"])
    router.add_api_route("/models/{name:path}", retrieve, methods=["GET"])


def page(service: Serving, caller: Signed) -> dict[str, Any]:
    assert caller
    return {"object": "list", "data": [_model(service, card) for card in service.catalogue.cards]}


def retrieve(name: str, service: Serving, caller: Signed) -> dict[str, Any]:
    assert caller
    return _model(service, service.catalogue.card(name))


def _model(service: Service, card: Card) -> dict[str, Any]:
    with service.database.read() as c:
        seen = c.execute(
            select(models.c.first_seen_at).where(models.c.name == card.name, models.c.version == card.version)
        ).scalar()
    return {"id": card.name, "object": "model", "created": (seen or 0) // 1000, "owned_by": "kinora"}
