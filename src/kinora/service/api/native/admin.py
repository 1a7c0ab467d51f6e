"""For whoever runs the service: everybody's accounts, their units and keys."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field, StringConstraints

from kinora.service.api.auth import Admin, Serving
from kinora.service.api.native.account import (
    AccountAnswer,
    BalanceAnswer,
    KeyAnswer,
    NewKeyAnswer,
    NewKeyWish,
    Password,
    account_answer,
    key_answer,
)
from kinora.service.api.native.route import native_router
from kinora.service.api.native.shapes import Id, IdPath, Limit, Name, Shape
from kinora.service.errors import Invalid
from kinora.service.store import new_id

__all__ = ["router"]

router = native_router("admin", prefix="/api/admin")

Role = Literal["member", "admin"]
Plan = Literal["free", "standard", "pro", "premier", "ultra", "house"]
Language = Literal["zh", "en"]


class AdminAccount(Shape):
    """An account and its units."""

    account: AccountAnswer = Field(description="The account.")
    balance: BalanceAnswer = Field(description="Its units.")


class Accounts(Shape):
    """Accounts, the oldest first."""

    accounts: list[AccountAnswer] = Field(description="The accounts.")
    next: Id | None = Field(description="Ask with `after` set to this for more; null when there are none.")


class AccountWish(Shape):
    """An account to be made."""

    name: Name = Field(description="What it is to be called; no other account may be.")
    role: Role = Field(default="member", description="Administrators may see and change all accounts.")
    plan: Plan = Field(default="free", description="What it may do.")
    language: Language = Field(default="zh", description="Of the labels on what it makes.")
    password: Password | None = Field(default=None, description="To log in with; null: keys alone open it.")


class AccountChange(Shape):
    """What is to change of an account; what is left out stays."""

    name: Name | None = Field(default=None, description="A new name.")
    role: Role | None = Field(default=None, description="Another role.")
    state: Literal["active", "suspended", "closed"] | None = Field(
        default=None, description="A suspended account may do nothing; a closed one has lost its keys, too."
    )
    plan: Plan | None = Field(default=None, description="Another plan.")
    language: Language | None = Field(default=None, description="Another language.")
    password: Password | None = Field(default=None, description="A new password; it ends the account's sessions.")


class GrantWish(Shape):
    """Units to be given."""

    amount: int = Field(ge=1, le=10**12, description="How many units.")
    source: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")] = Field(
        default="gift", description="Why: gift, purchase, or a word of your own."
    )
    period: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,32}$")] | None = Field(
        default=None, description="Names this grant among those of its source, so that it is given once."
    )
    expires_at: int | None = Field(default=None, ge=1, lt=2**53, description="When what is left ends: ms since 1970.")


class Granted(Shape):
    """What a grant came to."""

    given: bool = Field(description="False when this grant was given before.")
    balance: BalanceAnswer = Field(description="The account's units now.")


class AdminKeys(Shape):
    """An account's keys, the newest first."""

    keys: list[KeyAnswer] = Field(description="The keys.")


@router.get("/accounts", operation_id="admin_list_accounts")
def list_accounts(
    service: Serving,
    caller: Admin,
    state: Annotated[Literal["active", "suspended", "closed"] | None, Query(description="In this state alone.")] = None,
    after: Annotated[Id | None, Query(description="From behind this id on: `next` of a page.")] = None,
    limit: Limit = 50,
) -> Accounts:
    """All accounts, the oldest first."""
    found = service.accounts.page(limit=limit, after=None if after is None else int(after), state=state)
    return Accounts(
        accounts=[account_answer(account) for account in found],
        next=str(found[-1].id) if len(found) == limit else None,
    )


@router.post("/accounts", operation_id="admin_create_account", status_code=201)
def create_account(service: Serving, caller: Admin, wish: AccountWish) -> AccountAnswer:
    """Make an account."""
    return account_answer(
        service.accounts.create(
            wish.name, role=wish.role, plan=wish.plan, language=wish.language, password=wish.password
        )
    )


@router.get("/accounts/{account_id}", operation_id="admin_get_account")
def get_account(service: Serving, caller: Admin, account_id: IdPath) -> AdminAccount:
    """One account and its units."""
    account = service.accounts.get(int(account_id))
    with service.database.read() as c:
        balance = service.ledger.balance(c, account.id)
    return AdminAccount(
        account=account_answer(account), balance=BalanceAnswer(available=balance.available, held=balance.held)
    )


@router.patch("/accounts/{account_id}", operation_id="admin_change_account")
def change_account(service: Serving, caller: Admin, account_id: IdPath, change: AccountChange) -> AccountAnswer:
    """Change an account: suspend or close it, give it another plan or role."""
    fields = change.model_dump(exclude_none=True)
    if int(account_id) == caller.account.id and fields.keys() & {"role", "state"}:
        raise Invalid("Nobody suspends, closes or demotes himself; let another administrator do it.", field="state")
    return account_answer(service.accounts.change(int(account_id), **fields))


@router.post("/accounts/{account_id}/grants", operation_id="admin_grant", status_code=201)
def grant(service: Serving, caller: Admin, account_id: IdPath, wish: GrantWish) -> Granted:
    """Give units to an account, once for each source and period."""
    account = service.accounts.get(int(account_id))
    with service.database.write() as c:
        given = service.ledger.grant(
            c,
            account.id,
            wish.amount,
            source=wish.source,
            period=wish.period or str(new_id()),
            expires_at=wish.expires_at,
        )
        balance = service.ledger.balance(c, account.id)
    return Granted(given=given, balance=BalanceAnswer(available=balance.available, held=balance.held))


@router.get("/accounts/{account_id}/keys", operation_id="admin_list_keys")
def list_keys(service: Serving, caller: Admin, account_id: IdPath) -> AdminKeys:
    """An account's keys."""
    account = service.accounts.get(int(account_id))
    return AdminKeys(keys=[key_answer(key) for key in service.accounts.keys(account.id)])


@router.post("/accounts/{account_id}/keys", operation_id="admin_create_key", status_code=201)
def create_key(service: Serving, caller: Admin, account_id: IdPath, wish: NewKeyWish) -> NewKeyAnswer:
    """Make a key for an account; its secret is shown in this answer alone."""
    made = service.accounts.new_key(int(account_id), wish.name, kind=wish.kind)
    return NewKeyAnswer(key=key_answer(made.key), secret=made.secret, access_key=made.access_key)
