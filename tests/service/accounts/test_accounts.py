"""Accounts, keys, logins."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from kinora.service.accounts import Accounts
from kinora.service.errors import Clash, Invalid, Missing, Suspended, Unauthenticated
from kinora.service.store import Database, now_ms, tables

PASSWORD = "correct horse battery"


def test_an_account_is_as_it_was_made(accounts: Accounts) -> None:
    made = accounts.create("  Studio 一号 ", role="admin", plan="pro", language="en")
    assert (made.name, made.role, made.state, made.plan, made.language) == (
        "Studio 一号", "admin", "active", "pro", "en",
    )  # fmt: skip
    assert accounts.get(made.id) == made
    assert abs(made.created_at - now_ms()) < 60_000
    plain = accounts.create("plain")
    assert (plain.role, plain.plan, plain.language) == ("member", "free", "zh")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "   "), ("name", "x" * 101), ("name", "a\nb"), ("name", "a\x00b"), ("name", "\udc80"),
        ("role", "owner"), ("plan", "gold"), ("language", "fr"), ("password", "short"), ("password", "x" * 1001),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_named(accounts: Accounts, field: str, value: str) -> None:
    fields = {"name": "somebody"} | {field: value}
    with pytest.raises(Invalid) as refused:
        accounts.create(**fields)
    assert refused.value.field == field
    account = accounts.create("somebody")
    with pytest.raises(Invalid) as refused:
        accounts.change(account.id, **{field: value})
    assert refused.value.field == field
    assert accounts.get(account.id) == account


def test_names_are_taken_once(on_both: Accounts) -> None:
    accounts = on_both
    accounts.create("studio")
    other = accounts.create("other")
    with pytest.raises(Clash, match='"studio" already'):
        accounts.create("studio ")
    with pytest.raises(Clash, match='"studio" already'):
        accounts.change(other.id, name="studio")
    # The same letters, written in two ways.
    accounts.create("caf\u00e9")
    with pytest.raises(Clash):
        accounts.create("cafe\u0301")


def test_accounts_change_and_are_listed(on_both: Accounts) -> None:
    accounts = on_both
    made = [accounts.create(f"account {number}") for number in range(5)]
    changed = accounts.change(made[2].id, name="new", plan="ultra", language="en", role="admin", state="suspended")
    assert accounts.get(made[2].id) == changed
    assert (changed.name, changed.plan, changed.state) == ("new", "ultra", "suspended")
    assert [account.id for account in accounts.page(limit=3)] == [account.id for account in made[:3]]
    assert [account.id for account in accounts.page(after=made[2].id)] == [made[3].id, made[4].id]
    assert [account.id for account in accounts.page(state="suspended")] == [made[2].id]
    with pytest.raises(Missing, match="no account 5"):
        accounts.get(5)
    with pytest.raises(Missing):
        accounts.change(5, name="x")
    with pytest.raises(Invalid, match='no field "id"'):
        accounts.change(made[0].id, id="1")


def test_keys_are_listed_without_their_secrets(accounts: Accounts) -> None:
    mine, other = accounts.create("mine"), accounts.create("other")
    key = accounts.new_key(mine.id, "notebook")
    pair = accounts.new_key(mine.id, "kling", kind="pair")
    accounts.new_key(other.id, "its own")
    assert key.secret.startswith("sk-kinora-")
    assert len(key.secret) >= 50
    assert key.key.shown == key.secret[:16]
    assert len(pair.secret) >= 40
    assert pair.access_key is not None
    assert pair.access_key.startswith(pair.key.shown)
    listed = accounts.keys(mine.id)
    assert listed == [pair.key, key.key]
    assert key.secret not in repr(listed)
    assert key.secret not in repr(key)
    with pytest.raises(Missing):
        accounts.new_key(5, "x")
    for name, kind in (("", "key"), ("x" * 101, "key"), ("x", "master")):
        with pytest.raises(Invalid):
            accounts.new_key(mine.id, name, kind=kind)


def test_a_key_is_revoked_by_its_account_alone(accounts: Accounts) -> None:
    mine, other = accounts.create("mine"), accounts.create("other")
    key = accounts.new_key(mine.id, "notebook")
    with pytest.raises(Missing):
        accounts.revoke(other.id, key.key.id)
    accounts.authenticate(key.secret)
    accounts.revoke(mine.id, key.key.id)
    first = accounts.keys(mine.id)[0].revoked_at
    accounts.revoke(mine.id, key.key.id)
    assert first is not None
    assert accounts.keys(mine.id)[0].revoked_at == first
    with pytest.raises(Unauthenticated):
        accounts.authenticate(key.secret)


def test_no_secret_is_in_the_database(on_both: Accounts, database: Database) -> None:
    accounts = on_both
    account = accounts.create("studio", password=PASSWORD)
    secrets = [
        accounts.new_key(account.id, "key").secret,
        accounts.new_key(account.id, "pair", kind="pair").secret,
        accounts.login("studio", PASSWORD).secret,
        PASSWORD,
    ]
    with database.read() as c:
        kept = repr(c.execute(select(tables.keys)).all()) + repr(c.execute(select(tables.accounts)).all())
    assert "$argon2id$" in kept
    for secret in secrets:
        assert secret not in kept
        assert secret[12:] not in kept


def test_a_login_is_a_session_that_ends(on_both: Accounts) -> None:
    accounts = on_both
    account = accounts.create("studio", password=PASSWORD)
    session = accounts.login(" studio ", PASSWORD)
    caller = accounts.authenticate(session.secret)
    assert (caller.account, caller.key.kind) == (account, "session")
    ends = session.key.expires_at
    assert ends is not None
    accounts.authenticate(session.secret, now=ends / 1000 - 0.01)
    with pytest.raises(Unauthenticated, match="log in again") as refused:
        accounts.authenticate(session.secret, now=ends / 1000)
    assert refused.value.reason == "expired"
    accounts.logout(caller)
    with pytest.raises(Unauthenticated) as refused:
        accounts.authenticate(session.secret)
    assert refused.value.reason == "invalid"
    key = accounts.new_key(account.id, "key")
    accounts.logout(accounts.authenticate(key.secret))
    accounts.authenticate(key.secret)


def test_logins_do_not_say_what_was_wrong(accounts: Accounts) -> None:
    accounts.create("studio", password=PASSWORD)
    accounts.create("keys alone")
    told = set()
    for name, password in (
        ("studio", "wrong horse"), ("nobody", PASSWORD), ("keys alone", PASSWORD), ("studio", ""), ("a\x00b", PASSWORD),
        ("\udc80", PASSWORD), ("studio", PASSWORD + "\x00"), ("studio", "x" * 100_000), ("", ""),
    ):  # fmt: skip
        with pytest.raises(Unauthenticated) as refused:
            accounts.login(name, password)
        told.add((refused.value.message, refused.value.reason))
    assert len(told) == 1


def test_a_new_password_ends_the_sessions_and_no_keys(accounts: Accounts) -> None:
    account = accounts.create("studio", password=PASSWORD)
    session, key = accounts.login("studio", PASSWORD), accounts.new_key(account.id, "key")
    accounts.authenticate(session.secret)
    accounts.change(account.id, password="another password")
    with pytest.raises(Unauthenticated):
        accounts.authenticate(session.secret)
    accounts.authenticate(key.secret)
    with pytest.raises(Unauthenticated):
        accounts.login("studio", PASSWORD)
    accounts.login("studio", "another password")
    accounts.change(account.id, password=None)
    with pytest.raises(Unauthenticated):
        accounts.login("studio", "another password")


def test_a_suspended_account_is_told_so_with_the_right_key_alone(accounts: Accounts) -> None:
    account = accounts.create("studio", password=PASSWORD)
    key = accounts.new_key(account.id, "key")
    accounts.change(account.id, state="suspended")
    with pytest.raises(Suspended, match="suspended"):
        accounts.authenticate(key.secret)
    with pytest.raises(Suspended):
        accounts.login("studio", PASSWORD)
    with pytest.raises(Unauthenticated):
        accounts.login("studio", "a wrong password")
    accounts.change(account.id, state="active")
    assert accounts.authenticate(key.secret).account.state == "active"


def test_a_closed_account_has_no_keys(accounts: Accounts) -> None:
    account = accounts.create("studio")
    key = accounts.new_key(account.id, "key")
    accounts.change(account.id, state="closed")
    with pytest.raises(Unauthenticated):
        accounts.authenticate(key.secret)
    with pytest.raises(Missing, match="closed"):
        accounts.new_key(account.id, "another")
    accounts.change(account.id, state="active")
    with pytest.raises(Unauthenticated):
        accounts.authenticate(key.secret)
