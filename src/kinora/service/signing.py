"""Standard Webhooks 1.0: how a callback is signed, and the secrets that sign.

An account has one secret or none. A new one takes the old one's place: by the standard way both sign for seven days, so
that a receiver can change over; after an emergency the old one is worth nothing at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Sequence

from sqlalchemy import Connection, delete, null, select
from sqlalchemy.dialects import postgresql, sqlite

from kinora.service.errors import Invalid
from kinora.service.sealing import Sealer
from kinora.service.store import tables

__all__ = ["OVERLAP_MS", "Secrets", "new_secret", "signature", "signed_headers"]

PREFIX = "whsec_"
SECRET_BYTES = 32
OVERLAP_MS = 7 * 86_400_000
"""How long the secret before goes on signing."""


def new_secret() -> str:
    """A fresh secret as its owner is shown it: `whsec_` and base64 of 32 bytes."""
    return PREFIX + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and base64 of the HMAC-SHA256 of `id.timestamp.body`; the timestamp is in seconds."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise Invalid("A webhook secret is whsec_ and base64.") from None
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers with one signature per secret; none at all without a secret."""
    if not secrets:
        return {}
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, webhook_id, timestamp, body) for secret in secrets),
    }


class Secrets:
    """The accounts' secrets, sealed in the table of that name."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def valid(self, c: Connection, account_id: int, now: int) -> tuple[str, ...]:
        """Those that sign at `now`, the newest first."""
        row = c.execute(select(tables.secrets).where(tables.secrets.c.account_id == account_id)).one_or_none()
        if row is None:
            return ()
        valid = [row.sealed]
        if row.before is not None and row.until is not None and now < row.until:
            valid.append(row.before)
        return tuple(self._sealer.open(sealed).decode() for sealed in valid)

    def replace(self, c: Connection, account_id: int, now: int, *, emergency: bool) -> str:
        """Make a new secret, or the first one, and give it."""
        fresh = new_secret()
        sealed = self._sealer.seal(fresh.encode())
        insert = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
        statement = insert(tables.secrets).values(account_id=account_id, sealed=sealed)
        # One statement: of two that are made at once the later is the secret and the earlier the one before.
        c.execute(
            statement.on_conflict_do_update(
                index_elements=["account_id"],
                set_={
                    "before": null() if emergency else tables.secrets.c.sealed,
                    "until": null() if emergency else now + OVERLAP_MS,
                    "sealed": sealed,
                },
            )
        )
        return fresh

    def remove(self, c: Connection, account_id: int) -> bool:
        """Sign no more; False where nothing was signed."""
        return c.execute(delete(tables.secrets).where(tables.secrets.c.account_id == account_id)).rowcount > 0
