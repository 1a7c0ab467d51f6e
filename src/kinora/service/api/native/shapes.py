"""What bodies and paths of the native format share."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Before", "Digest", "DigestPath", "Done", "Id", "IdPath", "Limit", "Name", "Shape", "Url", "base_of"]


class Shape(BaseModel):
    """Base of all bodies: what is not named is refused, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


ID = r"^([1-9][0-9]{0,17}|[1-8][0-9]{18})$"
Id = Annotated[str, StringConstraints(pattern=ID)]
"""An id on the wire: a decimal number of up to 19 digits as text, since JavaScript rounds such numbers."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The sha256 of a stored file: what an asset is called."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A line of text for people."""
Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://[^\s\x00-\x1f]+$")]
"""An address to be called; which ones may be is looked at when it is."""

IdPath = Annotated[str, Path(pattern=ID, description="Its id: a decimal number as text.")]
DigestPath = Annotated[
    str, Path(pattern=r"^[0-9a-f]{64}$", description="The file's sha256 in small hexadecimal digits.")
]
Limit = Annotated[int, Query(ge=1, le=200, description="How many to answer with at most.")]
Before = Annotated[str | None, Query(pattern=ID, description="Answer with those older than this id: `next` of a page.")]


class Done(Shape):
    """It is done."""

    ok: Literal[True] = Field(default=True, description="Always true; what went wrong is told as an error.")


def base_of(request: Request) -> str:
    """How clients reach us, without a slash at its end: the public address where one is set, else as this one did."""
    said: str = request.app.state.service.settings.public_url or str(request.base_url)
    return said.rstrip("/")
