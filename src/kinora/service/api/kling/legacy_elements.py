"""Elements: people and things that an account keeps, to appear in its films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from kinora.service.api.kling.calling import Call
from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.kling.figures import element_id_of
from kinora.service.api.kling.intake import picture
from kinora.service.api.kling.legacy_tasks import PAGES, SIZES, whole
from kinora.service.api.kling.lenient import Identifier, Text, Wire
from kinora.service.api.kling.showing import Shower
from kinora.service.errors import Invalid, Missing

if TYPE_CHECKING:
    from kinora.service.elements import Element

__all__ = ["DELETES", "create", "delete", "listed", "queried"]

DELETES = ("/general/delete-advanced-elements", "/general/delete-elements")


class ReferItem(Wire):
    """Another picture of the element."""

    image_url: Text


class Images(Wire):
    """The element's pictures."""

    frontal_image: Text
    refer_images: Annotated[tuple[ReferItem, ...], Field(min_length=1, max_length=3)]


class Tag(Wire):
    """One of Kling's tags, kept as it is."""

    tag_id: Text


class NewElement(Wire):
    """`POST /v1/general/advanced-custom-elements`."""

    element_name: Annotated[Text, Field(max_length=20)]
    element_description: Annotated[Text, Field(max_length=100)] = ""
    reference_type: Text = "image_refer"
    element_image_list: Images | None = None
    element_voice_id: Text | None = None
    tag_list: tuple[Tag, ...] = ()
    external_task_id: Identifier | None = None


class Gone(Wire):
    """The body of a delete."""

    element_id: Text


def create(call: Call) -> dict[str, Any]:
    """Keep an element. It is there at once: the task in the answer is over already."""
    body = call.read(NewElement)
    if body.reference_type != "image_refer":
        raise Invalid("Elements are made of pictures here; send reference_type image_refer.", field="reference_type")
    if body.element_voice_id is not None:
        raise Invalid(f"Voice id not found: {body.element_voice_id}; films here are silent.", field="element_voice_id")
    images = body.element_image_list
    if images is None:
        raise Malformed("element_image_list is missing; give a frontal_image.", field="element_image_list")
    frontal = picture(call, images.frontal_image, "element_image_list.frontal_image")
    refers = [
        picture(call, item.image_url, f"element_image_list.refer_images[{place}]").digest
        for place, item in enumerate(images.refer_images)
    ]
    element = call.service.elements.create(
        call.account_id, name=body.element_name, description=body.element_description or body.element_name,
        frontal=frontal.digest, refers=refers, tags=[tag.tag_id for tag in body.tag_list],
        wire={"external_id": body.external_task_id},
    )  # fmt: skip
    return _shown(call, element)


def queried(call: Call) -> dict[str, Any]:
    """An element, as the result of its task."""
    return _shown(call, call.service.elements.get(call.account_id, element_id_of(call.path["task_id"])))


def listed(call: Call) -> list[dict[str, Any]]:
    """A page of elements, newest first."""
    page, size = whole(call, "pageNum", 1, PAGES), whole(call, "pageSize", 30, SIZES)
    elements = call.service.elements.page(call.account_id, limit=size, offset=(page - 1) * size)
    return [_shown(call, element) for element in elements]


def delete(call: Call) -> dict[str, Any]:
    """Forget an element; films made with it stay."""
    told = call.read(Gone).element_id
    try:
        call.service.elements.delete(call.account_id, element_id_of(told))
    except Missing:
        raise Invalid(f"There is no element {told[:40]}; it may be deleted already.", field="element_id") from None
    return {"task_id": str(int(told)), "task_status": "succeed"}


def _shown(call: Call, element: Element) -> dict[str, Any]:
    shower = Shower(call.service, call.base)
    pictures = [element.frontal or "", *element.refers]
    urls = [shower.link(call.account_id, digest, f"{element.id}-{place}.png") for place, digest in enumerate(pictures)]
    external = element.wire.get("external_id")
    told = {
        "element_id": element.id, "element_name": element.name, "element_description": element.description,
        "reference_type": "image_refer",
        "element_image_list": {"frontal_image": urls[0], "refer_images": [{"image_url": url} for url in urls[1:]]},
        "tag_list": [{"tag_id": tag} for tag in element.tags], "owned_by": str(element.account_id),
        "status": "succeed",
    }  # fmt: skip
    return {
        "task_id": str(element.id), "task_status": "succeed", "task_status_msg": "",
        "task_info": {"external_task_id": external} if external else {}, "created_at": element.created_at,
        "updated_at": element.created_at, "final_unit_deduction": "0", "task_result": {"elements": [told]},
    }  # fmt: skip
