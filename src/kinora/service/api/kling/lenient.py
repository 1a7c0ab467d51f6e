"""Bodies as clients really send them: text for numbers and truth values, empty values for absent ones, fields that
nobody knows.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from kinora.service.api.kling.envelope import Malformed
from kinora.service.api.routes import told
from kinora.service.errors import Invalid, ServiceError

__all__ = ["Identifier", "Number", "Text", "Wire", "read"]

ABSENT = frozenset({"missing", "json_invalid"})
"""Problems of a body as a whole, told apart from values that break a rule."""


class Wire(BaseModel):
    """A part of a body. Whatever is null, empty or blank is absent; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        return {name: value for name, value in sent.items() if not _empty(value)}


Body = TypeVar("Body", bound=Wire)


def read(model: type[Body], raw: bytes) -> Body:
    """A body, whatever its content type says. Raises `Malformed` for no JSON object or a missing field, `Invalid` for
    a value that breaks a rule.
    """
    try:
        return model.model_validate_json(raw.strip() or b"{}")
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> ServiceError:
    problems = error.errors(include_url=False)
    known = told(RequestValidationError([{**problem, "loc": ("body", *problem["loc"])} for problem in problems]))
    field = known.field if isinstance(known, Invalid) else ""
    first = problems[0]
    whole = first["type"] in ABSENT or (first["type"] == "model_type" and not first["loc"])
    kind = Malformed if whole else Invalid
    return kind(known.message, field=field)


def _empty(value: Any) -> bool:
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


def _plain(text: str) -> str:
    """Text without characters that no store and no terminal takes."""
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        raise ValueError("the text holds control characters; leave them out")
    return text.strip()


Text = Annotated[str, AfterValidator(_plain)]
Identifier = Annotated[Text, Field(max_length=255)]
Number = Annotated[float, Field(allow_inf_nan=False)]
