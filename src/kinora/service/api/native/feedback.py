"""What people think of what was made: ratings, choices, what they kept and what they threw away."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field, StringConstraints

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Id, Limit, Shape
from kinora.service.feedback import BEST, LONGEST_WORDS, MOST_OVER, Said

__all__ = ["router"]

router = native_router("feedback")

Kind = Literal["rating", "chosen", "kept", "deleted"]


class FeedbackWish(Shape):
    """Something said of a task or of one of its outputs; what was said last counts."""

    task_id: Id = Field(description="The task.")
    kind: Kind = Field(description="A rating, a choice among outputs, or what became of one.")
    output_id: Id | None = Field(default=None, description="The output; only a rating may be of the task as a whole.")
    value: int | None = Field(default=None, ge=1, le=BEST, description="Of a rating: 1 (poor) to 5 (very good).")
    over: list[Id] = Field(default=[], max_length=MOST_OVER, description="Of a choice: the outputs not chosen.")
    words: Annotated[str, StringConstraints(max_length=LONGEST_WORDS, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, description="More in words."
    )


class FeedbackAnswer(Shape):
    """Something that was said."""

    id: Id = Field(description="The id of what was said.")
    task_id: Id = Field(description="The task.")
    kind: Kind = Field(description="rating, chosen, kept or deleted.")
    output_id: Id | None = Field(description="The output, if it was of one.")
    value: int | None = Field(description="Of a rating.")
    over: list[Id] = Field(description="Of a choice: the outputs not chosen.")
    words: str | None = Field(description="More in words.")
    created_at: int = Field(description="Milliseconds since 1970.")


class FeedbackPage(Shape):
    """What was said, the newest first."""

    feedback: list[FeedbackAnswer] = Field(description="What was said.")
    next: Id | None = Field(description="Ask with `before` set to this for older; null when there is none.")


@router.post("/feedback", operation_id="give_feedback", status_code=201)
def give_feedback(service: Serving, caller: Signed, wish: FeedbackWish) -> FeedbackAnswer:
    """Say how something was liked, which of several was chosen, or what became of it."""
    said = service.feedback.give(
        caller.account.id,
        int(wish.task_id),
        wish.kind,
        output_id=None if wish.output_id is None else int(wish.output_id),
        value=wish.value,
        over=[int(other) for other in wish.over],
        words=wish.words,
    )
    return _answer(said)


@router.get("/feedback", operation_id="list_feedback")
def list_feedback(
    service: Serving,
    caller: Signed,
    task_id: Annotated[Id | None, Query(description="Of this task alone.")] = None,
    before: Before = None,
    limit: Limit = 30,
) -> FeedbackPage:
    """What the account said, the newest first."""
    found = service.feedback.page(
        caller.account.id,
        task_id=None if task_id is None else int(task_id),
        limit=limit,
        before=None if before is None else int(before),
    )
    return FeedbackPage(
        feedback=[_answer(said) for said in found], next=str(found[-1].id) if len(found) == limit else None
    )


def _answer(said: Said) -> FeedbackAnswer:
    return FeedbackAnswer(
        id=str(said.id),
        task_id=str(said.task_id),
        kind=said.kind,  # type: ignore[arg-type] # the store holds no other
        output_id=None if said.output_id is None else str(said.output_id),
        value=said.value,
        over=[str(other) for other in said.over],
        words=said.words,
        created_at=said.created_at,
    )
