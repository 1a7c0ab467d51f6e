"""Callbacks of the account: the secret that signs them, a test, and how they went."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from fastapi import Body
from pydantic import Field

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Done, Id, Limit, Shape, Url
from kinora.service.store import now_ms

__all__ = ["router"]

router = native_router("webhooks")


class Secret(Shape):
    """The secret that signs the account's callbacks, as Standard Webhooks has it."""

    secret: str | None = Field(description="whsec_ and base64; null while callbacks are not signed.")


class Rotation(Shape):
    """How a secret is replaced; may be left out."""

    emergency: bool = Field(default=False, description="Whether the old one ends at once instead of in seven days.")


class Test(Shape):
    """A callback to be tried."""

    url: Url = Field(description="Where to.")


class Tried(Shape):
    """How a test went."""

    status: int = Field(description="The HTTP status that was answered.")
    ok: bool = Field(description="Whether that counts as received.")


class DeliveryAnswer(Shape):
    """A callback and how far it got."""

    id: Id = Field(description="Its `webhook-id`, the same in all attempts.")
    task_id: str = Field(description="The task it tells of; 0 for a test.")
    url: str = Field(description="Where it goes.")
    state: Literal["waiting", "done", "dead"] = Field(description="waiting for its next attempt, received, given up.")
    attempts: int = Field(description="How often it was sent.")
    next_at: int = Field(description="When it is sent next: milliseconds since 1970.")
    answer: str | None = Field(description="How the last attempt went.")
    created_at: int = Field(description="Milliseconds since 1970.")


class Deliveries(Shape):
    """Callbacks, the newest first."""

    deliveries: list[DeliveryAnswer] = Field(description="The callbacks.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


@router.get("/webhook", operation_id="get_webhook_secret")
def get_webhook_secret(service: Serving, caller: Signed) -> Secret:
    """The secret that signs callbacks."""
    return Secret(secret=service.webhooks.secret(caller.account.id))


@router.post("/webhook/rotate", operation_id="rotate_webhook_secret")
def rotate_webhook_secret(
    service: Serving, caller: Signed, rotation: Annotated[Rotation, Body(default_factory=Rotation)]
) -> Secret:
    """A new secret, or the first; for seven days callbacks carry both signatures."""
    return Secret(secret=service.webhooks.rotate(caller.account.id, emergency=rotation.emergency))


@router.delete("/webhook", operation_id="delete_webhook_secret")
def delete_webhook_secret(service: Serving, caller: Signed) -> Done:
    """Take the secret away: callbacks are no longer signed."""
    service.webhooks.unsign(caller.account.id)
    return Done()


@router.post("/webhook/test", operation_id="test_webhook")
def test_webhook(service: Serving, caller: Signed, test: Test) -> Tried:
    """Send a callback at once, as tasks' are sent; at most one in six seconds."""
    body = json.dumps({"id": "0", "state": "submitted", "outputs": [], "created_at": now_ms()}).encode()
    answer = service.webhooks.test(caller.account.id, test.url, body, settings=service.settings)
    return Tried(status=answer.status, ok=200 <= answer.status < 300)


@router.get("/webhook/deliveries", operation_id="list_deliveries")
def list_deliveries(service: Serving, caller: Signed, before: Before = None, limit: Limit = 30) -> Deliveries:
    """The account's callbacks and how they went, the newest first."""
    found = service.webhooks.page(caller.account.id, limit=limit, before=None if before is None else int(before))
    told = [name for name in DeliveryAnswer.model_fields if name not in ("id", "task_id")]
    return Deliveries(
        deliveries=[
            DeliveryAnswer(id=str(one.id), task_id=str(one.task_id), **{name: getattr(one, name) for name in told})
            for one in found
        ],
        next=str(found[-1].id) if len(found) == limit else None,
    )
