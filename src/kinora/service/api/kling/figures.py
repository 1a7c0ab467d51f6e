"""Who and what appears: reference pictures and elements, and how the prompt calls them."""

from __future__ import annotations

from collections.abc import Sequence

from kinora.core.composition import mentions
from kinora.core.conditions import Reference
from kinora.core.materials import Still
from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.lenient import Text, Wire
from kinora.service.api.kling.wording import pointed
from kinora.service.errors import Invalid, Missing
from kinora.service.materials import still_of

__all__ = ["ElementItem", "element_id_of", "element_still", "figures_of"]

LARGEST_ID = 2**53
"""Elements' ids are numbers in JSON, and JavaScript counts so far."""


class ElementItem(Wire):
    """An element by its id, a number or its digits."""

    element_id: Text
    id: Text | None = None
    """How the prompt calls it, in the standard family."""


def figures_of(
    call: Call,
    elements: Sequence[ElementItem],
    pictures: Sequence[tuple[str, Still]],
    prompts: Sequence[str],
    *,
    shown: Sequence[str] = (),
) -> tuple[tuple[Reference, ...], list[str]]:
    """References for pictures (with their names in prompts) and elements, and the prompts that point to them.

    `shown` are names of pictures and films that are in the film itself. Raises `Invalid` for an element that is not
    there, and for a prompt that points to nothing.
    """
    known = [*pictures]
    for place, item in enumerate(elements, start=1):
        known.append((item.id or f"element_{place}", element_still(call, item.element_id)))
    names = [name for name, _ in known]
    told = [pointed(prompt, names, shown) for prompt in prompts]
    said = {name for prompt in told for _, name in mentions(prompt, tuple(names))}
    return tuple(Reference(still=still, name=name if name in said else "") for name, still in known), told


def element_still(call: Call, element_id: str) -> Still:
    """An element's frontal picture: another view would be looked at as somebody else. Raises `Invalid` for an element
    that this account has not.
    """
    service = call.service
    try:
        element = service.elements.get(call.account_id, element_id_of(element_id))
        return still_of(service.assets.get(call.account_id, element.frontal or ""))
    except Missing:
        raise Invalid(
            f"There is no element {element_id[:40]} with a picture; make it with advanced-custom-elements.",
            field="element_id",
        ) from None


def element_id_of(told: str) -> int:
    """The number in an id; raises `Missing` for what is none."""
    if not (told.isascii() and told.isdigit() and len(told) <= 16 and int(told) < LARGEST_ID):
        raise Missing(f"There is no element {told!r}; ids of elements are numbers.")
    return int(told)
