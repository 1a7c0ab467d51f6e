"""`GET /tasks` by ids and `POST /tasks` page by page: all of the account's tasks, whichever way they came in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.lenient import Text, Wire
from kinora.service.api.kling.listing import found, number_of
from kinora.service.api.kling.showing import Shower
from kinora.service.errors import Invalid, Missing
from kinora.service.store import now_ms
from kinora.service.tasks import KINDS
from kinora.service.tasks.task import IMAGES

__all__ = ["queried", "search"]

MOST_IDS = 100
DEFAULT_DAYS_MS = 30 * 86_400_000
STATES = {
    "submitted": ("submitted",),
    "processing": ("processing",),
    "succeeded": ("succeed",),
    "failed": ("failed", "cancelled"),
}
PRODUCTS: dict[str, tuple[str, ...]] = {
    "image": IMAGES, "video": tuple(kind for kind in KINDS if kind not in IMAGES), "try_on": (),
}  # fmt: skip
Time = Annotated[int, Field(ge=0, lt=2**50)]


class Filter(Wire):
    """Values that a field may have."""

    key: Text
    values: tuple[Text, ...] = ()


class Search(Wire):
    """The body of `POST /tasks`."""

    start_time: Time | None = None
    end_time: Time | None = None
    cursor: Text | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    filters: tuple[Filter, ...] = ()


def queried(call: Call) -> list[dict[str, Any]]:
    """The tasks with `task_ids` or `external_task_ids`, in the order asked for; unknown ones are left out."""
    ids, external = _ids(call, "task_ids"), _ids(call, "external_task_ids")
    if bool(ids) == bool(external):
        raise Malformed(
            "Give either task_ids or external_task_ids, several with commas between them.", field="task_ids"
        )
    known = found(call.service.database, call.account_id, ids=ids, external_ids=external)
    place = {told: index for index, told in reversed(list(enumerate(ids or external)))}
    known.sort(key=lambda task: place[str(task.id) if ids else str(task.external_id)])
    shower = Shower(call.service, call.base)
    return [shower.standard(task) for task in known]


def search(call: Call) -> dict[str, Any]:
    """A page of tasks, newest first; the cursor leads to the next one and goes before times."""
    body = call.read(Search)
    states, kinds = _chosen(body, "status", STATES), _chosen(body, "product_type", PRODUCTS)
    end = now_ms() if body.end_time is None else body.end_time
    start = max(0, end - DEFAULT_DAYS_MS) if body.start_time is None else body.start_time
    if end < start:
        raise Invalid(f"end_time {end} lies before start_time {start}; swap them.", field="end_time")
    before, until, since = _place(body.cursor) if body.cursor else (None, end, start)
    tasks = []
    if states != () and kinds != ():
        tasks = call.service.tasks.page(
            call.account_id, kinds=kinds or (), states=states or (), limit=body.limit + 1, before=before, since=since,
            until=until,
        )  # fmt: skip
    shown, more = tasks[: body.limit], len(tasks) > body.limit
    shower = Shower(call.service, call.base)
    return {
        "result": [shower.standard(task) for task in shown],
        "count": len(shown),
        "next_cursor": f"{shown[-1].id}-{until}-{since}" if more else "",
        "has_more": more,
    }


def _chosen(body: Search, key: str, among: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """What a filter lets through; None where there is no such filter."""
    told = [value for one in body.filters if one.key == key for value in one.values]
    unknown = [one.key for one in body.filters if one.key not in ("status", "product_type")]
    if unknown:
        raise Invalid(f"There is no filter {unknown[0]!r}; filter by status or product_type.", field="filters")
    for value in told:
        if value not in among:
            raise Invalid(f"There is no {key} {value!r}; choose {', '.join(among)}.", field="filters")
    return tuple(dict.fromkeys(state for value in told for state in among[value])) if told else None


def _place(cursor: str) -> tuple[int, int, int]:
    """The last task shown, and the times of the first page."""
    try:
        before, until, since = (number_of(part) for part in cursor.split("-"))
    except (Missing, ValueError):
        raise Invalid(
            f"{cursor[:64]!r} is no cursor of this service; take next_cursor as it is.", field="cursor"
        ) from None
    return before, until, since


def _ids(call: Call, name: str) -> list[str]:
    told = [part.strip() for part in call.query.get(name, "").split(",") if part.strip()]
    if len(told) > MOST_IDS:
        raise Invalid(f"{name} has {len(told)} ids; ask for at most {MOST_IDS} at once.", field=name)
    return told
