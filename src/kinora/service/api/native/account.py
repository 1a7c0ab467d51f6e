"""The account itself: who it is, its units, keys, sessions and webhook secret."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field, StringConstraints

from kinora.service.accounts import Account, Key
from kinora.service.api.auth import COOKIE, Serving, Signed
from kinora.service.api.limiting import Limiter, address_of
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Before, Done, Id, IdPath, Limit, Name, Shape
from kinora.service.errors import Forbidden, Invalid
from kinora.service.keys import SESSION_MS
from kinora.service.plans import PLANS
from kinora.service.service import Service
from kinora.service.store import now_ms

__all__ = ["AccountAnswer", "KeyAnswer", "NewKeyAnswer", "account_answer", "key_answer", "router"]

router = native_router("account")

Password = Annotated[str, StringConstraints(min_length=8, max_length=1000)]
Language = Literal["zh", "en"]
MOST_KEYS = 100
"""Keys of an account that open it."""


class AccountAnswer(Shape):
    """An account."""

    id: Id = Field(description="The account's id.")
    name: str = Field(description="What it is called; also the name to log in with.")
    role: Literal["member", "admin"] = Field(description="Administrators may see and change all accounts.")
    state: Literal["active", "suspended", "closed"] = Field(description="Only active accounts may do anything.")
    plan: str = Field(description="Its plan: a name of `plans`.")
    language: Language = Field(description="Of the labels on what it makes.")
    created_at: int = Field(description="Milliseconds since 1970.")


class PlanAnswer(Shape):
    """What a plan allows."""

    name: str = Field(description="The plan's name.")
    title: str = Field(description="What it is called.")
    video_slots: int = Field(description="Film tasks that may be under way at once.")
    image_slots: int = Field(description="Pictures of tasks that may be under way at once.")
    daily_units: int = Field(description="Units granted on a day's first use; over at its end.")
    monthly_units: int = Field(description="Units granted on a month's first use; over at its end.")
    label: bool = Field(description="Whether what it makes carries the visible label.")
    requests_per_minute: int = Field(description="Requests taken in a minute.")


class BalanceAnswer(Shape):
    """Units of an account."""

    available: int = Field(description="Units that can be spent.")
    held: int = Field(description="Units held by tasks under way; charged if they succeed.")


class StatementLine(Shape):
    """One movement of units; those of one task add up to what it cost."""

    id: Id = Field(description="The line's id.")
    kind: str = Field(description="grant, hold, settle, release or expire.")
    task_id: Id | None = Field(description="The task it belongs to.")
    source: str | None = Field(description="Of a grant: what it was given for.")
    change: int = Field(description="What it did to the units that can be spent.")
    held: int = Field(description="What it did to the units that tasks hold.")
    spent: int = Field(description="What the task has cost.")
    balance: int = Field(description="What could be spent after it.")
    created_at: int = Field(description="Milliseconds since 1970.")


class Statement(Shape):
    """Movements of units, the newest first."""

    lines: list[StatementLine] = Field(description="The movements.")
    next: Id | None = Field(description="Ask with `before` set to this for older ones; null when there are none.")


class Me(Shape):
    """The account that asks."""

    account: AccountAnswer = Field(description="The account.")
    plan: PlanAnswer = Field(description="Its plan.")
    balance: BalanceAnswer = Field(description="Its units.")
    key_id: Id = Field(description="The key or session that this was asked with.")


class Mine(Shape):
    """What an account may change of itself; what is left out stays."""

    name: Name | None = Field(default=None, description="A new name.")
    language: Language | None = Field(default=None, description="Another language.")
    password: Password | None = Field(default=None, description="A new password; it ends all sessions.")
    current_password: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        default=None, description="The password so far: a session changes it only with this."
    )


class NewAccount(Shape):
    """An account to be made."""

    name: Name = Field(description="What it is to be called; no other account may be.")
    password: Password = Field(description="At least 8 characters.")
    language: Language = Field(default="zh", description="Of the labels on what it makes.")


class Login(Shape):
    """Name and password."""

    name: Name = Field(description="The account's name.")
    password: Annotated[str, StringConstraints(max_length=1000)] = Field(description="Its password.")


class KeyAnswer(Shape):
    """A key, without its secret."""

    id: Id = Field(description="The key's id.")
    kind: Literal["key", "pair", "session"] = Field(description="An opaque key, a pair that signs tokens, a login.")
    name: str = Field(description="What it was called.")
    shown: str = Field(description="Its beginning, to tell keys apart.")
    created_at: int = Field(description="Milliseconds since 1970.")
    expires_at: int | None = Field(description="When it ends by itself: milliseconds since 1970.")
    revoked_at: int | None = Field(description="When it was revoked: milliseconds since 1970.")
    used_at: int | None = Field(description="When it was last used, to the minute: milliseconds since 1970.")


class Keys(Shape):
    """The account's keys, the newest first."""

    keys: list[KeyAnswer] = Field(description="The keys.")


class NewKeyWish(Shape):
    """A key to be made."""

    name: Name = Field(description="What it is for.")
    kind: Literal["key", "pair"] = Field(
        default="key", description="An opaque key, or an access and a secret key that sign tokens as Kling's do."
    )
    days: int | None = Field(default=None, ge=1, le=3650, description="How long it is good; null for ever.")


class NewKeyAnswer(Shape):
    """A key with its secret, which is never shown again."""

    key: KeyAnswer = Field(description="The key.")
    secret: str = Field(description="The key itself, or the pair's secret key: keep it now.")
    access_key: str | None = Field(description="The pair's access key.")


@router.get("/account", operation_id="me")
def me(service: Serving, caller: Signed) -> Me:
    """The account that asks, its plan and its units."""
    with service.database.write() as c:
        service.ledger.refresh(c, caller.account)
        balance = service.ledger.balance(c, caller.account.id)
    return Me(
        account=account_answer(caller.account),
        plan=_plan(service, caller.account.plan),
        balance=BalanceAnswer(available=balance.available, held=balance.held),
        key_id=str(caller.key.id),
    )


@router.get("/account/statement", operation_id="statement")
def statement(service: Serving, caller: Signed, before: Before = None, limit: Limit = 50) -> Statement:
    """Where the account's units came from and went to, the newest first."""
    found = service.ledger.statement(caller.account.id, limit=limit, before=None if before is None else int(before))
    names = [name for name in StatementLine.model_fields if name not in ("id", "task_id")]
    lines = [
        StatementLine(
            id=str(line.id),
            task_id=None if line.task_id is None else str(line.task_id),
            **{name: getattr(line, name) for name in names},
        )
        for line in found
    ]
    return Statement(lines=lines, next=lines[-1].id if len(lines) == limit else None)


@router.patch("/account", operation_id="change_me")
def change_me(request: Request, service: Serving, caller: Signed, mine: Mine) -> AccountAnswer:
    """Change name, language or password of the account that asks."""
    if mine.password is not None and caller.key.kind == "session":
        # A browser left open is not enough to take an account over.
        _check_rate(request)
        service.accounts.login(caller.account.name, mine.current_password or "")
    fields = mine.model_dump(exclude_none=True, exclude={"current_password"})
    return account_answer(service.accounts.change(caller.account.id, **fields))


@router.post("/accounts", operation_id="sign_up", status_code=201)
def sign_up(request: Request, response: Response, service: Serving, wish: NewAccount) -> AccountAnswer:
    """Make an account and log in to it, where the operator lets anyone."""
    if not service.settings.open_accounts:
        raise Forbidden("Accounts are made by whoever runs this service; ask them for one.")
    _check_rate(request)
    account = service.accounts.create(wish.name, language=wish.language, password=wish.password)
    _open_session(request, response, service, wish.name, wish.password)
    return account_answer(account)


@router.post("/session", operation_id="log_in", status_code=201)
def log_in(request: Request, response: Response, service: Serving, login: Login) -> Done:
    """Log in with name and password; the answer sets the session's cookie."""
    _check_rate(request)
    _open_session(request, response, service, login.name, login.password)
    return Done()


@router.delete("/session", operation_id="log_out")
def log_out(response: Response, service: Serving, caller: Signed) -> Done:
    """End the session; a key that asks stays good."""
    service.accounts.logout(caller)
    response.delete_cookie(COOKIE, path="/")
    return Done()


@router.get("/keys", operation_id="list_keys")
def list_keys(service: Serving, caller: Signed) -> Keys:
    """The account's keys and sessions, those revoked included."""
    return Keys(keys=[key_answer(key) for key in service.accounts.keys(caller.account.id)])


@router.post("/keys", operation_id="create_key", status_code=201)
def create_key(service: Serving, caller: Signed, wish: NewKeyWish) -> NewKeyAnswer:
    """Make a key; its secret is shown in this answer alone."""
    good = [key for key in service.accounts.keys(caller.account.id) if key.revoked_at is None and key.kind != "session"]
    if len(good) >= MOST_KEYS:
        raise Invalid(f"An account has at most {MOST_KEYS} keys; revoke one that is not used.")
    expires_at = None if wish.days is None else now_ms() + wish.days * 86_400_000
    made = service.accounts.new_key(caller.account.id, wish.name, kind=wish.kind, expires_at=expires_at)
    return NewKeyAnswer(key=key_answer(made.key), secret=made.secret, access_key=made.access_key)


@router.delete("/keys/{key_id}", operation_id="revoke_key")
def revoke_key(service: Serving, caller: Signed, key_id: IdPath) -> Done:
    """Revoke a key or a session; it opens nothing any more."""
    service.accounts.revoke(caller.account.id, int(key_id))
    return Done()


def account_answer(account: Account) -> AccountAnswer:
    """An account as it is told."""
    return AccountAnswer(**{**vars(account), "id": str(account.id)})


def key_answer(key: Key) -> KeyAnswer:
    """A key as it is told."""
    told = {name: getattr(key, name) for name in KeyAnswer.model_fields}
    return KeyAnswer(**{**told, "id": str(key.id)})


def _plan(service: Service, name: str) -> PlanAnswer:
    plan, told = PLANS[name], PlanAnswer.model_fields.keys() - {"label"}
    return PlanAnswer(label=service.settings.labels(name), **{field: getattr(plan, field) for field in told})


def _check_rate(request: Request) -> None:
    limiter: Limiter = request.app.state.limiter
    limiter.check_login(address_of(request))


def _open_session(request: Request, response: Response, service: Service, name: str, password: str) -> None:
    made = service.accounts.login(name, password)
    secure = request.url.scheme == "https" or service.settings.public_url.startswith("https://")
    response.set_cookie(
        COOKIE, made.secret, max_age=SESSION_MS // 1000, path="/", httponly=True, secure=secure, samesite="lax"
    )
