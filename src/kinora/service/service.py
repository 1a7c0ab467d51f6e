"""The whole service, put together: what every wire format, the worker and the command line work with."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from kinora.service.accounts import Accounts
from kinora.service.assets import Assets
from kinora.service.catalogue import Catalogue
from kinora.service.consents import Consents
from kinora.service.creating import Studio
from kinora.service.elements import Elements
from kinora.service.engine import Engine
from kinora.service.feedback import Feedback
from kinora.service.ledger import Ledger
from kinora.service.moderation import Moderation
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, open_database
from kinora.service.tasks import Task, Tasks
from kinora.service.webhooks import Webhooks

__all__ = ["Service", "open_service"]

CALLBACKS = {"kling": "kinora.service.api.kling.callbacks", "kling-standard": "kinora.service.api.kling.callbacks"}
"""Who writes a callback's body, by the family a task came in by: a module with `body_for(task, service)`."""
NATIVE = "kinora.service.api.native.callbacks"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service on one database; every part is safe to use from several threads."""

    settings: Settings
    database: Database
    sealer: Sealer
    accounts: Accounts
    ledger: Ledger
    catalogue: Catalogue
    engine: Engine
    tasks: Tasks
    objects: Objects
    assets: Assets
    studio: Studio
    webhooks: Webhooks
    moderation: Moderation
    consents: Consents
    elements: Elements
    feedback: Feedback

    def callback_body(self, task: Task) -> bytes:
        """What a task's callback address is told of it."""
        family = importlib.import_module(CALLBACKS.get(str(task.wire.get("family", "")), NATIVE))
        body: dict[str, Any] = family.body_for(task, self)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.close()
        self.database.close()


class _Outward:
    """Tells callbacks of changes; knows the service once it is whole."""

    def __init__(self) -> None:
        self.service: Service | None = None

    def __call__(self, c: Connection, task: Task) -> None:
        if task.callback_url and self.service is not None:
            body = self.service.callback_body(task)
            self.service.webhooks.queue(c, task.account_id, task.id, task.callback_url, body)


def open_service(settings: Settings, *, warm: bool = True) -> Service:
    """The service that the settings describe; the schema is brought up to date. Without `warm` the queue's engine is
    left for later (`Engine.warm`; a task that comes in sooner waits for it).
    """
    database = open_database(settings)
    sealer, outward = Sealer(settings), _Outward()
    ledger, engine = Ledger(database), Engine(database)
    if warm:
        engine.warm()
    objects = Objects(settings)
    assets = Assets(database, objects, sealer, settings)
    catalogue = Catalogue(settings.model_names)
    moderation, consents = Moderation.of(settings), Consents(database)
    tasks = Tasks(database, settings, ledger, engine, outward)
    studio = Studio(
        database, settings,
        catalogue=catalogue, tasks=tasks, assets=assets, moderation=moderation, consents=consents,
    )  # fmt: skip
    outward.service = Service(
        settings=settings, database=database, sealer=sealer, accounts=Accounts(database, sealer), ledger=ledger,
        catalogue=catalogue, engine=engine, tasks=tasks, objects=objects, assets=assets, studio=studio,
        webhooks=Webhooks(database, sealer), moderation=moderation, consents=consents, elements=Elements(database),
        feedback=Feedback(database),
    )  # fmt: skip
    return outward.service
