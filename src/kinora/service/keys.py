"""What opens an account: opaque keys, pairs of an access and a secret key, and sessions of the studio.

A secret is shown once, when it is made. Of opaque keys and sessions the store keeps a hash; they have 256 random bits,
so that nothing slower than SHA-256 is needed. The secret key of a pair signs tokens, so it is kept, sealed.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from kinora.service.errors import Invalid
from kinora.service.sealing import Sealer
from kinora.service.store.ids import new_id

__all__ = ["SESSION_MS", "Key", "NewKey", "hash_of", "make_key"]

SESSION_MS = 30 * 86_400_000
"""How long a login lasts."""
SHOWN = 16
"""Characters that stay visible; the store's column holds as many."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key without its secret. `kind` is key, pair or session; times are milliseconds since 1970."""

    id: int
    account_id: int
    kind: str
    name: str
    shown: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    used_at: int | None


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key just made, with what is shown once: the whole key, or the pair's secret key beside its access key."""

    key: Key
    secret: str = field(repr=False)
    access_key: str | None = None


def hash_of(token: str) -> str:
    """What the store knows of an opaque key."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make_key(
    sealer: Sealer, account_id: int, name: str, kind: str, now: int, expires_at: int | None = None
) -> tuple[NewKey, dict[str, object]]:
    """A key, and the row of it that is kept."""
    if not 1 <= len(name) <= 100:
        raise Invalid("A key's name has 1 to 100 characters.", field="name")
    kept: dict[str, object] = {}
    access_key = None
    if kind == "pair":
        # The name of the pair is no secret; its secret key is text of 48 characters, used as its bytes.
        access_key, secret = f"ak-kinora-{secrets.token_hex(12)}", secrets.token_urlsafe(36)
        kept |= {"access_key": access_key, "sealed": sealer.seal(secret.encode())}
        shown = access_key[:SHOWN]
    elif kind in ("key", "session"):
        secret = f"{'sk' if kind == 'key' else 'st'}-kinora-{secrets.token_urlsafe(32)}"
        kept["hash"] = hash_of(secret)
        shown = secret[:SHOWN]
    else:
        raise Invalid(f'A key\'s kind is "key", "pair" or "session", not "{kind[:20]}".', field="kind")
    key = Key(
        id=new_id(), account_id=account_id, kind=kind, name=name, shown=shown, created_at=now, expires_at=expires_at,
        revoked_at=None, used_at=None,
    )  # fmt: skip
    columns = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    return NewKey(key=key, secret=secret, access_key=access_key), kept | columns
