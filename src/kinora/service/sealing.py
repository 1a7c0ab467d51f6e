"""Secrets at rest, and signatures of links: one secret of the service's own, and two keys that are derived from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kinora.core.errors import KinoraError
from kinora.service.settings import Settings

__all__ = ["Sealer", "SecretError"]

LEAST = 32
"""Characters of a secret."""


class SecretError(KinoraError):
    """The service's secret is too short, unreadable, or not the one that something was sealed with."""


class Sealer:
    """Encrypts what must be kept and used (`seal`, `open`), and signs what must come back unchanged (`sign`).

    The secret is `settings.secret`, or where that is empty the content of `secret.key` in the data folder, which the
    first process makes. Raises `SecretError`.
    """

    def __init__(self, settings: Settings) -> None:
        file = settings.data / "secret.key"
        secret = settings.secret or _kept_secret(file)
        if len(secret) < LEAST:
            where = "KINORA_SECRET" if settings.secret else str(file)
            raise SecretError(
                f"{where}, the service's secret, has {len(secret)} characters and needs {LEAST} or more: put a long"
                ' random one there, such as that of `python -c "import secrets; print(secrets.token_urlsafe(48))"`.'
            )
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(secret, b"kinora: secrets at rest")))
        self._signing = _derived(secret, b"kinora: signed links")

    def seal(self, plain: bytes) -> bytes:
        """`plain`, encrypted and authenticated."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed; `SecretError` when it was changed or sealed with another secret."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise SecretError(
                "This was sealed with another secret than the service has now: set KINORA_SECRET (or put secret.key"
                " into the data folder) as it was when the database was written."
            ) from None

    def sign(self, data: bytes) -> str:
        """HMAC-SHA256 of `data`: 64 hexadecimal digits."""
        return hmac.new(self._signing, data, hashlib.sha256).hexdigest()

    def matches(self, data: bytes, sign: str) -> bool:
        """Whether `sign` is that of `data`; takes as long for a wrong one as for a right one."""
        return hmac.compare_digest(self.sign(data).encode(), sign.encode("utf-8", "replace"))


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())


def _kept_secret(file: Path) -> str:
    """The secret of this machine, made by whoever comes first. The name appears with its full content or not at all,
    so that two processes that start at once read the same one.
    """
    try:
        if not file.exists():
            _make(file)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise SecretError(
            f"{file}, the service's secret, cannot be read or made: {error}. Or set KINORA_SECRET."
        ) from None


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(48) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):  # somebody else's is there already, and is the one
            os.link(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
