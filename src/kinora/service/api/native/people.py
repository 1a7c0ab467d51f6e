"""Who appears in films: consents of the people shown, and elements, characters and things to be used again."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Digest, Done, Id, IdPath, Limit, Shape
from kinora.service.consents import Consent
from kinora.service.elements import TAGS, Element

__all__ = ["router"]

router = native_router("people")

PLAIN = r"^[^\x00-\x1f\x7f]*$"
Tag = Annotated[str, StringConstraints(max_length=16)]


class ConsentWish(Shape):
    """The statement that a person shown in a picture or film agreed to its use."""

    digest: Digest = Field(description="The asset that shows the person.")
    person: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)] = Field(
        description="Who agreed."
    )
    statement: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")] = Field(
        description="What the person agreed to, in the account holder's words."
    )


class ConsentAnswer(Shape):
    """A consent as it was recorded."""

    id: Id = Field(description="The consent's id.")
    digest: Digest = Field(description="The asset that shows the person.")
    person: str = Field(description="Who agreed.")
    statement: str = Field(description="What the person agreed to.")
    created_at: int = Field(description="Milliseconds since 1970.")
    revoked_at: int | None = Field(description="When it was taken back: milliseconds since 1970.")


class ConsentPage(Shape):
    """Consents, the newest first."""

    consents: list[ConsentAnswer] = Field(description="The consents.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


class ElementWish(Shape):
    """A character or thing to be used again: a frontal picture and one to three others, or one film."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=PLAIN)] = Field(
        description="What it is called."
    )
    description: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=PLAIN)] = Field(
        description="What it looks like."
    )
    frontal: Digest | None = Field(default=None, description="A picture from the front.")
    refers: list[Digest] = Field(default=[], max_length=3, description="One to three other pictures.")
    film: Digest | None = Field(default=None, description="A film instead of pictures.")
    tags: list[Tag] = Field(default=[], max_length=8, description=f"Of {', '.join(TAGS)}.")
    voice: Annotated[str, StringConstraints(max_length=200, pattern=PLAIN)] = Field(
        default="", description="How it sounds."
    )


class ElementAnswer(Shape):
    """An element."""

    id: Id = Field(description="The element's id.")
    name: str = Field(description="What it is called.")
    description: str = Field(description="What it looks like.")
    frontal: Digest | None = Field(description="The picture from the front.")
    refers: list[Digest] = Field(description="Other pictures.")
    film: Digest | None = Field(description="The film.")
    tags: list[str] = Field(description="Its tags.")
    voice: str = Field(description="How it sounds.")
    created_at: int = Field(description="Milliseconds since 1970.")


class ElementPage(Shape):
    """Elements, the newest first."""

    elements: list[ElementAnswer] = Field(description="The elements.")
    next: int | None = Field(description="Ask with `offset` set to this for more; null when there are none.")


@router.post("/consents", operation_id="give_consent", status_code=201)
def give_consent(service: Serving, caller: Signed, wish: ConsentWish) -> ConsentAnswer:
    """Record that a person shown in an asset agreed to its use."""
    return _consent(service.consents.give(caller.account.id, wish.digest, wish.person, wish.statement))


@router.get("/consents", operation_id="list_consents")
def list_consents(
    service: Serving,
    caller: Signed,
    digest: Annotated[Digest | None, Query(description="Of this asset alone.")] = None,
    before: Before = None,
    limit: Limit = 30,
) -> ConsentPage:
    """The account's consents, those taken back included, the newest first."""
    found = service.consents.page(
        caller.account.id, digest=digest, limit=limit, before=None if before is None else int(before)
    )
    return ConsentPage(
        consents=[_consent(one) for one in found], next=str(found[-1].id) if len(found) == limit else None
    )


@router.delete("/consents/{consent_id}", operation_id="revoke_consent")
def revoke_consent(service: Serving, caller: Signed, consent_id: IdPath) -> ConsentAnswer:
    """Take a consent back; the record stays, and the asset is not used as a likeness any more."""
    return _consent(service.consents.revoke(caller.account.id, int(consent_id)))


@router.post("/elements", operation_id="create_element", status_code=201)
def create_element(service: Serving, caller: Signed, wish: ElementWish) -> ElementAnswer:
    """Make an element of assets."""
    return _element(service.elements.create(caller.account.id, **wish.model_dump()))


@router.get("/elements", operation_id="list_elements")
def list_elements(
    service: Serving,
    caller: Signed,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="How many to leave out: `next` of a page.")] = 0,
    limit: Limit = 30,
) -> ElementPage:
    """The account's elements, the newest first."""
    found = service.elements.page(caller.account.id, limit=limit, offset=offset)
    return ElementPage(elements=[_element(one) for one in found], next=offset + limit if len(found) == limit else None)


@router.get("/elements/{element_id}", operation_id="get_element")
def get_element(service: Serving, caller: Signed, element_id: IdPath) -> ElementAnswer:
    """One element."""
    return _element(service.elements.get(caller.account.id, int(element_id)))


@router.delete("/elements/{element_id}", operation_id="delete_element")
def delete_element(service: Serving, caller: Signed, element_id: IdPath) -> Done:
    """Delete an element; tasks that use it are not touched."""
    service.elements.delete(caller.account.id, int(element_id))
    return Done()


def _consent(consent: Consent) -> ConsentAnswer:
    told = {name: getattr(consent, name) for name in ConsentAnswer.model_fields}
    return ConsentAnswer(**{**told, "id": str(consent.id)})


def _element(element: Element) -> ElementAnswer:
    told = {name: getattr(element, name) for name in ElementAnswer.model_fields}
    return ElementAnswer(**{**told, "id": str(element.id), "refers": list(element.refers), "tags": list(element.tags)})
