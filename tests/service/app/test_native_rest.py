"""Assets, feedback, people, keys, webhooks, administration: the native format beside its tasks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}


def test_files_are_brought_listed_linked_and_deleted(served: Any, picture: Callable[..., bytes]) -> None:
    tenant = served.tenant()
    form = tenant.post("/api/uploads", files={"file": ("my ball.png", picture(seed=1), "image/png")}).json()
    assert (form["kind"], form["origin"], form["width"], form["ours"]) == ("image", "upload", 64, False)
    raw = tenant.put("/api/uploads/b.png", content=picture(seed=2)).json()
    assert [one["digest"] for one in tenant.get("/api/assets").json()["assets"]] in (
        [raw["digest"], form["digest"]], [form["digest"], raw["digest"]],
    )  # fmt: skip
    page = tenant.get("/api/assets", params={"limit": 1}).json()
    assert len(tenant.get("/api/assets", params={"offset": page["next"]}).json()["assets"]) == 1
    assert tenant.get("/api/assets", params={"kind": "video"}).json()["assets"] == []
    assert served.nobody().get(raw["url"]).headers["content-type"] == "image/png"
    link = tenant.post(f"/api/assets/{raw['digest']}/link", params={"seconds": 60}).json()
    assert served.nobody().get(link["url"]).status_code == 200
    assert served.nobody().get(link["url"].replace("sign=", "sign=0")).status_code == 403
    assert tenant.delete(f"/api/assets/{raw['digest']}").json() == {"ok": True}
    assert tenant.get(f"/api/assets/{raw['digest']}").status_code == 404
    assert served.nobody().get(link["url"]).status_code == 404


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.mark.parametrize("content", [b"", b"not a picture", SVG, b"#EXTM3U\nhttp://x"])
def test_what_is_no_picture_film_or_sound_is_refused(tenant: Any, content: bytes) -> None:
    form = tenant.post("/api/uploads", files={"file": ("a.png", content)})
    for answer in (form, tenant.put("/api/uploads/a.png", content=content)):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid"
    assert tenant.get("/api/assets").json()["assets"] == []


def test_what_people_think_is_kept(served: Any, tmp_path: Path) -> None:
    tenant = served.tenant()
    outputs = []
    for _ in range(2):
        task_id = tenant.post("/api/tasks", json=BALL).json()["id"]
        outputs.append(str(served.finish(task_id, tmp_path).outputs[0].id))
    told = [
        {"task_id": task_id, "kind": "rating", "value": 4, "words": "nice"},
        {"task_id": task_id, "kind": "chosen", "output_id": outputs[1], "over": [outputs[0]]},
        {"task_id": task_id, "kind": "kept", "output_id": outputs[1]},
        {"task_id": task_id, "kind": "deleted", "output_id": outputs[1]},
    ]
    for wish in told:
        answer = tenant.post("/api/feedback", json=wish)
        assert answer.status_code == 201, answer.text
        assert wish.items() <= answer.json().items()
    found = tenant.get("/api/feedback", params={"task_id": task_id}).json()["feedback"]
    assert [one["kind"] for one in found] == ["deleted", "kept", "chosen", "rating"]
    for wrong in ({"value": 6}, {"value": None}, {"kind": "kept"}, {"over": ["1"]}, {"task_id": "x"}):
        assert tenant.post("/api/feedback", json=told[0] | wrong).status_code == 400, wrong
    assert tenant.post("/api/feedback", json=told[0] | {"task_id": "1"}).status_code == 404


def test_elements_are_made_of_pictures(tenant: Any, picture: Callable[..., bytes]) -> None:
    front, side = (tenant.put("/api/uploads/x.png", content=picture(seed=seed)).json()["digest"] for seed in (1, 2))
    wish = {"name": "Ann", "description": "a woman", "frontal": front, "refers": [side], "tags": ["o_102"]}
    made = tenant.post("/api/elements", json=wish).json()
    assert wish.items() <= made.items()
    assert int(made["id"]) < 2**53
    assert tenant.get(f"/api/elements/{made['id']}").json() == made
    assert tenant.get("/api/elements").json() == {"elements": [made], "next": None}
    assert tenant.post("/api/elements", json=wish | {"refers": []}).status_code == 400
    assert tenant.delete(f"/api/elements/{made['id']}").status_code == 200
    assert tenant.get(f"/api/elements/{made['id']}").status_code == 404


def test_keys_are_made_shown_once_and_revoked(served: Any, tenant: Any) -> None:
    made = tenant.post("/api/keys", json={"name": "laptop", "days": 1}).json()
    other = served.nobody(headers={"Authorization": f"Bearer {made['secret']}"})
    assert other.get("/api/account").json()["key_id"] == made["key"]["id"]
    pair = tenant.post("/api/keys", json={"name": "kling", "kind": "pair"}).json()
    assert pair["access_key"]
    listed = tenant.get("/api/keys")
    assert {key["name"] for key in listed.json()["keys"]} == {"test", "laptop", "kling"}
    assert made["secret"] not in listed.text
    assert pair["secret"] not in listed.text
    assert tenant.delete(f"/api/keys/{made['key']['id']}").status_code == 200
    assert other.get("/api/account").status_code == 401
    assert tenant.delete("/api/keys/1").status_code == 404


def test_an_account_changes_itself(tenant: Any) -> None:
    assert tenant.patch("/api/account", json={"language": "zh"}).json()["language"] == "zh"
    assert tenant.get("/api/account").json()["account"]["language"] == "zh"
    for wrong in ({"role": "admin"}, {"plan": "ultra"}, {"state": "active"}, {"name": ""}, {"password": "short"}):
        assert tenant.patch("/api/account", json=wrong).status_code == 400, wrong


def test_callbacks_are_signed_and_can_be_tried(served: Any, tenant: Any) -> None:
    assert tenant.get("/api/webhook").json() == {"secret": None}
    secret = tenant.post("/api/webhook/rotate", json={}).json()["secret"]
    assert secret.startswith("whsec_")
    assert tenant.get("/api/webhook").json() == {"secret": secret}
    secret, before = tenant.post("/api/webhook/rotate").json()["secret"], secret
    assert secret.startswith("whsec_")
    assert secret != before, "each field has a default, so a body may be left out"
    assert tenant.post("/api/webhook/rotate", json={"urgent": True}).status_code == 400
    refused = tenant.post("/api/webhook/test", json={"url": "http://127.0.0.1:9/"})
    assert refused.status_code == 400
    again = tenant.post("/api/webhook/test", json={"url": f"{served.url}/healthz"})
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= 6
    # The first change of a task with a callback is told of at once, in the body that `GET` would have.
    task = tenant.post("/api/tasks", json=BALL | {"callback_url": f"{served.url}/nothing"}).json()
    delivery = tenant.get("/api/webhook/deliveries").json()["deliveries"][0]
    assert (delivery["task_id"], delivery["state"], delivery["attempts"]) == (task["id"], "waiting", 0)
    kept = served.service.webhooks.page(tenant.account.id)[0]
    assert f'"id":"{task["id"]}"'.encode() in kept.body
    assert b'"state":"submitted"' in kept.body
    assert tenant.delete("/api/webhook").json() == {"ok": True}
    assert tenant.get("/api/webhook").json() == {"secret": None}


def test_models_are_told(tenant: Any) -> None:
    [model] = tenant.get("/api/models").json()["models"]
    assert (model["name"], model["default"]) == ("stub", True)
    assert {"aspect": "16:9", "width": 96, "height": 64} in model["sizes"]
    assert [one["name"] for one in model["qualities"]] == ["draft", "standard", "pro"]


def test_an_administrator_makes_changes_and_pays_accounts(served: Any, boss: Any) -> None:
    made = boss.post("/api/admin/accounts", json={"name": "a new one", "plan": "standard", "language": "en"})
    assert made.status_code == 201
    path = f"/api/admin/accounts/{made.json()['id']}"
    assert boss.post("/api/admin/accounts", json={"name": "a new one"}).status_code == 409
    assert boss.patch(path, json={"plan": "pro", "name": "renamed"}).json()["plan"] == "pro"
    grant = {"amount": 50, "source": "purchase", "period": "invoice-7"}
    assert boss.post(f"{path}/grants", json=grant).json() == {"given": True, "balance": {"available": 50, "held": 0}}
    assert boss.post(f"{path}/grants", json=grant).json()["given"] is False
    assert boss.post(f"{path}/grants", json={"amount": 1}).json()["balance"]["available"] == 51
    assert boss.get(path).json()["balance"]["available"] == 51
    key = boss.post(f"{path}/keys", json={"name": "first"}).json()
    assert [one["id"] for one in boss.get(f"{path}/keys").json()["keys"]] == [key["key"]["id"]]
    theirs = served.nobody(headers={"Authorization": f"Bearer {key['secret']}"})
    assert theirs.get("/api/account").json()["account"]["name"] == "renamed"
    assert boss.get("/api/admin/accounts/1").status_code == 404
    names, after = set(), None
    while True:
        page = boss.get("/api/admin/accounts", params={"limit": 5} | ({"after": after} if after else {})).json()
        names |= {account["name"] for account in page["accounts"]}
        after = page["next"]
        if after is None:
            break
    assert {"renamed", boss.account.name} <= names


def test_an_administrator_sees_tasks_workers_and_figures(served: Any, boss: Any, tmp_path: Path) -> None:
    tenant = served.tenant()
    before = boss.get("/api/admin/figures").json()["days"][-1]
    ids = [tenant.post("/api/tasks", json=BALL).json()["id"] for _ in range(3)]
    served.finish(ids[0], tmp_path)
    assert boss.post(f"/api/admin/tasks/{ids[1]}/cancel").json()["state"] == "cancelled"
    found = boss.get("/api/admin/tasks", params={"account_id": str(tenant.account.id)}).json()["tasks"]
    assert [one["task"]["id"] for one in found] == ids[::-1]
    assert found[2]["worker_id"] == "a worker"
    assert {one["account_id"] for one in found} == {str(tenant.account.id)}
    figures = boss.get("/api/admin/figures", params={"first": "2026-01-01"}).json()
    today = figures["days"][-1]
    assert today["day"] == dt.datetime.now(dt.UTC).date().isoformat()
    grown = {name: today[name] - before[name] for name in before if name != "day"}
    assert grown == {"accounts": 1, "tasks": 3, "succeeded": 1, "cancelled": 1, "failed": 0, "units": 30}
    assert figures["months"][-1]["tasks"] >= today["tasks"]
    assert figures["months"][0] == {"month": "2026-01-01", "accounts": 0, "tasks": 0, "units": 0}
    for wrong in (
        {"first": "2026-02-30"}, {"first": "2020-01-01"}, {"last": "2026-01-01", "first": "2026-01-02"},
        {"last": "0001-01-01"},
    ):  # fmt: skip
        assert boss.get("/api/admin/figures", params=wrong).status_code == 400, wrong
    assert boss.get("/api/admin/workers").json() == {"workers": []}


def test_a_sweep_lets_go_of_what_is_over(served: Any, boss: Any, picture: Callable[..., bytes]) -> None:
    import sqlalchemy as sa

    from kinora.service.store import tables

    tenant = served.tenant()
    digest = tenant.put("/api/uploads/x.png", content=picture(seed=77)).json()["digest"]
    with served.service.database.write() as c:
        c.execute(sa.update(tables.assets).where(tables.assets.c.digest == digest).values(expires_at=1))
    assert served.service.objects.has(served.service.assets.path_of(digest))
    assert boss.post("/api/admin/sweep").json() == {"recovered": 0, "brought_back": 0}
    assert not served.service.objects.has(served.service.assets.path_of(digest))


def test_figures_are_the_same_on_both_databases(database: Any) -> None:
    from kinora.service import figures
    from kinora.service.store import tables

    day = dt.date(2026, 3, 1)
    start = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp()) * 1000
    account = {"role": "member", "state": "active", "plan": "free", "language": "en", "created_at": 0}
    task = {
        "kind": "text_to_video", "model": "stub", "request": {}, "options": {}, "wire": {}, "slot_kind": "video",
        "slots": 1, "units": 9, "turn": 1, "updated_at": 0,
    }  # fmt: skip
    moments = [(1, start - 1, "failed", 0), (1, start, "succeed", 5), (2, start + 1, "succeed", 7),
               (2, start + 86_400_000 - 1, "cancelled", None), (1, start + 86_400_000, "submitted", None)]  # fmt: skip
    with database.write() as c:
        for number in (1, 2):
            c.execute(tables.accounts.insert().values(**account, id=number, name=f"account {number}"))
        for number, (owner, at, state, charged) in enumerate(moments):
            row = {"id": number + 1, "account_id": owner, "created_at": at, "state": state, "charged": charged}
            c.execute(tables.tasks.insert().values(**task, **row))
    days = figures.by_day(database, day, day + dt.timedelta(days=2))
    assert [(one.accounts, one.tasks, one.succeeded, one.failed, one.cancelled, one.units) for one in days] == [
        (2, 3, 2, 0, 1, 12), (1, 1, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    months = figures.by_month(database, dt.date(2026, 2, 15), day)
    assert [(one.month.month, one.accounts, one.tasks, one.units) for one in months] == [(2, 1, 1, 0), (3, 2, 4, 12)]
