"""What tasks cost."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.conditions import Continue, Region
from kinora.core.materials import Footage, Mask
from kinora.core.request import Request
from kinora.service.catalogue import Card, Catalogue
from kinora.service.prices import price


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(("tiny", "stub"))


@pytest.fixture(scope="module", params=["tiny", "stub"])
def card(request: pytest.FixtureRequest, catalogue: Catalogue) -> Card:
    return catalogue.card(request.param)


@pytest.mark.parametrize(
    ("quality", "seconds", "units"),
    [
        ("draft", 5, 15),
        ("standard", 5, 30),
        ("pro", 5, 40),
        ("standard", 10, 60),
        ("standard", 0.7, 5),  # 4.2
        ("draft", 1.1, 4),  # 3.3
        ("pro", 0.25, 2),
        ("standard", 600, 3600),
    ],
)
def test_a_film_costs_by_its_second(catalogue: Catalogue, card: Card, quality: str, seconds: float, units: int) -> None:
    plan = catalogue.plan(Request(prompt="a ball", seconds=seconds, quality=quality), card)
    assert price("text_to_video", card, plan, quality) == units


def test_no_length_costs_a_unit_more_for_how_floats_are_written(catalogue: Catalogue, card: Card) -> None:
    for tenths in range(3, 200):
        plan = catalogue.plan(Request(prompt="a ball", seconds=tenths / 10, quality="draft"), card)
        assert price("text_to_video", card, plan, "draft") == -(-3 * tenths // 10)


@pytest.mark.parametrize(("quality", "count", "units"), [("draft", 1, 8), ("standard", 3, 24), ("pro", 9, 144)])
def test_a_picture_has_one_price(catalogue: Catalogue, card: Card, quality: str, count: int, units: int) -> None:
    plan = catalogue.plan(Request(prompt="a ball", quality=quality), card, images=count)
    assert price("text_to_image", card, plan, quality, count) == units


def test_what_is_new_is_paid_for(catalogue: Catalogue) -> None:
    card = catalogue.card("stub")
    clip = Clip(frames_FHWC=np.zeros((9, 64, 64, 3), np.uint8), frame_rate=1.0)
    footage = Footage.of(clip)
    longer = Request(prompt="a ball", seconds=4, conditions=(Continue(footage=footage),))
    assert price("extend", card, catalogue.plan(longer, card), "standard") == 24
    mask = Mask.of(np.ones((64, 64), np.bool_))
    edited = Request(prompt="a ball", seconds=4, conditions=(Region(footage=footage, mask=mask),))
    assert price("edit", card, catalogue.plan(edited, card), "standard") == 54
