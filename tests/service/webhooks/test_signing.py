"""Standard Webhooks 1.0, against its vector and its own package; rotation by the calendar."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook, WebhookVerificationError

from kinora.service.signing import OVERLAP_MS, new_secret, signature, signed_headers
from kinora.service.store import now_ms, tables

SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
BODY = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'


def test_kling_s_vector() -> None:
    signed = signature(SECRET, "9876543210", 1781080794, BODY)
    assert signed == "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="


@pytest.mark.parametrize("body", [b"{}", BODY, '{"text":"图片 🎬"}'.encode(), b"", b"a.b.c"])
def test_the_package_signs_the_same(body: bytes) -> None:
    secret, moment = new_secret(), datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)
    ours = signature(secret, "42", int(moment.timestamp()), body)
    assert ours == Webhook(secret).sign("42", moment, body.decode())


def test_the_package_verifies_and_a_changed_byte_fails() -> None:
    secret = new_secret()
    headers = signed_headers([secret], "42", now_ms() // 1000, BODY)
    assert Webhook(secret).verify(BODY, headers)["status"] == "succeeded"
    for changed in (
        (BODY.replace(b"1", b"2", 1), headers),
        (BODY, headers | {"webhook-id": "43"}),
        (BODY, headers | {"webhook-timestamp": str(now_ms() // 1000 + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(*changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


def test_a_secret_has_256_bits_and_none_is_like_another() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(secret) == 6 + 44 for secret in made)


def test_two_secrets_give_two_signatures_and_none_gives_no_headers() -> None:
    one, two = new_secret(), new_secret()
    headers = signed_headers([one, two], "42", now_ms() // 1000, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert Webhook(one).verify(BODY, headers) == Webhook(two).verify(BODY, headers)
    assert signed_headers([], "42", 1, BODY) == {}


def test_standard_rotation_keeps_the_old_secret_seven_days(post_on_both) -> None:
    post = post_on_both
    assert post.webhooks.secret(post.account_id) is None
    first = post.webhooks.rotate(post.account_id, now=post.now)
    second = post.webhooks.rotate(post.account_id, now=post.now)
    assert post.webhooks.secret(post.account_id) == second != first

    def valid(at: int) -> tuple[str, ...]:
        with post.database.read() as c:
            return post.webhooks._secrets.valid(c, post.account_id, at)

    assert valid(post.now + OVERLAP_MS - 1) == (second, first)
    assert valid(post.now + OVERLAP_MS) == (second,)
    third = post.webhooks.rotate(post.account_id, now=post.now)
    assert valid(post.now) == (third, second)


def test_emergency_rotation_kills_the_old_secret_and_the_one_before_it(post_on_both) -> None:
    post = post_on_both
    post.webhooks.rotate(post.account_id, now=post.now)
    post.webhooks.rotate(post.account_id, now=post.now)
    fresh = post.webhooks.rotate(post.account_id, emergency=True, now=post.now)
    with post.database.read() as c:
        assert post.webhooks._secrets.valid(c, post.account_id, post.now) == (fresh,)
    assert post.webhooks.unsign(post.account_id)
    assert not post.webhooks.unsign(post.account_id)
    assert post.webhooks.secret(post.account_id) is None


def test_of_parallel_rotations_the_last_two_sign(post_on_both) -> None:
    post = post_on_both
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(post.webhooks.rotate(post.account_id, now=post.now)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with post.database.read() as c:
        valid = post.webhooks._secrets.valid(c, post.account_id, post.now)
    assert len(set(made)) == 8
    assert len(valid) == 2
    assert set(valid) <= set(made)


def test_secrets_are_sealed_and_another_account_has_its_own(post) -> None:
    secret = post.webhooks.rotate(post.account_id)
    other = post.account()
    assert post.webhooks.secret(other) is None
    with post.database.read() as c:
        sealed = bytes(c.execute(sa.select(tables.secrets.c.sealed)).scalar_one())
    assert secret.encode() not in sealed
    assert secret.removeprefix("whsec_").encode() not in sealed
