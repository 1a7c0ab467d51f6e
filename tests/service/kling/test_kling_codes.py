"""Credentials and every code that can be reached, each by the way a client reaches it."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from PIL import Image

import kinora.presets

TEXT = "/v1/videos/text2video"
IMAGE = "/v1/videos/image2video"
TURBO = "/text-to-video/kling-3.0-turbo"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("path", "method"), [(TEXT, "GET"), (TURBO, "POST"), ("/tasks?task_ids=1", "GET")])
def test_tokens_and_keys_open_both_families(pair: Any, path: str, method: str) -> None:
    client, token = pair()
    body = {"prompt": "a ball"} if method == "POST" else None
    assert client(method, path, body).code == 0
    assert client(method, path, body, headers=bearer(token())).code == 0
    codes = {
        1001: {"Authorization": None},
        1003: bearer(token(begins=600)),
        1004: bearer(token(lives=-60, begins=-120)),
    }
    forms = {
        "no scheme": {"Authorization": "nonsense"},
        "unknown key": bearer("sk-kinora-" + "x" * 43),
        "another secret": bearer(token(secret="s" * 48)),
        "no such access key": bearer(token(iss="ak-kinora-" + "0" * 24)),
        "no signature": bearer(unsigned(token())),
        "cut off": bearer(token()[:-4]),
    }
    for code, headers in codes.items():
        reply = client(method, path, body, headers=headers)
        assert (reply.status, reply.code) == (401, code), headers
    for what, headers in forms.items():
        reply = client(method, path, body, headers=headers)
        assert reply.status == 401, what
        assert reply.code in (1000, 1002), (what, reply.code)


def unsigned(token: str) -> str:
    """The token with `alg` none, as attackers send it."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def test_the_sender_is_asked_for_before_the_body(served: Any) -> None:
    client = served.client()
    assert client.post(TEXT, "{", headers={"Authorization": None}).code == 1001


def test_the_vendors_sample_token(pair: Any) -> None:
    """As in the vendor's documentation: PyJWT, `typ` in the header, 30 minutes, five seconds back."""
    client, token = pair()
    told = token()
    claims = jwt.decode(told, options={"verify_signature": False})
    assert set(claims) == {"iss", "exp", "nbf"}
    assert claims["exp"] - claims["nbf"] == 1805
    assert client.get(TEXT, headers=bearer(told)).data == []


def test_accounts_that_may_not(served: Any) -> None:
    client = served.client(plan="free", units=0)
    assert client.post(TEXT, {"prompt": "a ball", "mode": "pro"}).code == 0
    full = client.post(TEXT, {"prompt": "a ball"})
    assert (full.status, full.code) == (429, 1303)
    poor = served.client(plan="standard", units=0)
    with served.service.database.write() as c:
        served.service.ledger.refresh(c, poor.account)
        c.execute(
            sa.text("UPDATE books SET balance = 0 WHERE kind = 'grant' AND account_id = :a"), {"a": poor.account.id}
        )
    out = poor.post(TEXT, {"prompt": "a ball"})
    assert (out.status, out.code) == (429, 1102)
    served.service.accounts.change(poor.account.id, state="suspended")
    gone = poor.post(TEXT, {"prompt": "a ball"})
    assert (gone.status, gone.code) == (429, 1100)


def test_a_session_without_our_header_has_no_right(served: Any) -> None:
    client = served.client()
    served.service.accounts.change(client.account.id, password="a password of some length")
    session = served.service.accounts.login(client.account.name, "a password of some length")
    cookie = {"Authorization": None, "Cookie": f"kinora_session={session.secret}"}
    reply = client.post(TEXT, {"prompt": "a ball"}, headers=cookie)
    assert (reply.status, reply.code) == (403, 1103)


def test_content_rules(served: Any) -> None:
    client = served.client()
    reply = client.post(TEXT, {"prompt": "child pornography"})
    assert (reply.status, reply.code) == (400, 1301)
    hidden = client.post(TEXT, {"prompt": "a ball", "multi_shot": True, "shot_type": "customize", "multi_prompt": [
        {"prompt": "a ball", "duration": 2}, {"prompt": "child pornography", "duration": 2}]})  # fmt: skip
    assert hidden.code == 1301


def test_too_fast(served_class: Any, settings_for: Any, tmp_path: Path) -> None:
    served = served_class(settings_for(tmp_path, requests_per_minute=5))
    try:
        client = served.client()
        codes = [client.get(TEXT).code for _ in range(7)]
        assert codes == [0] * 5 + [1302] * 2
        reply = client.get(TEXT)
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
    finally:
        served.close()


def test_faults_of_our_own(
    served_class: Any, settings_for: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = served_class(settings_for(tmp_path))
    try:
        client = served.client()
        client.get(TEXT)

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a secret of the inside")

        with monkeypatch.context() as patch:
            patch.setattr("kinora.service.api.kling.legacy_tasks.page_of", broken)
            reply = client.get(TEXT)
        assert (reply.status, reply.code) == (500, 5000)
        assert "secret" not in reply.message
        with served.service.database.write() as c:
            c.execute(sa.text("ALTER TABLE outputs RENAME TO elsewhere"))
            c.execute(sa.text("ALTER TABLE tasks RENAME TO tasks_elsewhere"))
        reply = client.get(TEXT)
        assert (reply.status, reply.code) == (503, 5001)
    finally:
        served.close()


def test_a_body_too_large_is_told_in_this_shape(served: Any) -> None:
    client = served.client()
    for path in (TEXT, "/kling" + TEXT):
        reply = client.post(path, b" " * (65 * 2**20))
        assert (reply.status, reply.code) == (400, 1201)


def test_what_the_loaded_model_cannot_do_is_a_bad_value(served_class: Any, settings_for: Any, tmp_path: Path) -> None:
    """Open weights that film words alone: what they follow stands in their preset, sizes and lengths are their own."""
    manifest = json.loads((Path(kinora.presets.__file__).parent / "tiny" / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"name": "plain", "family": "wan", "preset": "wan2.1-t2v-1.3b"}
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    served = served_class(settings_for(tmp_path, serves=str(tmp_path / "plain")))
    try:
        client = served.client()
        pixels = io.BytesIO()
        Image.new("RGB", (320, 320), "red").save(pixels, "PNG")
        picture = base64.b64encode(pixels.getvalue()).decode()
        refused = client.post("/v1/videos/multi-image2video", {"prompt": "a ball", "image_list": [{"image": picture}]})
        assert (refused.status, refused.code) == (400, 1201)
        assert "plain was not made to follow references" in refused.message
        data = client.post(TEXT, {"prompt": "a red ball rolls", "duration": "30", "aspect_ratio": "4:3"}).data
        task = served.service.tasks.get(client.account.id, int(data["task_id"]))
        assert (task.model, task.request["aspect"], task.request["seconds"]) == (
            str(tmp_path / "plain"),
            "16:9",
            5.0625,
        )
        moved = client.post(TEXT, {"prompt": "a ball", "camera_control": {"type": "forward_up"}})
        assert (moved.status, moved.code) == (400, 1201)
        assert "camera moves" in moved.message
        assert client.post(IMAGE, {"image": picture}).code == 1201
        shots = client.post(TURBO, {"prompt": "shot 1, 3, a ball; shot 2, 5, a cube;"})
        assert (shots.code, "at most 5.0625 s" in shots.message) == (1201, True)
    finally:
        served.close()


def test_costs_are_the_ledgers_grants(served: Any) -> None:
    client = served.client(plan="standard", units=500)
    now = int(time.time() * 1000)
    for query in ("", f"?start_time={now}", f"?end_time={now}"):
        missing = client.get(f"/account/costs{query}")
        assert (missing.status, missing.code) == (400, 1200)
    assert client.get("/account/costs?start_time=x&end_time=1").code == 1201
    assert client.get(f"/account/costs?start_time={now}&end_time={now - 5}").code == 1201
    told = client.get(f"/account/costs?start_time={now - 86_400_000}&end_time={now + 60_000}").data
    assert (told["code"], told["msg"]) == (0, "success")
    plan, gift = told["resource_pack_subscribe_infos"]
    assert (gift["resource_pack_name"], gift["total_quantity"], gift["remaining_quantity"]) == (
        "gift test",
        500.0,
        500.0,
    )
    assert (gift["resource_pack_type"], gift["status"]) == ("decreasing_total", "online")
    assert (plan["total_quantity"], plan["resource_pack_type"]) == (660.0, "constant_period")
    assert type(plan["resource_pack_id"]) is str
    assert all(type(plan[name]) is int for name in ("purchase_time", "effective_time", "invalid_time"))
    units = served.service.tasks.get(
        client.account.id, int(client.post(TEXT, {"prompt": "a ball"}).data["task_id"])
    ).units
    named = client.get(f"/kling/account/costs?start_time=0&end_time={now + 60_000}&resource_pack_name=gift test").data
    assert len(named["resource_pack_subscribe_infos"]) == 1
    after = client.get(f"/account/costs?start_time=0&end_time={now + 60_000}").data["resource_pack_subscribe_infos"]
    assert sum(pack["remaining_quantity"] for pack in after) == 1160 - units
    assert client.get(f"/account/costs?start_time={now - 900_000}&end_time={now - 800_000}").data[
        "resource_pack_subscribe_infos"
    ] == []  # fmt: skip
