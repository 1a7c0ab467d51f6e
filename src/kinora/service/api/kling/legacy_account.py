"""`/account/costs`: what an account was given, as resource packs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, func, select

from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.errors import Invalid
from kinora.service.store import now_ms
from kinora.service.store.tables import books, grants

__all__ = ["costs"]

ENDLESS = 253_402_300_799_000
"""The last second of the year 9999: when a pack without an end is over, for clients that read a number."""


def costs(call: Call) -> dict[str, Any]:
    """Packs that were good at some moment between two times, newest first. Raises `Malformed` without the times."""
    start, end = _moment(call, "start_time"), _moment(call, "end_time")
    if end < start:
        raise Invalid(f"end_time {end} lies before start_time {start}; swap them.", field="end_time")
    service, now = call.service, now_ms()
    left = select(func.coalesce(func.sum(books.c.balance), 0)).where(books.c.grant_id == grants.c.id).scalar_subquery()
    mine = select(grants, left.label("left")).where(
        grants.c.account_id == call.account_id,
        grants.c.created_at <= end,
        grants.c.expires_at.is_(None) | (grants.c.expires_at >= start),
    )
    with service.database.write() as c:
        service.ledger.refresh(c, call.caller.account)
        rows = c.execute(mine.order_by(grants.c.id.desc())).mappings().all()
    packs = [_pack(row, now) for row in rows]
    name = call.query.get("resource_pack_name", "").strip()
    chosen = [pack for pack in packs if not name or pack["resource_pack_name"] == name]
    return {"code": 0, "msg": "success", "resource_pack_subscribe_infos": chosen}


def _pack(row: RowMapping, now: int) -> dict[str, Any]:
    """A grant as a pack. Units that tasks under way hold are already taken from it."""
    over = row["expires_at"] is not None and row["expires_at"] <= now
    remaining = 0 if over else int(row["left"])
    return {
        "resource_pack_name": f"{row['source']} {row['period']}",
        "resource_pack_id": str(row["id"]),
        "resource_pack_type": "constant_period" if row["source"].startswith("plan:") else "decreasing_total",
        "total_quantity": float(row["amount"]),
        "remaining_quantity": float(remaining),
        "purchase_time": row["created_at"],
        "effective_time": row["created_at"],
        "invalid_time": row["expires_at"] or ENDLESS,
        "status": "expired" if over else "online" if remaining else "runOut",
    }


def _moment(call: Call, name: str) -> int:
    """A time of the query, in milliseconds since 1970."""
    told = call.query.get(name, "").strip()
    if not told:
        raise Malformed(f"{name} is missing; give it in milliseconds since 1970.", field=name)
    if not (told.isascii() and told.isdigit() and len(told) <= 15):
        raise Invalid(f"{name} is a time in milliseconds since 1970, not {told[:40]!r}.", field=name)
    return int(told)
