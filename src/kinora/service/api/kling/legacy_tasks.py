"""Queries and lists of the legacy family: each product's path lists what was made there."""

from __future__ import annotations

from typing import Any

from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.listing import one, page_of
from kinora.service.api.kling.showing import Shower
from kinora.service.errors import Invalid

__all__ = ["listed", "nothing", "queried", "whole"]

PAGES = (1, 1000)
SIZES = (1, 500)


def queried(call: Call) -> dict[str, Any]:
    """One task, by its id or its external id. The path may be another product's: ids are the account's."""
    task = one(call.service.database, call.account_id, call.path["task_id"])
    return Shower(call.service, call.base).legacy(task)


def listed(call: Call) -> list[dict[str, Any]]:
    """A page of the path's tasks, newest first."""
    page, size = whole(call, "pageNum", 1, PAGES), whole(call, "pageSize", 30, SIZES)
    shower = Shower(call.service, call.base)
    tasks = page_of(call.service.database, call.account_id, call.route, limit=size, offset=(page - 1) * size)
    return [shower.legacy(task) for task in tasks]


def nothing(call: Call) -> list[dict[str, Any]]:
    """A list with nothing in it, of what this service does not have."""
    whole(call, "pageNum", 1, PAGES)
    return []


def whole(call: Call, name: str, default: int, between: tuple[int, int]) -> int:
    """A whole number of the query; raises `Invalid`."""
    told = call.query.get(name, "").strip()
    low, high = between
    if not told:
        return default
    if not (told.isascii() and told.isdigit() and len(told) <= 9 and low <= int(told) <= high):
        raise Invalid(f"{name} is a whole number from {low} to {high}, not {told[:40]!r}.", field=name)
    return int(told)
