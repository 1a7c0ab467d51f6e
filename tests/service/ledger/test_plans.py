"""What the plans grant, and when a day and a month end."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from kinora.service.plans import PLANS, due
from kinora.service.settings import Settings


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_the_plans_there_are() -> None:
    assert list(PLANS) == ["free", "standard", "pro", "premier", "ultra", "house"]
    assert all(name == plan.name for name, plan in PLANS.items())
    units = {name: (plan.daily_units, plan.monthly_units) for name, plan in PLANS.items() if name != "house"}
    # Kling's membership, as far as it is published.
    assert units == {
        "free": (66, 0), "standard": (0, 660), "pro": (0, 3000), "premier": (0, 8000), "ultra": (0, 26000),
    }  # fmt: skip
    assert PLANS["free"].video_slots == 1
    assert all(plan.image_slots >= 9 for plan in PLANS.values()), "one task may ask for nine pictures"


def test_every_plan_is_labelled_unless_the_operator_says_otherwise() -> None:
    assert all(Settings().labels(name) for name in PLANS)
    assert [Settings(unlabelled="house, ultra").labels(name) for name in PLANS] == [True] * 4 + [False] * 2


def test_higher_plans_have_no_less() -> None:
    plans = list(PLANS.values())
    for lower, higher in pairwise(plans):
        for field in ("weight", "video_slots", "image_slots", "requests_per_minute", "monthly_units"):
            assert getattr(lower, field) <= getattr(higher, field), (lower.name, higher.name, field)


@pytest.mark.parametrize(
    ("now", "period", "ends"),
    [
        (ms(2026, 11, 23), "2026-11-23", ms(2026, 11, 24)),
        (ms(2026, 11, 24) - 1, "2026-11-23", ms(2026, 11, 24)),
        (ms(2026, 12, 31, 23, 59, 59), "2026-12-31", ms(2027, 1, 1)),
        (ms(2028, 2, 28, 12), "2028-02-28", ms(2028, 2, 29)),
        (ms(2027, 2, 28, 12), "2027-02-28", ms(2027, 3, 1)),
    ],
)
def test_a_day_ends_at_midnight_utc(now: int, period: str, ends: int) -> None:
    (grant,) = due(PLANS["free"], now)
    assert (grant.source, grant.period, grant.amount, grant.expires_at) == ("plan:daily:free", period, 66, ends)


@pytest.mark.parametrize(
    ("now", "period", "ends"),
    [
        (ms(2026, 11, 1), "2026-11", ms(2026, 12, 1)),
        (ms(2026, 12, 1) - 1, "2026-11", ms(2026, 12, 1)),
        (ms(2026, 12, 31, 23, 59, 59), "2026-12", ms(2027, 1, 1)),
        (ms(2027, 1, 31), "2027-01", ms(2027, 2, 1)),
        (ms(2028, 2, 29), "2028-02", ms(2028, 3, 1)),
        (ms(2027, 2, 1), "2027-02", ms(2027, 3, 1)),
    ],
)
def test_a_month_ends_with_its_last_day(now: int, period: str, ends: int) -> None:
    (grant,) = due(PLANS["pro"], now)
    assert (grant.source, grant.period, grant.amount, grant.expires_at) == ("plan:monthly:pro", period, 3000, ends)
