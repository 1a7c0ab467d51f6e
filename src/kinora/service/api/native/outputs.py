"""What tasks made, whichever task it was: the account's gallery."""

from __future__ import annotations

from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.answers import OutputAnswer, output_of
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Id, IdPath, Limit, Shape, base_of
from kinora.service.store.tables import outputs
from kinora.service.tasks import Output

__all__ = ["router"]

router = native_router("outputs")


class OutputPage(Shape):
    """Outputs, the newest first."""

    outputs: list[OutputAnswer] = Field(description="The outputs.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


@router.get("/outputs", operation_id="list_outputs")
def list_outputs(
    request: Request,
    service: Serving,
    caller: Signed,
    kind: Annotated[Literal["video", "image"] | None, Query(description="Films or pictures alone.")] = None,
    before: Before = None,
    limit: Limit = 30,
) -> OutputPage:
    """All that the account's tasks made and that is still kept, the newest first."""
    where = [outputs.c.account_id == caller.account.id, outputs.c.deleted_at.is_(None)]
    if kind is not None:
        where.append(outputs.c.kind == kind)
    if before is not None:
        where.append(outputs.c.id < int(before))
    query = sa.select(outputs).where(*where).order_by(outputs.c.id.desc()).limit(limit)
    with service.database.read() as c:
        found = [Output.of(row) for row in c.execute(query).mappings()]
    base = base_of(request)
    return OutputPage(
        outputs=[output_of(service, output, base) for output in found],
        next=str(found[-1].id) if len(found) == limit else None,
    )


@router.get("/outputs/{output_id}", operation_id="get_output")
def get_output(request: Request, service: Serving, caller: Signed, output_id: IdPath) -> OutputAnswer:
    """One output, with fresh links."""
    return output_of(service, service.tasks.output(caller.account.id, int(output_id)), base_of(request))
