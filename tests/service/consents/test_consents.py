"""Recorded consents, on both databases."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from kinora.service.consents import Consents
from kinora.service.errors import Invalid, Missing
from kinora.service.store import Database, new_id, now_ms, tables

DIGEST = hashlib.sha256(b"a face").hexdigest()
OTHER = hashlib.sha256(b"another face").hexdigest()
STATEMENT = "I agree that Kinora may use this picture of me."


def _account(database: Database) -> int:
    account_id = new_id()
    values = {"name": str(account_id), "role": "member", "state": "active", "plan": "free", "language": "en"}
    with database.write() as c:
        c.execute(sa.insert(tables.accounts).values(id=account_id, **values, created_at=now_ms()))
    return account_id


def _asset(database: Database, account_id: int, digest: str, *, ours: bool = False) -> None:
    values = {"kind": "image", "origin": "upload", "name": "x.png", "media_type": "image/png", "bytes": 1, "ours": ours}
    with database.write() as c:
        c.execute(sa.insert(tables.assets).values(account_id=account_id, digest=digest, **values, created_at=now_ms()))


def test_given_covers_revoked_does_not_and_the_record_stays(database: Database) -> None:
    consents, account_id = Consents(database), _account(database)
    _asset(database, account_id, DIGEST)
    assert not consents.covers(account_id, DIGEST)
    given = consents.give(account_id, DIGEST, " Ada Lovelace ", STATEMENT)
    assert (given.person, given.statement, given.revoked_at) == ("Ada Lovelace", STATEMENT, None)
    assert consents.covers(account_id, DIGEST)
    assert not consents.covers(account_id, OTHER)
    revoked = consents.revoke(account_id, given.id)
    assert revoked.revoked_at is not None
    assert not consents.covers(account_id, DIGEST)
    assert consents.revoke(account_id, given.id) == revoked  # once and for all
    assert consents.page(account_id) == [revoked]


def test_of_two_consents_one_is_enough(database: Database) -> None:
    consents, account_id = Consents(database), _account(database)
    _asset(database, account_id, DIGEST)
    first = consents.give(account_id, DIGEST, "Ada", STATEMENT)
    second = consents.give(account_id, DIGEST, "Ada", STATEMENT)
    consents.revoke(account_id, first.id)
    assert consents.covers(account_id, DIGEST)
    assert [each.id for each in consents.page(account_id, digest=DIGEST)] == [second.id, first.id]
    assert [each.id for each in consents.page(account_id, limit=1, before=second.id)] == [first.id]
    assert consents.page(account_id, digest=OTHER) == []


def test_another_account_s_consent_is_nobody_s(database: Database) -> None:
    consents, one, two = Consents(database), _account(database), _account(database)
    for account_id in (one, two):
        _asset(database, account_id, DIGEST)
    given = consents.give(one, DIGEST, "Ada", STATEMENT)
    assert not consents.covers(two, DIGEST)
    assert consents.page(two) == []
    with pytest.raises(Missing):
        consents.revoke(two, given.id)
    for nobody in (given.id + 1, 0, -1, 2**63, 10**30):
        with pytest.raises(Missing):
            consents.revoke(one, nobody)
    assert consents.page(one, before=10**30) == [given]
    assert consents.covers(one, DIGEST)


def test_what_kinora_made_needs_none(database: Database) -> None:
    consents, one, two = Consents(database), _account(database), _account(database)
    _asset(database, one, DIGEST, ours=True)
    _asset(database, two, DIGEST)
    assert consents.covers(one, DIGEST)
    assert not consents.covers(two, DIGEST)


def test_what_breaks_a_rule(database: Database) -> None:
    consents, account_id = Consents(database), _account(database)
    _asset(database, account_id, DIGEST)
    for digest, person, statement, field in (
        (DIGEST, "", STATEMENT, "person"),
        (DIGEST, "  ", STATEMENT, "person"),
        (DIGEST, "a" * 201, STATEMENT, "person"),
        (DIGEST, "Ada", "", "statement"),
        (DIGEST, "Ada", "a" * 2001, "statement"),
        ("a" * 63, "Ada", STATEMENT, "digest"),
        (DIGEST.upper(), "Ada", STATEMENT, "digest"),
        ("../" + DIGEST, "Ada", STATEMENT, "digest"),
    ):
        with pytest.raises(Invalid) as caught:
            consents.give(account_id, digest, person, statement)
        assert caught.value.field == field
    with pytest.raises(Missing, match="upload it first"):
        consents.give(account_id, OTHER, "Ada", STATEMENT)
    assert consents.page(account_id) == []
