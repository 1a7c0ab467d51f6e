"""The plans: how many units an account gets, how many tasks it may have under way, and its share of the machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

__all__ = ["PLANS", "Due", "Plan", "due"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an account of this plan may do."""

    name: str
    title: str
    weight: int
    """Its share of the machines beside others that wait: twice the weight, twice the tasks."""
    video_slots: int
    """Film tasks that have not ended, at the same time."""
    image_slots: int
    """Pictures of tasks that have not ended; a task for `n` pictures takes `n`."""
    daily_units: int = 0
    """Granted on a day's first use; over at the end of the day (UTC)."""
    monthly_units: int = 0
    """Granted on a month's first use; over at the end of the month (UTC)."""
    requests_per_minute: int = 600


# Units a day and a month are those that Kling's membership gives (free: 66 a day; 660, 3,000, 8,000, 26,000 a month),
# and so is one film at a time for free accounts. One task asks for up to nine pictures: the least for pictures.
_PLANS = (
    Plan(
        name="free", title="Free", weight=1, video_slots=1, image_slots=9, daily_units=66, requests_per_minute=120,
    ),
    Plan(
        name="standard", title="Standard", weight=2, video_slots=3, image_slots=9, monthly_units=660,
        requests_per_minute=300,
    ),
    Plan(name="pro", title="Pro", weight=4, video_slots=5, image_slots=18, monthly_units=3_000),
    Plan(
        name="premier", title="Premier", weight=6, video_slots=10, image_slots=36, monthly_units=8_000,
        requests_per_minute=1_200,
    ),
    Plan(
        name="ultra", title="Ultra", weight=8, video_slots=20, image_slots=72, monthly_units=26_000,
        requests_per_minute=2_400,
    ),
    # The operator's own: as good as no limits.
    Plan(
        name="house", title="House", weight=8, video_slots=100_000, image_slots=100_000, monthly_units=1_000_000_000,
        requests_per_minute=1_000_000,
    ),
)  # fmt: skip

PLANS: Mapping[str, Plan] = MappingProxyType({plan.name: plan for plan in _PLANS})


@dataclass(frozen=True, kw_only=True)
class Due:
    """A plan's grant of one period: `source` and `period` name it, so that it is given once."""

    source: str
    period: str
    amount: int
    expires_at: int
    """Milliseconds since 1970: the first moment after the period."""


def due(plan: Plan, now: int) -> Iterator[Due]:
    """The grants of the day and the month in which `now` (milliseconds since 1970) lies, both by UTC."""
    day = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if plan.daily_units:
        yield Due(
            source=f"plan:daily:{plan.name}", period=f"{day:%Y-%m-%d}", amount=plan.daily_units,
            expires_at=_ms(day + timedelta(days=1)),
        )  # fmt: skip
    if plan.monthly_units:
        after = day.replace(day=1) + timedelta(days=32)
        yield Due(
            source=f"plan:monthly:{plan.name}", period=f"{day:%Y-%m}", amount=plan.monthly_units,
            expires_at=_ms(after.replace(day=1)),
        )  # fmt: skip


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
