"""Distances between solids, and what a contact does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kinora.world.collisions import bounce_apart, contact, obstacle_contact, rest_height
from kinora.world.physics import Mover, start
from kinora.world.scene import Body

BALL = Body(shape="sphere", colour="red", size="medium", material="matte")


def placed(
    shape: str, x: float, y: float = 0.0, *, size: str = "medium", yaw: float = 0.0, z: float | None = None
) -> Mover:
    body = replace(BALL, shape=shape, size=size, yaw=yaw)
    return start(replace(body, position=(x, y, body.radius if z is None else z)), water=False)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (placed("cylinder", 0), placed("cylinder", 2), 1.0),
        (placed("cylinder", 0), placed("cone", 0, 3), 2.0),
        (placed("cube", 0), placed("cube", 2), 1.0),
        (placed("cube", 0, yaw=math.pi / 4), placed("cube", 2), 1.5 - 0.5 * math.sqrt(2)),
        (placed("sphere", 0), placed("sphere", 2), 1.0),
        (placed("sphere", 0, size="small"), placed("sphere", 2, size="large"), math.hypot(2, 0.38) - 0.34 - 0.72),
        (placed("sphere", 0), placed("cube", 2), 1.0),
        # The ball comes in under the slope of the cone; see the next test for the geometry.
        (placed("sphere", 0), placed("cone", 2), 1.5 - 0.5 * (math.sqrt(5) - 1) / 2),
    ],
)
def test_gaps_are_those_of_the_solids(first: Mover, second: Mover, apart: float) -> None:
    there, back = contact(first, second), contact(second, first)
    assert there is not None
    assert back is not None
    assert there.gap == pytest.approx(apart, abs=2e-4)
    assert back.gap == pytest.approx(there.gap)
    assert back.normal == pytest.approx([-n for n in there.normal])


def test_a_ball_at_zero_gap_touches_the_cone_and_does_not_cut_it() -> None:
    """Distance from the ball's centre to the cone's side, a line in the plane through both axes."""
    radius, cone = 0.34, 0.72
    at_touch = cone + radius * (math.sqrt(5) - 1) / 2
    # The side runs from (cone, 0) to (0, 2 cone): x + z / 2 = cone.
    distance = (at_touch + radius / 2 - cone) / math.sqrt(1.25)
    assert distance == pytest.approx(radius)
    touch = contact(placed("sphere", 0, size="small"), placed("cone", at_touch, size="large"))
    assert touch is not None
    assert touch.gap == pytest.approx(0.0, abs=1e-4)


def test_what_is_above_does_not_touch_sideways() -> None:
    assert contact(placed("cube", 0, z=1.6), placed("cube", 0)) is None
    assert contact(placed("cube", 0, z=1.4), placed("cube", 0)) is not None
    assert obstacle_contact(placed("cube", 0, z=2.1), (0.4, 0.0), 0.3, 1.5) is None


def test_landing_places() -> None:
    table = placed("cube", 0, size="large")
    over, beside = placed("cylinder", 0.9, z=3.0), placed("cylinder", 1.4, z=3.0)
    assert rest_height(over, [table, over]) == pytest.approx(1.44)
    assert rest_height(beside, [table, beside]) == 0.0
    assert rest_height(placed("cylinder", 0.9, z=0.6), [table]) == 0.0


def test_a_bounce_undoes_overlap_by_mass_and_leaves_parting_bodies_alone() -> None:
    light, heavy = placed("cylinder", 0, size="small"), placed("cylinder", 1.0, size="large")
    light.velocity = [-1.0, 0.0, 0.0]
    touch = contact(light, heavy)
    assert touch is not None
    assert touch.gap == pytest.approx(-0.06)
    bounce_apart(light, heavy, touch)
    assert light.velocity == [-1.0, 0.0, 0.0]
    assert heavy.position[0] - light.position[0] == pytest.approx(1.06)
    assert (heavy.position[0] - 1.0) / -light.position[0] == pytest.approx(light.mass / heavy.mass)
