"""Elements: characters and things that an account uses again, each a few pictures (or one film) under a name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from kinora.service.errors import Invalid, Missing
from kinora.service.store import Database, now_ms, tables

__all__ = ["TAGS", "Element", "Elements"]

TAGS = {
    "o_101": "hottest",
    "o_102": "character",
    "o_103": "animal",
    "o_104": "item",
    "o_105": "costume",
    "o_106": "scene",
    "o_107": "effect",
    "o_108": "others",
}
"""Kling's names of tags."""
LONGEST_NAME = 20
LONGEST_DESCRIPTION = 100
MOST_REFERRED = 3
MOST_TAGS = 8
LONGEST_VOICE = 200
APART_BITS = 11
"""Milliseconds before these bits: below 2**53 until 2109, so that JavaScript reads an id as a number."""
LAST_ID = 2**53 - 1
TRIES = 5
_T = tables.elements


@dataclass(frozen=True, kw_only=True)
class Element:
    """`frontal` and `refers` are digests of pictures, `film` that of a film; an element has the former or the latter.
    `wire` is what a wire format wants to show again.
    """

    id: int
    account_id: int
    name: str
    description: str
    frontal: str | None = None
    refers: tuple[str, ...] = ()
    film: str | None = None
    tags: tuple[str, ...] = ()
    voice: str = ""
    wire: Mapping[str, Any] = field(default_factory=dict)
    created_at: int
    deleted_at: int | None = None


class Elements:
    """The elements of accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        account_id: int,
        *,
        name: str,
        description: str,
        frontal: str | None = None,
        refers: Sequence[str] = (),
        film: str | None = None,
        tags: Sequence[str] = (),
        voice: str = "",
        wire: Mapping[str, Any] | None = None,
    ) -> Element:
        """A new element from assets of the account: a frontal picture and one to three others, or one film.

        Raises:
            Invalid: a text, a number of pictures or a tag that breaks a rule, or an asset of another kind.
            Missing: an asset that the account does not have.
        """
        _check_texts(name, description, voice, tags)
        if film is None and (frontal is None or not 1 <= len(refers) <= MOST_REFERRED):
            raise Invalid(f"An element needs a frontal picture and 1 to {MOST_REFERRED} others.", field="refers")
        if film is not None and (frontal is not None or refers):
            raise Invalid("An element is made from pictures or from one film, not from both.", field="film")
        body = {
            "frontal": frontal,
            "refers": list(refers),
            "film": film,
            "tags": list(dict.fromkeys(tags)),
            "voice": voice,
            "wire": dict(wire or {}),
        }
        for tries_left in reversed(range(TRIES)):
            row = {"id": _new_id(), "account_id": account_id, "name": name.strip(), "description": description.strip()}
            try:
                with self._database.write() as c:
                    for digest in (frontal, *refers):
                        _check_asset(c, account_id, digest, "image")
                    _check_asset(c, account_id, film, "video")
                    c.execute(insert(_T).values(**row, body=body, created_at=now_ms()))
            except IntegrityError:  # two in one millisecond, once in a thousand such pairs
                if not tries_left:
                    raise
            else:
                break
        return self.get(account_id, int(str(row["id"])))

    def get(self, account_id: int, element_id: int) -> Element:
        """An element of the account. Raises `Missing`, of a deleted one and of another account's too."""
        mine = (_T.c.id == element_id, _T.c.account_id == account_id, _T.c.deleted_at.is_(None))
        row = None
        if 0 <= element_id <= LAST_ID:
            with self._database.read() as c:
                row = c.execute(select(_T).where(*mine)).one_or_none()
        if row is None:
            raise Missing(f"There is no element {element_id} in this account.")
        return _element(row)

    def page(self, account_id: int, *, limit: int = 30, offset: int = 0) -> list[Element]:
        """The account's elements, the newest first."""
        mine = (_T.c.account_id == account_id, _T.c.deleted_at.is_(None))
        rows = select(_T).where(*mine).order_by(_T.c.id.desc()).limit(limit).offset(offset)
        with self._database.read() as c:
            return [_element(row) for row in c.execute(rows)]

    def count(self, account_id: int) -> int:
        """How many the account has."""
        mine = (_T.c.account_id == account_id, _T.c.deleted_at.is_(None))
        with self._database.read() as c:
            return int(c.execute(select(func.count()).select_from(_T).where(*mine)).scalar_one())

    def delete(self, account_id: int, element_id: int) -> Element:
        """Delete an element; tasks that use it already are not touched. Raises `Missing`."""
        element = self.get(account_id, element_id)
        with self._database.write() as c:
            c.execute(update(_T).where(_T.c.id == element.id).values(deleted_at=now_ms()))
        return element


def _check_texts(name: str, description: str, voice: str, tags: Sequence[str]) -> None:
    for text, most, what in ((name, LONGEST_NAME, "name"), (description, LONGEST_DESCRIPTION, "description")):
        if not 1 <= len(text.strip()) <= most:
            raise Invalid(f"The {what} of an element must have 1 to {most} characters, not {len(text)}.", field=what)
    if len(voice) > LONGEST_VOICE:
        raise Invalid(f"The voice of an element is described in at most {LONGEST_VOICE} characters.", field="voice")
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown or len(tags) > MOST_TAGS:
        raise Invalid(f"Tags are at most {MOST_TAGS} of {', '.join(TAGS)}.", field="tags")


def _check_asset(c: Connection, account_id: int, digest: str | None, kind: str) -> None:
    if digest is None:
        return
    assets = tables.assets.c
    found = c.execute(select(assets.kind).where(assets.account_id == account_id, assets.digest == digest)).scalar()
    if found is None:
        raise Missing(f"There is no asset {digest} in this account; upload it first.")
    if found != kind:
        raise Invalid(f"The asset {digest} is {found}, not {kind}.", field="film" if kind == "video" else "refers")


def _new_id() -> int:
    return now_ms() << APART_BITS | secrets.randbits(APART_BITS)


def _element(row: Row[Any]) -> Element:
    body = row.body
    return Element(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        description=row.description,
        frontal=body["frontal"],
        refers=tuple(body["refers"]),
        film=body["film"],
        tags=tuple(body["tags"]),
        voice=body["voice"],
        wire=body["wire"],
        created_at=row.created_at,
        deleted_at=row.deleted_at,
    )
