"""Kling's tokens: JSON Web Tokens that a client signs with its secret key, and how strictly they are read.

HS256 and nothing else, as RFC 8725 (sections 3.1, 3.2, 3.10) asks: the algorithm is pinned, what the header says beside
it is not followed, and no claim is believed before the signature is checked. `iss` is the access key, `exp` is
required, `nbf` is honoured; other claims mean nothing here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kinora.service.errors import Unauthenticated

__all__ = ["LEEWAY", "LONGEST", "Token", "looks_signed", "read_token"]

LEEWAY = 2.0
"""Seconds that two clocks may be apart. Kling's clients set `nbf` five seconds back as it is."""
LONGEST = 4096
"""Characters; Kling's own clients send about 200."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_ACCESS_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A well-formed token, of which nothing is proved yet."""

    access_key: str
    signed: bytes
    signature: bytes
    begins: float | None
    ends: float

    def check(self, secret: bytes, now: float) -> None:
        """`Unauthenticated` (invalid, early, expired) unless it is signed with `secret` and good at `now`, in seconds
        since 1970: from `nbf - LEEWAY` on, until just before `exp + LEEWAY`.
        """
        if not hmac.compare_digest(hmac.new(secret, self.signed, hashlib.sha256).digest(), self.signature):
            raise Unauthenticated("The token's signature is not that of its access key: sign it with the secret key.")
        if self.begins is not None and now < self.begins - LEEWAY:
            raise Unauthenticated(
                "The token is not valid yet: its nbf lies ahead of the server's clock; set the clock.", reason="early"
            )
        if now >= self.ends + LEEWAY:
            raise Unauthenticated("The token has expired: make a new one with a later exp.", reason="expired")


def looks_signed(token: str) -> bool:
    """Whether a credential is meant as a JSON Web Token: two dots, and a header that is JSON."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        json.loads(_decoded(parts[0], "header"))
    except (Unauthenticated, ValueError, RecursionError):
        return False
    return True


def read_token(token: str) -> Token:
    """The parts of a JSON Web Token; `Unauthenticated` when any of them is not as it must be."""
    if len(token) > LONGEST:
        raise _bad(f"it has {len(token)} characters, and {LONGEST} are the most")
    parts = token.split(".")
    if len(parts) != 3:
        raise _bad("it must have three parts with dots between them")
    header, claims = _object(parts[0], "header"), _object(parts[1], "payload")
    if header.get("alg") != "HS256":
        raise _bad("its alg must be HS256")
    if str(header.get("typ", "JWT")).upper() != "JWT" or "crit" in header:
        raise _bad('its typ must be "JWT", and it must have no crit')
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not _ACCESS_KEY.fullmatch(issuer):
        raise _bad("iss must be the access key")
    ends = _moment(claims, "exp")
    if ends is None:
        raise _bad("exp is missing")
    return Token(
        access_key=issuer,
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=_decoded(parts[2], "signature"),
        begins=_moment(claims, "nbf"),
        ends=ends,
    )


def _bad(why: str) -> Unauthenticated:
    return Unauthenticated(f"The token cannot be read: {why}.")


def _decoded(part: str, name: str) -> bytes:
    """Unpadded base64url (RFC 7515), one spelling for one value."""
    if not _BASE64URL.fullmatch(part):
        raise _bad(f"its {name} is not base64url without padding")
    try:
        plain = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise _bad(f"its {name} is not base64url") from None
    if base64.urlsafe_b64encode(plain).rstrip(b"=").decode() != part:
        raise _bad(f"its {name} is not base64url")
    return plain


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            _decoded(part, name).decode("utf-8"), object_pairs_hook=_once(name), parse_constant=_no_constant(name)
        )
    except (ValueError, RecursionError):
        raise _bad(f"its {name} is not JSON") from None
    if not isinstance(found, dict):
        raise _bad(f"its {name} is not a JSON object")
    return found


def _once(name: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _bad(f"its {name} says something twice")
        return found

    return build


def _no_constant(name: str) -> Callable[[str], Any]:
    def refuse(constant: str) -> Any:
        raise _bad(f"its {name} says {constant}, which is not JSON")

    return refuse


def _moment(claims: dict[str, Any], name: str) -> float | None:
    """A claim that is seconds since 1970; None where it is not made."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(f"{name} must be a number of seconds since 1970")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise _bad(f"{name} is too large")
    return seconds
