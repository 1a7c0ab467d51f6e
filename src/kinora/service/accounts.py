"""Accounts and their keys: made, changed, listed, revoked; logins; and who is asking (`authenticate`)."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from kinora.service.callers import Account, Caller, Door, account_of
from kinora.service.errors import Clash, Invalid, Missing, Suspended, Unauthenticated
from kinora.service.keys import SESSION_MS, Key, NewKey, make_key
from kinora.service.plans import PLANS
from kinora.service.sealing import Sealer
from kinora.service.store import Database, new_id, now_ms
from kinora.service.store import tables as t

__all__ = ["Account", "Accounts", "Caller", "Key", "NewKey"]

LANGUAGES = ("zh", "en")
ROLES = ("member", "admin")
STATES = ("active", "suspended", "closed")


class Accounts:
    """The accounts of one database. Changes of this process are seen by `authenticate` at once, those of others within
    a second.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._door = Door(database, sealer)
        # OWASP's first choice for argon2id: 46 MiB and one pass. Many checks at once would take the machine's memory.
        self._passwords = PasswordHasher(memory_cost=46 * 1024, time_cost=1, parallelism=1)
        self._checking = threading.BoundedSemaphore(4)

    def create(
        self, name: str, *, role: str = "member", plan: str = "free", language: str = "zh", password: str | None = None
    ) -> Account:
        """A new account; `Clash` where the name is taken, `Invalid` where a value cannot be."""
        fields = _checked({"name": name, "role": role, "plan": plan, "language": language})
        kept = self._hash(password) if password is not None else None
        account = Account(id=new_id(), state="active", created_at=now_ms(), **fields)
        try:
            with self._database.write() as c:
                c.execute(insert(t.accounts).values(**vars(account), password=kept))
        except IntegrityError:
            raise _taken(account.name) from None
        return account

    def get(self, account_id: int) -> Account:
        """The account; `Missing`."""
        with self._database.read() as c:
            return _get(c, account_id)

    def page(self, *, limit: int = 50, after: int | None = None, state: str | None = None) -> list[Account]:
        """Accounts, oldest first, from the one behind `after` (an account's id) on."""
        wanted = select(t.accounts).order_by(t.accounts.c.id).limit(limit)
        if after is not None:
            wanted = wanted.where(t.accounts.c.id > after)
        if state is not None:
            wanted = wanted.where(t.accounts.c.state == state)
        with self._database.read() as c:
            return [account_of(row) for row in c.execute(wanted).mappings()]

    def change(self, account_id: int, **fields: str | None) -> Account:
        """The account with new `name`, `role`, `state`, `plan`, `language` or `password` (None: keys alone open it).
        A changed password ends the sessions, a closed account has no keys any more.
        """
        password = {"password": fields.pop("password")} if "password" in fields else {}
        values: dict[str, Any] = _checked(fields)
        for name, new in password.items():
            values[name] = None if new is None else self._hash(new)
        try:
            with self._database.write() as c:
                _get(c, account_id)
                if values:
                    c.execute(update(t.accounts).where(t.accounts.c.id == account_id).values(**values))
                if password:
                    _revoke(c, t.keys.c.account_id == account_id, t.keys.c.kind == "session")
                if values.get("state") == "closed":
                    _revoke(c, t.keys.c.account_id == account_id)
                account = _get(c, account_id)
        except IntegrityError:
            raise _taken(str(values.get("name"))) from None
        self._door.forget()
        return account

    def new_key(self, account_id: int, name: str, *, kind: str = "key", expires_at: int | None = None) -> NewKey:
        """A key of the account's: opaque ("key"), or an access and a secret key ("pair"). Its secret is shown once."""
        made, row = make_key(self._sealer, account_id, name, kind, now_ms(), expires_at)
        with self._database.write() as c:
            if _get(c, account_id).state == "closed":
                raise Missing(f"The account {account_id} is closed: open it again first.")
            c.execute(insert(t.keys).values(**row))
        return made

    def keys(self, account_id: int) -> list[Key]:
        """The account's keys and sessions, newest first, those revoked included."""
        columns = [t.keys.c[name] for name in Key.__dataclass_fields__]
        wanted = select(*columns).where(t.keys.c.account_id == account_id).order_by(t.keys.c.id.desc())
        with self._database.read() as c:
            return [Key(**row) for row in c.execute(wanted).mappings()]

    def revoke(self, account_id: int, key_id: int) -> None:
        """The key opens nothing any more; `Missing` where the account has no such key. Twice is once."""
        with self._database.write() as c:
            mine = t.keys.c.account_id == account_id, t.keys.c.id == key_id
            if c.execute(select(t.keys.c.id).where(*mine)).one_or_none() is None:
                raise Missing(f"There is no key {key_id}.")
            _revoke(c, *mine)
        self._door.forget()

    def login(self, name: str, password: str) -> NewKey:
        """A session; `Unauthenticated` where name or password are wrong (not saying which), `Suspended`."""
        row = self._named(_plain(name))
        kept = row["password"] if row is not None else None
        # Without an account, or without its password, as much time is spent as with them.
        right = self._verify(kept or self._nobody(), password)
        if row is None or kept is None or not right:
            raise Unauthenticated("The name or the password is wrong.")
        if row["state"] != "active":
            raise Suspended(f"The account is {row['state']}: ask whoever runs this service.")
        now = now_ms()
        made, session = make_key(self._sealer, row["id"], "studio", "session", now, now + SESSION_MS)
        fresh = self._hash(password) if self._passwords.check_needs_rehash(kept) else kept
        with self._database.write() as c:
            c.execute(insert(t.keys).values(**session))
            if fresh != kept:
                mine = t.accounts.c.id == row["id"], t.accounts.c.password == kept
                c.execute(update(t.accounts).where(*mine).values(password=fresh))
        return made

    def logout(self, caller: Caller) -> None:
        """The caller's session is over; a caller with a key keeps it."""
        if caller.key.kind == "session":
            self.revoke(caller.account.id, caller.key.id)

    def authenticate(self, token: str | None, *, now: float | None = None) -> Caller:
        """Whose `token` it is: an opaque key, a session, or an HS256 token whose iss is an access key.

        Raises `Unauthenticated` (reason missing, invalid, early or expired) or `Suspended`. `now`: seconds since 1970.
        """
        return self._door.authenticate(token, now=now)

    def _named(self, name: str) -> RowMapping | None:
        if not name.isprintable():  # what `create` refuses is not asked for: some databases cannot even be asked
            return None
        with self._database.read() as c:
            return c.execute(select(t.accounts).where(t.accounts.c.name == name)).mappings().one_or_none()

    def _hash(self, password: str) -> str:
        if not 8 <= len(password) <= 1000:
            raise Invalid(f"A password has 8 to 1,000 characters; this one has {len(password)}.", field="password")
        with self._checking:
            return self._passwords.hash(_password(password))

    def _verify(self, kept: str, password: str) -> bool:
        try:
            with self._checking:
                return self._passwords.verify(kept, _password(password[:1001]))
        except (VerificationError, InvalidHashError):
            return False

    def _nobody(self) -> str:
        """A hash that no password has."""
        if self._stand_in is None:
            self._stand_in = self._passwords.hash(str(new_id()))
        return self._stand_in

    _stand_in: str | None = None


def _get(c: Connection, account_id: int) -> Account:
    row = c.execute(select(t.accounts).where(t.accounts.c.id == account_id)).mappings().one_or_none()
    if row is None:
        raise Missing(f"There is no account {account_id}.")
    return account_of(row)


def _revoke(c: Connection, *where: Any) -> None:
    c.execute(update(t.keys).where(*where, t.keys.c.revoked_at.is_(None)).values(revoked_at=now_ms()))


def _checked(fields: Mapping[str, str | None]) -> dict[str, Any]:
    """The fields in the form they are kept in; `Invalid` names the first that cannot be."""
    return {name: _checked_field(name, value) for name, value in fields.items()}


def _checked_field(name: str, value: str | None) -> str:
    if name not in _RULES:
        raise Invalid(f'An account has no field "{name}" that can be set.', field=name)
    allowed = _RULES[name]
    if callable(allowed):
        return allowed(value)
    if value not in allowed:
        raise Invalid(f'"{value}" is no {name} of an account; there are {", ".join(allowed)}.', field=name)
    return value


def _name(value: str | None) -> str:
    plain = _plain(value or "")
    if not 1 <= len(plain) <= 100 or not plain.isprintable():
        raise Invalid("An account's name has 1 to 100 printable characters.", field="name")
    return plain


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _password(password: str) -> bytes:
    # Two keyboards may spell the same letter in two ways.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _taken(name: str) -> Clash:
    return Clash(f'There is an account called "{name}" already: choose another name.')


_RULES: Mapping[str, tuple[str, ...] | Callable[[str | None], str]] = {
    "name": _name, "role": ROLES, "state": STATES, "plan": tuple(PLANS), "language": LANGUAGES,
}  # fmt: skip
