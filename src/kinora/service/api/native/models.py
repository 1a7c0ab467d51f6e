"""The models that this service makes films with."""

from __future__ import annotations

from pydantic import Field

from kinora.service.api.auth import Serving, Signed
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Shape
from kinora.service.prices import PICTURE_UNITS, SECOND_UNITS

__all__ = ["router"]

router = native_router("models")


class Size(Shape):
    """A size that a model draws."""

    aspect: str = Field(description="Width to height, such as 16:9.")
    width: int = Field(description="Pixels across.")
    height: int = Field(description="Pixels down.")


class QualityAnswer(Shape):
    """What a quality costs."""

    name: str = Field(description="draft, standard or pro.")
    units_per_second: int = Field(description="Units for a second of film.")
    units_per_picture: int = Field(description="Units for a picture.")


class ModelAnswer(Shape):
    """What a model makes, and what it obeys."""

    name: str = Field(description="What to ask for it by.")
    title: str = Field(description="What it is called.")
    version: str = Field(description="Hash of its weights.")
    default: bool = Field(description="Whether it is taken when no model is named.")
    sizes: list[Size] = Field(description="The sizes it draws.")
    frame_rate: float = Field(description="Pictures a second.")
    qualities: list[QualityAnswer] = Field(description="The qualities it knows.")
    obeys: list[str] = Field(description="Conditions it follows; others are refused.")
    needs: list[str] = Field(description="Conditions it cannot do without.")
    window_seconds: float = Field(description="The longest film in one piece.")
    most_seconds: float = Field(description="The longest film.")


class Models(Shape):
    """The models, the default first."""

    models: list[ModelAnswer] = Field(description="The models.")


@router.get("/models", operation_id="list_models")
def list_models(service: Serving, caller: Signed) -> Models:
    """The models that may be asked for, the default first."""
    return Models(
        models=[
            ModelAnswer(
                name=card.name,
                title=card.title,
                version=card.version,
                default=card is service.catalogue.default,
                sizes=[Size(aspect=aspect, width=w, height=h) for aspect, (w, h) in card.sizes.items()],
                frame_rate=card.frame_rate,
                qualities=[
                    QualityAnswer(name=name, units_per_second=SECOND_UNITS[name], units_per_picture=PICTURE_UNITS[name])
                    for name in card.qualities
                ],
                obeys=list(card.obeys),
                needs=list(card.needs),
                window_seconds=card.window_seconds,
                most_seconds=card.most_seconds,
            )
            for card in service.catalogue.cards
        ]
    )
