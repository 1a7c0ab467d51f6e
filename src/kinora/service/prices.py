"""What a task costs, in units. The same task costs the same whoever asks, whenever, on whatever model.

    film      draft 3, standard 6, pro 8 a second that is made, the whole film rounded up
    picture   8 each, pro 16

A second counts as asked for; of footage that is worked over, each of its own. A film that goes on from another pays for
the new part alone. There is no factor for a model's size: a unit buys a result, as in the apps people come from, and
an operator serves models whose work is worth it. What a task really takes stands in its plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from kinora.core.conditions import Continue
from kinora.core.plan import Plan
from kinora.core.request import QUALITIES
from kinora.core.wording import condition_of, footage_of
from kinora.service.catalogue import Card

__all__ = ["PICTURE_UNITS", "SECOND_UNITS", "price"]

SECOND_UNITS: Mapping[str, int] = MappingProxyType(dict(zip(QUALITIES, (3, 6, 8), strict=True)))
PICTURE_UNITS: Mapping[str, int] = MappingProxyType(dict(zip(QUALITIES, (8, 8, 16), strict=True)))


def price(kind: str, card: Card, plan: Plan, quality: str, count: int = 1) -> int:
    """Units of `count` results of a kind of task (`kinora.service.tasks.KINDS`) by a plan of `card`'s model."""
    if kind == "text_to_image":
        return count * PICTURE_UNITS[quality]
    return count * math.ceil(SECOND_UNITS[quality] * _seconds(plan, card))


def _seconds(plan: Plan, card: Card) -> Fraction:
    """Seconds that are made, as a decimal number says them: 0.7 s are no hair more than that."""
    request = plan.request
    if footage_of(request) is None or condition_of(request, Continue) is not None:
        return Fraction(str(request.seconds))
    return Fraction(plan.pixels.frames) / Fraction(str(card.frame_rate))
