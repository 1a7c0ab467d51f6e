"""Kling's tokens: the ones that its clients make are taken, everything that only looks like one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kinora.service.accounts import Accounts, NewKey
from kinora.service.errors import Unauthenticated
from kinora.service.keys import make_key
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.tokens import LEEWAY, LONGEST, looks_signed, read_token

NOW = 1_800_000_000.0


def coded(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def made(header: bytes, payload: bytes, secret: bytes, digest: Any = hashlib.sha256) -> str:
    """A token with a right signature over whatever it says."""
    signed = f"{coded(header)}.{coded(payload)}"
    return f"{signed}.{coded(hmac.new(secret, signed.encode(), digest).digest())}"


def claims(pair: NewKey, **changed: Any) -> dict[str, Any]:
    return {"iss": pair.access_key, "exp": int(NOW) + 1800, "nbf": int(NOW) - 5} | changed


HEADER = b'{"alg":"HS256","typ":"JWT"}'
SHORT = b'{"alg":"HS256"}'
SEALED = b'{"alg":"dir","enc":"A256GCM"}'


def signed(pair: NewKey, header: Any = None, **changed: Any) -> str:
    """Rightly signed with other claims or another header."""
    head = HEADER if header is None else header if isinstance(header, bytes) else json.dumps(header).encode()
    body = {name: value for name, value in claims(pair, **changed).items() if value is not ...}
    return made(head, json.dumps(body).encode(), pair.secret.encode())


def raw(pair: NewKey, payload: bytes) -> str:
    return made(HEADER, payload, pair.secret.encode())


@pytest.fixture
def pair(accounts: Accounts) -> NewKey:
    return accounts.new_key(accounts.create("studio").id, "kling", kind="pair")


def test_the_official_client_s_token_opens_the_account(accounts: Accounts, pair: NewKey) -> None:
    """As Kling's documentation makes it, to the letter."""
    headers = {"alg": "HS256", "typ": "JWT"}
    payload = {"iss": pair.access_key, "exp": int(time.time()) + 1800, "nbf": int(time.time()) - 5}
    token = jwt.encode(payload, pair.secret, headers=headers)
    caller = accounts.authenticate(token)
    assert caller.account.name == "studio"
    assert caller.key.id == pair.key.id
    assert len(pair.secret) >= 40


def test_what_other_clients_say_is_no_matter(accounts: Accounts, pair: NewKey) -> None:
    for changed in ({"nbf": ...}, {"exp": NOW + 0.5}, {"aud": "x", "sub": 5, "iat": "y"}, {"jti": 1}):
        assert accounts.authenticate(signed(pair, **changed), now=NOW).key.id == pair.key.id
    for header in ({"alg": "HS256"}, {"alg": "HS256", "typ": "jwt", "kid": "../../etc/passwd", "jku": "http://x"}):
        assert accounts.authenticate(signed(pair, header), now=NOW).key.id == pair.key.id


@pytest.mark.parametrize(
    ("claim", "offset", "reason"),
    [
        ("nbf", -1, None), ("nbf", 0, None), ("nbf", 1, None), ("nbf", 2, None), ("nbf", 2.5, "early"),
        ("nbf", 3, "early"), ("nbf", 4, "early"), ("nbf", 3600, "early"),
        ("exp", 1800, None), ("exp", 1, None), ("exp", 0, None), ("exp", -1, None), ("exp", -1.5, None),
        ("exp", -2, "expired"), ("exp", -3, "expired"), ("exp", -3600, "expired"), ("exp", -NOW, "expired"),
    ],
)  # fmt: skip
def test_the_clock_to_the_second(settings: Settings, claim: str, offset: float, reason: str | None) -> None:
    """Two seconds of leeway on both sides: RFC 7519 has `nbf <= now < exp`."""
    assert LEEWAY == 2
    pair, _ = make_key(Sealer(settings), 1, "kling", "pair", 0)
    token = read_token(signed(pair, **{"nbf": NOW - 5, "exp": NOW + 60} | {claim: NOW + offset}))
    if reason is None:
        token.check(pair.secret.encode(), NOW)
        return
    with pytest.raises(Unauthenticated) as refused:
        token.check(pair.secret.encode(), NOW)
    assert refused.value.reason == reason


def test_time_passes_for_a_remembered_key(accounts: Accounts, pair: NewKey) -> None:
    """The store's answer is remembered for a moment; the token is read each time."""
    token = signed(pair)
    for later in (0, 1799, 1801):
        accounts.authenticate(token, now=NOW + later)
    with pytest.raises(Unauthenticated) as refused:
        accounts.authenticate(token, now=NOW + 1802)
    assert refused.value.reason == "expired"
    with pytest.raises(Unauthenticated) as refused:
        accounts.authenticate(token, now=NOW - 8)
    assert refused.value.reason == "early"


def other_algorithms(pair: NewKey) -> dict[str, str]:
    """The header says another algorithm than the one there is."""
    found = {
        f"alg {alg}": signed(pair, {"alg": alg, "typ": "JWT"})
        for alg in (
            "none", "None", "NONE", "nOnE", "hs256", "HS256 ", " HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
            "ES256", "PS256", "EdDSA", "dir", "A128KW", "", "HS256\u0000", "ＨＳ２５６", None, 256, True, ["HS256"],
            {"HS256": 1},
        )
    }  # fmt: skip
    body = json.dumps(claims(pair)).encode()
    found["HS384 throughout"] = made(b'{"alg":"HS384","typ":"JWT"}', body, pair.secret.encode(), hashlib.sha384)
    found["HS512 throughout"] = made(b'{"alg":"HS512","typ":"JWT"}', body, pair.secret.encode(), hashlib.sha512)
    found["HS256 said, HS512 made"] = made(HEADER, body, pair.secret.encode(), hashlib.sha512)
    found["alg missing"] = signed(pair, {"typ": "JWT"})
    for alg in ("none", "HS256"):
        unsigned = f"{coded(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}.{coded(body)}."
        found[f"{alg} without a signature"] = unsigned
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    found["RS256 rightly signed"] = jwt.encode(claims(pair), key, algorithm="RS256")
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    found["a public key as the secret"] = made(HEADER, body, public)
    found["a jwk of its own"] = made(
        json.dumps({"alg": "HS256", "jwk": {"kty": "oct", "k": coded(b"mine")}}).encode(), body, b"mine"
    )
    for name in ("kid", "jku", "x5u", "x5c", "jwk"):
        found[f"{name} names the key"] = made(json.dumps({"alg": "HS256", name: "mine"}).encode(), body, b"mine")
    return found


def other_headers(pair: NewKey) -> dict[str, str]:
    return {
        "crit": signed(pair, {"alg": "HS256", "crit": ["exp"]}),
        "crit b64": signed(pair, {"alg": "HS256", "crit": ["b64"], "b64": False}),
        "typ": signed(pair, {"alg": "HS256", "typ": "dpop+jwt"}),
        "typ of a wrong type": signed(pair, {"alg": "HS256", "typ": 7}),
        "alg twice": signed(pair, b'{"alg":"none","alg":"HS256"}'),
        "typ twice": signed(pair, b'{"alg":"HS256","typ":"JWT","typ":"JWT"}'),
        "a list": signed(pair, b'["HS256"]'),
        "a word": signed(pair, b'"HS256"'),
        "a number": signed(pair, b"256"),
        "null": signed(pair, b"null"),
        "true": signed(pair, b"true"),
    }


def other_secrets(pair: NewKey) -> dict[str, str]:
    body = json.dumps(claims(pair)).encode()
    secret = pair.secret.encode()
    return {
        name: made(HEADER, body, other)
        for name, other in {
            "no secret": b"",
            "a guess": b"secret",
            "the access key": str(pair.access_key).encode(),
            "shorter": secret[:-1],
            "longer": secret + b"\n",
            "in capitals": secret.upper(),
            "decoded": base64.urlsafe_b64decode(secret),
            "encoded": base64.b64encode(secret),
            "hashed": hashlib.sha256(secret).digest(),
            "its hash in hex": hashlib.sha256(secret).hexdigest().encode(),
        }.items()
    }


def other_signatures(pair: NewKey) -> dict[str, str]:
    head, body, sign = signed(pair).split(".")
    found = {
        "no signature": f"{head}.{body}.",
        "half a signature": f"{head}.{body}.{sign[:20]}",
        "a longer signature": f"{head}.{body}.{sign}AAAA",
        "padded": f"{head}.{body}.{sign}=",
        "with spaces": f"{head}.{body}.{sign[:10]} {sign[10:]}",
        "with a newline": f"{head}.{body}.{sign}\n",
        "standard base64": f"{head}.{body}.{'+' + sign[1:]}",
        "slashes": f"{head}.{body}.{'/' + sign[1:]}",
        "zeros": f"{head}.{body}.{coded(bytes(32))}",
        "in hex": f"{head}.{body}.{base64.urlsafe_b64decode(sign + '=').hex()}",
        # 43 characters hold 258 bits: the last two must be zero, or one value would have four spellings.
        "another spelling": f"{head}.{body}.{sign[:-1]}{other_spelling(sign[-1])}",
        "padded header": f"{head}=.{body}.{sign}",
        "padded body": f"{head}.{body}==.{sign}",
        "not base64": f"{head}.{body}.***",
        "not ascii": f"{head}.{body}.é{sign[1:]}",
        "a surrogate": f"{head}.{body}.\udc80{sign[1:]}",
        "full-width": f"{head}.{body}.Ａ{sign[1:]}",
        "another's body": f"{head}.{coded(json.dumps(claims(pair, exp=int(NOW) + 9999)).encode())}.{sign}",
        "another's header": f"{coded(SHORT)}.{body}.{sign}",
    }
    for place in (0, 7, 21, 40):
        changed = "A" if sign[place] != "A" else "B"
        found[f"a changed letter at {place}"] = f"{head}.{body}.{sign[:place]}{changed}{sign[place + 1 :]}"
    return found


def other_spelling(last: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) + 1]


def other_claims(pair: NewKey) -> dict[str, str]:
    long = 10**400
    found = {
        **{f"iss {iss!r}"[:40]: signed(pair, iss=iss) for iss in (
            ..., None, "", 5, True, ["x"], {"a": 1}, "ak-kinora-000000000000000000000000", "a\u0000b", "' OR 1=1 --",
            "../../secret", "é" * 4, "x" * 65, "x" * 3000, f" {pair.access_key}", f"{pair.access_key} ",
            str(pair.access_key).upper(), [pair.access_key], pair.secret, pair.key.shown, "*", "%",
        )},
        **{f"exp {exp!r}"[:40]: signed(pair, exp=exp) for exp in (
            ..., None, "", str(int(NOW) + 1800), True, [int(NOW) + 1800], {"exp": 1}, float("nan"), float("inf"), long,
        )},
        **{f"nbf {nbf!r}"[:40]: signed(pair, nbf=nbf) for nbf in (
            None, "", str(int(NOW) - 5), False, [0], {}, float("-inf"), float("nan"), long, -long,
        )},
    }  # fmt: skip
    ends = int(NOW) + 1800
    bodies = {
        "iss twice": f'{{"iss":"{pair.access_key}","iss":"{pair.access_key}","exp":{ends}}}',
        "exp twice": f'{{"iss":"{pair.access_key}","exp":1,"exp":{ends}}}',
        "exp written twice in two ways": f'{{"iss":"{pair.access_key}","exp":1,"\\u0065xp":{ends}}}',
        "exp of 1e999": f'{{"iss":"{pair.access_key}","exp":1e999}}',
        "exp in capitals": f'{{"iss":"{pair.access_key}","EXP":{ends}}}',
        "not JSON": "iss=me",
        "half JSON": f'{{"iss":"{pair.access_key}","exp":{ends}',
        "two objects": f'{{"iss":"{pair.access_key}","exp":{ends}}}{{}}',
        "a list": f'[{{"iss":"{pair.access_key}","exp":{ends}}}]',
        "a word": '"iss"',
        "null": "null",
        "nothing": " ",
        "deep": "[" * 2000 + "]" * 2000,
        "deep claims": f'{{"iss":"{pair.access_key}","exp":{ends},"a":{"[" * 1200}{"]" * 1200}}}',
        "a byte order mark": f'\ufeff{{"iss":"{pair.access_key}","exp":{ends}}}',
        "a long exp": f'{{"iss":"{pair.access_key}","exp":{"9" * 2000}}}',
    }
    found |= {f"payload: {name}": raw(pair, body.encode()) for name, body in bodies.items()}
    found["payload: UTF-16"] = raw(pair, json.dumps(claims(pair)).encode("utf-16"))
    found["payload: not text"] = raw(pair, b"\xff\xfe\x00")
    return found


def other_shapes(pair: NewKey) -> dict[str, str]:
    good = signed(pair)
    head, body, sign = good.split(".")
    return {
        "one part": head, "two parts": f"{head}.{body}", "four parts": f"{good}.{sign}",
        "five parts, encrypted": f"{coded(SEALED)}..{coded(bytes(12))}.{body}.{sign}",
        "no header": f".{body}.{sign}", "no body": f"{head}..{sign}", "dots": "..", "dots in line": "...",
        "a scheme": f"Bearer {good}", "quoted": f'"{good}"', "a dot behind": f"{good}.", "a space before": f" {good}",
        "huge": f"{good}{'A' * LONGEST}", "huge body": raw(pair, b'{"a":"' + b"x" * 5000 + b'"}'),
        "a megabyte": "A" * 2**20, "a megabyte of dots": "." * 2**20, "a huge header": "A" * 3000 + f".{body}.{sign}",
        "the access key": str(pair.access_key), "the secret key": pair.secret, "its hash": "0" * 64,
        "reversed": good[::-1], "swapped": f"{body}.{head}.{sign}", "NUL": f"{head}.{body}.{sign}\0",
        "opaque": "sk-kinora-" + "A" * 43, "opaque, empty": "sk-kinora-", "a wildcard": "%", "a quote": "' OR ''='",
        "a surrogate": "\udc80", "an emoji": "🔑",
    }  # fmt: skip


FORGERS: tuple[Callable[[NewKey], dict[str, str]], ...] = (
    other_algorithms, other_headers, other_secrets, other_signatures, other_claims, other_shapes,
)  # fmt: skip


def test_forged_tokens_are_refused_with_the_right_reason(on_both: Accounts) -> None:
    accounts = on_both
    pair = accounts.new_key(accounts.create("studio").id, "kling", kind="pair")
    assert accounts.authenticate(signed(pair), now=NOW).key.id == pair.key.id
    count, wrong = 0, {}
    for forger in FORGERS:
        for name, token in forger(pair).items():
            count += 1
            try:
                accounts.authenticate(token, now=NOW)
                wrong[forger.__name__, name] = "let in"
            except Unauthenticated as refused:
                if refused.reason != "invalid" or refused.status != 401:
                    wrong[forger.__name__, name] = refused.reason
    assert wrong == {}
    assert count >= 100


def test_a_forged_token_does_not_learn_what_time_it_is(accounts: Accounts, pair: NewKey) -> None:
    """Only who has the secret is told early or expired."""
    for ends, begins in ((NOW - 9999, NOW - 9999), (NOW + 9999, NOW + 999)):
        body = json.dumps(claims(pair, exp=ends, nbf=begins)).encode()
        with pytest.raises(Unauthenticated) as refused:
            accounts.authenticate(made(HEADER, body, b"a guess"), now=NOW)
        assert refused.value.reason == "invalid"


def test_nothing_is_missing(accounts: Accounts) -> None:
    for token in (None, "", " ", "\t\n"):
        with pytest.raises(Unauthenticated, match="Authorization: Bearer") as refused:
            accounts.authenticate(token)
        assert refused.value.reason == "missing"


def test_messages_do_not_repeat_the_token(accounts: Accounts, pair: NewKey) -> None:
    for forger in FORGERS:
        for name, token in forger(pair).items():
            if len(token.strip()) > 10:
                with pytest.raises(Unauthenticated) as refused:
                    accounts.authenticate(token, now=NOW)
                assert token[:40] not in refused.value.message, name
                assert pair.secret not in refused.value.message


def test_a_token_of_another_account_s_pair_opens_that_account(accounts: Accounts, pair: NewKey) -> None:
    other = accounts.new_key(accounts.create("another").id, "kling", kind="pair")
    assert accounts.authenticate(signed(other), now=NOW).account.name == "another"
    mixed = made(HEADER, json.dumps(claims(pair)).encode(), other.secret.encode())
    with pytest.raises(Unauthenticated, match="signature"):
        accounts.authenticate(mixed, now=NOW)


def test_what_looks_signed() -> None:
    assert looks_signed(f"{coded(HEADER)}.x.y")
    assert looks_signed(f"{coded(b'[]')}.x.y")
    assert not looks_signed("sk-kinora.x.y")
    assert not looks_signed(f"{coded(HEADER)}.x")
    assert not looks_signed(f"{coded(b'[' * 3000)}.x.y")
