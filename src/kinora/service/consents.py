"""Consents: who agreed that a picture or film of them is used, as the account's holder states it.

A record is never changed but for its end. What Kinora made itself shows nobody and needs none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from kinora.service.errors import Invalid, Missing
from kinora.service.store import Database, new_id, now_ms, tables

__all__ = ["Consent", "Consents"]

LAST_ID = 2**63 - 1
"""What the databases hold; a larger number is nobody's."""
LONGEST_NAME = 200
LONGEST_STATEMENT = 2000
_DIGEST = re.compile("[0-9a-f]{64}")
_T = tables.consents


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One person's agreement to the use of one asset; times in milliseconds."""

    id: int
    account_id: int
    digest: str
    person: str
    statement: str
    created_at: int
    revoked_at: int | None


class Consents:
    """The consents of accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, account_id: int, digest: str, person: str, statement: str) -> Consent:
        """Record that `person` agreed, in the words of `statement`.

        Raises:
            Invalid: a name or statement that is empty or too long.
            Missing: no such asset in the account.
        """
        person, statement = person.strip(), statement.strip()
        if not 1 <= len(person) <= LONGEST_NAME:
            raise Invalid(f"The name of who agreed must have 1 to {LONGEST_NAME} characters.", field="person")
        if not 1 <= len(statement) <= LONGEST_STATEMENT:
            raise Invalid(f"The statement must have 1 to {LONGEST_STATEMENT} characters.", field="statement")
        if not _DIGEST.fullmatch(digest):
            raise Invalid("The digest of an asset is 64 hexadecimal digits.", field="digest")
        consent = Consent(
            id=new_id(),
            account_id=account_id,
            digest=digest,
            person=person,
            statement=statement,
            created_at=now_ms(),
            revoked_at=None,
        )
        assets = tables.assets.c
        with self._database.write() as c:
            there = select(1).where(assets.account_id == account_id, assets.digest == digest)
            if c.execute(there).first() is None:
                raise Missing(f"There is no asset {digest} in this account; upload it first.")
            c.execute(insert(_T).values(**vars(consent)))
        return consent

    def covers(self, account_id: int, digest: str) -> bool:
        """Whether the asset may be used as a likeness: somebody agreed and did not take it back, or Kinora made it."""
        assets = tables.assets.c
        agreed = select(1).where(_T.c.account_id == account_id, _T.c.digest == digest, _T.c.revoked_at.is_(None))
        ours = select(1).where(assets.account_id == account_id, assets.digest == digest, assets.ours)
        with self._database.read() as c:
            return c.execute(agreed.limit(1)).first() is not None or c.execute(ours).first() is not None

    def revoke(self, account_id: int, consent_id: int) -> Consent:
        """Take a consent back; the record stays. A second time changes nothing. Raises `Missing`."""
        mine = (_T.c.account_id == account_id, _T.c.id == consent_id)
        row = None
        if 0 <= consent_id <= LAST_ID:
            with self._database.write() as c:
                c.execute(update(_T).where(*mine, _T.c.revoked_at.is_(None)).values(revoked_at=now_ms()))
                row = c.execute(select(_T).where(*mine)).one_or_none()
        if row is None:
            raise Missing(f"There is no consent {consent_id} in this account.")
        return _consent(row)

    def page(
        self, account_id: int, *, digest: str | None = None, limit: int = 30, before: int | None = None
    ) -> list[Consent]:
        """The account's consents, the newest first; `before` is the last id of the page before."""
        rows = select(_T).where(_T.c.account_id == account_id).order_by(_T.c.id.desc()).limit(limit)
        if digest is not None:
            rows = rows.where(_T.c.digest == digest)
        if before is not None:
            rows = rows.where(_T.c.id < min(before, LAST_ID))
        with self._database.read() as c:
            return [_consent(row) for row in c.execute(rows)]


def _consent(row: Row[Any]) -> Consent:
    return Consent(**row._mapping)
