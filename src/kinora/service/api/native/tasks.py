"""Tasks: asked for, priced, looked at, steered."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query, Request
from pydantic import Field

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.answers import State, TaskAnswer, TaskPage, answer_of
from kinora.service.api.native.asking import keep_consents, wanted_of
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Done, IdPath, Limit, Shape, base_of
from kinora.service.api.native.wishes import Kind, Wish

__all__ = ["router"]

router = native_router("tasks")

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key and body give the same task again, however often they are sent.",
    ),
]


class PriceAnswer(Shape):
    """What a wish would cost, and how it would be made."""

    units: int = Field(description="Units that would be held, and charged if it succeeds.")
    available: int = Field(description="Units that the account can spend.")
    model: str = Field(description="The model that would make it.")
    width: int = Field(description="Pixels across.")
    height: int = Field(description="Pixels down.")
    frames: int = Field(description="Pictures of the film.")
    frame_rate: float = Field(description="Pictures a second.")
    seconds: float = Field(description="How long it plays.")
    steps: int = Field(description="Denoising steps.")
    expected_seconds: float = Field(description="About how long the work takes, without waiting.")
    plan: str = Field(description="The whole plan in words, a line each.")


@router.post("/price", operation_id="price")
def price(service: Serving, caller: Signed, wish: Wish) -> PriceAnswer:
    """What a wish costs and how it would be made; nothing is held, nothing made."""
    priced = service.studio.price(caller, wanted_of(service, caller, wish, keep=False))
    with service.database.write() as c:
        service.ledger.refresh(c, caller.account)
        balance = service.ledger.balance(c, caller.account.id)
    pixels = priced.plan.pixels
    return PriceAnswer(
        units=priced.units,
        available=balance.available,
        model=priced.card.name,
        width=pixels.width,
        height=pixels.height,
        frames=pixels.frames,
        frame_rate=priced.plan.frame_rate,
        seconds=pixels.seconds(priced.plan.frame_rate),
        steps=priced.plan.steps,
        expected_seconds=priced.plan.seconds_expected,
        plan=str(priced.plan),
    )


@router.post("/tasks", operation_id="create_task", status_code=201)
def create_task(request: Request, service: Serving, caller: Signed, wish: Wish, key: KeyHeader = None) -> TaskAnswer:
    """Accept a task. Once this answers it will be made, whatever breaks meanwhile; failed ones cost nothing."""
    base = base_of(request)
    wanted = wanted_of(service, caller, wish, base=base)
    keep_consents(service, caller, wish, wanted)
    asked = b"POST /api/tasks " + wish.model_dump_json().encode()
    return answer_of(service, service.studio.create(caller, wanted, key=key, asked=asked), base)


@router.get("/tasks", operation_id="list_tasks")
def list_tasks(
    request: Request,
    service: Serving,
    caller: Signed,
    kind: Annotated[list[Kind] | None, Query(description="Of these kinds alone; may be repeated.")] = None,
    state: Annotated[list[State] | None, Query(description="In these states alone; may be repeated.")] = None,
    since: Annotated[int | None, Query(ge=0, lt=2**53, description="Accepted from then on: ms since 1970.")] = None,
    until: Annotated[int | None, Query(ge=0, lt=2**53, description="Accepted until then: ms since 1970.")] = None,
    before: Before = None,
    limit: Limit = 30,
) -> TaskPage:
    """The account's tasks, the newest first."""
    found = service.tasks.page(
        caller.account.id,
        kinds=kind or (),
        states=state or (),
        since=since,
        until=until,
        before=None if before is None else int(before),
        limit=limit,
    )
    base = base_of(request)
    return TaskPage(
        tasks=[answer_of(service, task, base, place=False) for task in found],
        next=str(found[-1].id) if len(found) == limit else None,
    )


@router.get("/tasks/{task_id}", operation_id="get_task")
def get_task(request: Request, service: Serving, caller: Signed, task_id: IdPath) -> TaskAnswer:
    """One task, with its place in the queue while it waits."""
    return answer_of(service, service.tasks.get(caller.account.id, int(task_id)), base_of(request))


@router.post("/tasks/{task_id}/cancel", operation_id="cancel_task")
def cancel_task(request: Request, service: Serving, caller: Signed, task_id: IdPath) -> TaskAnswer:
    """Stop a task: one that waits at once, one under way before its next step. One that is over stays as it is."""
    return answer_of(service, service.tasks.cancel(caller.account.id, int(task_id)), base_of(request))


@router.post("/tasks/{task_id}/pause", operation_id="pause_task")
def pause_task(request: Request, service: Serving, caller: Signed, task_id: IdPath) -> TaskAnswer:
    """Keep a task that waits from being made; it keeps its slot and its units."""
    return answer_of(service, service.tasks.pause(caller.account.id, int(task_id)), base_of(request))


@router.post("/tasks/{task_id}/resume", operation_id="resume_task")
def resume_task(request: Request, service: Serving, caller: Signed, task_id: IdPath) -> TaskAnswer:
    """Let a paused task be made."""
    return answer_of(service, service.tasks.go_on(caller.account.id, int(task_id)), base_of(request))


@router.post("/tasks/{task_id}/first", operation_id="move_task_first")
def move_task_first(request: Request, service: Serving, caller: Signed, task_id: IdPath) -> TaskAnswer:
    """Put a task that waits before all others of the account; it does not overtake other accounts'."""
    return answer_of(service, service.tasks.move_first(caller.account.id, int(task_id)), base_of(request))


@router.delete("/tasks/{task_id}", operation_id="delete_task")
def delete_task(service: Serving, caller: Signed, task_id: IdPath) -> Done:
    """Forget a task that is over, and its outputs."""
    service.tasks.delete(caller.account.id, int(task_id))
    return Done()
