"""Creates that a client sends again are accepted once.

OpenAI's client names no idempotency key. It repeats a request up to twice when its connection breaks or the answer is
408, 409, 429 or 5xx, with the same content and `x-stainless-retry-count` raised. So every create that comes from it is
accepted under a key of our making, which says what was asked; a repetition takes the newest such key whose answer did
not go out. When an answer has gone out its key is forgotten: asking for the same again gives another video, as meant.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from sqlalchemy import delete, select

from kinora.service.errors import Invalid
from kinora.service.store import now_ms
from kinora.service.store.tables import answers

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["Once", "once"]

RETRY_COUNT = "x-stainless-retry-count"
PREFIX = "openai"
WINDOW_MS = 20 * 60 * 1000
"""A client waits 600 s for an answer, and asks three times; who comes later means another video."""
LONGEST_KEY = 255 - 64


@dataclass(frozen=True, kw_only=True)
class Once:
    """What makes a create happen once: its key (None: whoever sends it again gets another), and what was asked."""

    account_id: int
    key: str | None
    mark: str
    own: bool
    """Whether the key is of our making, to be forgotten when the answer has gone out."""

    def forget(self, service: Service) -> None:
        """The answer went out: the same request is a new one from now on."""
        if self.own:
            with service.database.write() as c:
                c.execute(delete(answers).where(answers.c.account_id == self.account_id, answers.c.key == self.key))


def once(service: Service, account_id: int, request: Request, mark: str) -> Once:
    """How a create whose content is `mark` is told from others; raises `Invalid` for a key that is far too long."""
    named = request.headers.get("idempotency-key")
    if named:
        if len(named) > LONGEST_KEY:
            raise Invalid(f"The Idempotency-Key has {len(named)} characters; {LONGEST_KEY} are enough for any.")
        return Once(account_id=account_id, key=named, mark=mark, own=False)
    count = request.headers.get(RETRY_COUNT)
    if count is None:
        return Once(account_id=account_id, key=None, mark=mark, own=False)
    begins = f"{PREFIX}:{mark}:"
    known = None if count == "0" else _unanswered(service, account_id, begins)
    # Hexadecimal, so that no key sorts behind the end of the search.
    return Once(account_id=account_id, key=known or begins + secrets.token_hex(8), mark=mark, own=True)


def _unanswered(service: Service, account_id: int, begins: str) -> str | None:
    """The newest key of the same request whose answer did not go out."""
    with service.database.read() as c:
        found: str | None = c.execute(
            select(answers.c.key)
            .where(
                answers.c.account_id == account_id,
                answers.c.key >= begins,
                answers.c.key < begins + "g",
                answers.c.created_at >= now_ms() - WINDOW_MS,
            )
            .order_by(answers.c.created_at.desc())
            .limit(1)
        ).scalar()
    return found
