"""Tasks over the native format: every kind, every condition, prices, keys, steering."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}
EDIT = {"kind": "edit", "prompt": "a"}
BRUSHED = {"kind": "image_to_video", "prompt": "a", "image": "PICTURE"}
STROKE = {"mask": "LEFT", "points": [[0.1, 0.1], [0.5, 0.5]]}
ONWARD = {"kind": "extend", "prompt": "a"}
Make = Callable[..., bytes]


def bring(tenant: Any, content: bytes, purpose: str = "any") -> str:
    answer = tenant.put(f"/api/uploads/file?purpose={purpose}", content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()["digest"]


MASKS = {"left": slice(0, 20), "right": slice(30, 64), "all": slice(0, 64), "none": slice(0, 0)}


def painted(columns: slice) -> bytes:
    """A mask of 64 x 64 that is white in some columns."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, columns] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def stock(served: Any, picture: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An account with pictures, a film of its own and an element."""
    tenant = served.tenant()
    service, account = served.service, tenant.account.id
    file = tmp_path_factory.mktemp("stock") / "film.mp4"
    file.write_bytes(b"a film")
    film = service.assets.store(account, file, "video/mp4", width=64, height=64, frames=5, frame_rate=1.0)
    pictures = [bring(tenant, picture(seed=seed)) for seed in range(3)]
    wish = {"name": "Ann", "description": "a woman", "frontal": pictures[0], "refers": pictures[1:2]}
    element = tenant.post("/api/elements", json=wish).json()["id"]
    done = served.finish(tenant.post("/api/tasks", json=BALL).json()["id"], file.parent)
    masks = {name: bring(tenant, painted(columns), "mask") for name, columns in MASKS.items()}
    made = {"film": film.digest, "element": element, "output": done.outputs[0]}
    return {"tenant": tenant, "pictures": pictures, **made, **masks}


def test_a_task_is_priced_accepted_and_found_again(served: Any) -> None:
    tenant = served.tenant(plan="free")
    price = tenant.post("/api/price", json=BALL | {"seconds": 2, "quality": "draft"}).json()
    assert (price["units"], price["available"], price["frames"], price["model"]) == (6, 66, 2, "stub")
    assert "film" in price["plan"]
    assert tenant.get("/api/account").json()["balance"] == {"available": 66, "held": 0}
    said = {"seconds": 2.0, "quality": "draft", "seed": 7, "negative": "rain", "aspect": "16:9"}
    made = tenant.post("/api/tasks", json=BALL | said | {"external_id": "mine"})
    assert made.status_code == 201
    task = made.json()
    assert (task["state"], task["units"], task["external_id"]) == ("submitted", 6, "mine")
    assert task["position"] >= 0
    assert task["request"] == {"prompt": "a red ball rolls", **said}
    assert tenant.get("/api/account").json()["balance"] == {"available": 60, "held": 6}
    assert tenant.get(f"/api/tasks/{task['id']}").json()["id"] == task["id"]
    # A free account has one film under way.
    second = tenant.post("/api/tasks", json=BALL | {"seconds": 2, "quality": "draft"})
    assert (second.status_code, second.json()["error"]["code"]) == (429, "too_many_tasks")
    assert tenant.post(f"/api/tasks/{task['id']}/cancel").json()["state"] == "cancelled"
    assert tenant.get("/api/account").json()["balance"] == {"available": 66, "held": 0}
    dear = tenant.post("/api/tasks", json=BALL | {"seconds": 60})
    assert (dear.status_code, dear.json()["error"]["code"]) == (402, "out_of_units")
    lines = tenant.get("/api/account/statement").json()["lines"]
    assert [(line["kind"], line["change"], line["held"]) for line in lines] == [
        ("release", 6, -6), ("hold", -6, 6), ("grant", 66, 0),
    ]  # fmt: skip
    assert lines[0]["task_id"] == task["id"]
    older = tenant.get("/api/account/statement", params={"limit": 1}).json()
    assert tenant.get("/api/account/statement", params={"before": older["next"]}).json()["lines"] == lines[1:]


def test_the_same_key_gives_the_same_task(tenant: Any) -> None:
    first = tenant.post("/api/tasks", json=BALL, headers={"idempotency-key": "one"})
    again = tenant.post("/api/tasks", json={"prompt": BALL["prompt"], **BALL}, headers={"idempotency-key": "one"})
    assert again.json() == first.json()
    other = tenant.post("/api/tasks", json=BALL | {"seconds": 3}, headers={"idempotency-key": "one"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "conflict")
    assert tenant.post("/api/tasks", json=BALL, headers={"idempotency-key": "two"}).json()["id"] != first.json()["id"]
    assert tenant.post("/api/tasks", json=BALL, headers={"idempotency-key": "x" * 256}).status_code == 400
    assert len(tenant.get("/api/tasks").json()["tasks"]) == 2
    named = BALL | {"external_id": "a"}
    assert [tenant.post("/api/tasks", json=named).status_code for _ in range(2)] == [201, 409]


def test_tasks_are_listed_filtered_and_paged(tenant: Any) -> None:
    ids = [tenant.post("/api/tasks", json=BALL | {"seed": seed}).json()["id"] for seed in range(5)]
    still = tenant.post("/api/tasks", json={"kind": "text_to_image", "prompt": "a ball", "count": 3}).json()
    assert (still["units"], still["kind"]) == (24, "text_to_image")
    tenant.post(f"/api/tasks/{ids[1]}/cancel")

    def found(**query: Any) -> list[str]:
        return [task["id"] for task in tenant.get("/api/tasks", params=query).json()["tasks"]]

    assert found() == [still["id"], *reversed(ids)]
    assert found(kind="text_to_image") == [still["id"]]
    assert found(state=["cancelled", "failed"]) == [ids[1]]
    page = tenant.get("/api/tasks", params={"limit": 2}).json()
    assert [task["id"] for task in page["tasks"]] == [still["id"], ids[4]]
    assert found(before=page["next"], limit=3) == [ids[3], ids[2], ids[1]]
    assert found(until=0) == []
    assert found(since=0) == [still["id"], *reversed(ids)]
    for wrong in ({"limit": 0}, {"limit": 201}, {"kind": "x"}, {"before": "x"}, {"before": "9223372036854775808"}):
        assert tenant.get("/api/tasks", params=wrong).status_code == 400, wrong


def test_a_task_that_waits_is_steered(served: Any) -> None:
    tenant = served.tenant()
    first, second = (tenant.post("/api/tasks", json=BALL).json()["id"] for _ in range(2))
    before = tenant.get(f"/api/tasks/{second}").json()["position"]
    tenant.post(f"/api/tasks/{second}/first")
    assert tenant.get(f"/api/tasks/{second}").json()["position"] < before
    paused = tenant.post(f"/api/tasks/{first}/pause").json()
    assert (paused["paused"], paused["position"]) == (True, None)
    assert tenant.post(f"/api/tasks/{first}/resume").json()["paused"] is False
    assert tenant.delete(f"/api/tasks/{first}").status_code == 409
    served.step(second, 1)
    for act in ("pause", "resume", "first"):
        assert tenant.post(f"/api/tasks/{second}/{act}").status_code == 409, act
    under_way = tenant.get(f"/api/tasks/{second}").json()
    told = [under_way[name] for name in ("state", "step", "steps", "seconds_left")]
    assert told == ["processing", 1, 8, 1.5]
    assert tenant.post(f"/api/tasks/{second}/cancel").json()["cancelling"] is True
    assert tenant.post(f"/api/tasks/{first}/cancel").json()["state"] == "cancelled"
    assert tenant.delete(f"/api/tasks/{first}").json() == {"ok": True}
    assert tenant.get(f"/api/tasks/{first}").status_code == 404


def test_outputs_are_shown_with_links_that_open(served: Any, tmp_path: Path) -> None:
    tenant = served.tenant()
    ids = [tenant.post("/api/tasks", json=BALL).json()["id"] for _ in range(2)]
    for task_id in ids:
        served.finish(task_id, tmp_path)
    task = tenant.get(f"/api/tasks/{ids[0]}").json()
    [output] = task["outputs"]
    assert (task["state"], task["charged"], task["progress"]) == ("succeed", 30, 1.0)
    assert served.nobody().get(output["url"]).content == f"film {ids[0]}".encode()
    assert tenant.get(f"/api/outputs/{output['id']}").json()["digest"] == output["digest"]
    gallery = tenant.get("/api/outputs", params={"limit": 1}).json()
    assert [one["task_id"] for one in gallery["outputs"]] == [ids[1]]
    older = tenant.get("/api/outputs", params={"before": gallery["next"]}).json()["outputs"]
    assert [one["id"] for one in older] == [output["id"]]
    assert tenant.get("/api/outputs", params={"kind": "image"}).json()["outputs"] == []
    tenant.delete(f"/api/tasks/{ids[0]}")
    assert tenant.get(f"/api/outputs/{output['id']}").status_code == 404


CONSENT = {"person": "Ann", "statement": "I agree"}
FACE = {"x": 0.5, "y": 0.4, "radius": 0.1}


@pytest.mark.parametrize(
    ("kind", "wish", "conditions"),
    [
        ("image_to_video", {"image": 0, "end_image": 1}, ["keyframe", "keyframe"]),
        ("image_to_video", {"keyframes": [{"asset": 0}, {"asset": 1, "at": 2, "fit": "pad"}]}, ["keyframe"] * 2),
        ("text_to_video", {"camera": {"pan": 5, "forward": -2}}, ["moves"]),
        ("text_to_video", {"camera": {"path": [{"seconds": 0}, {"seconds": 2, "x": 1}]}}, ["moves"]),
        (
            "image_to_video",
            {"image": 0, "brush": {"strokes": [STROKE | {"mask": "left"}], "static": "right"}},
            ["keyframe", "brush"],
        ),
        (
            "text_to_video",
            {"prompt": "@ann walks", "references": [{"asset": 0, "name": "ann", "consent": CONSENT}]},
            ["reference"],
        ),
        ("text_to_video", {"references": [{"element": "element", "consent": CONSENT}]}, ["reference"]),
        ("extend", {"extend": {"film": {"asset": "film"}, "before": True}}, ["continue"]),
        ("extend", {"extend": {"film": {"output": "output"}}}, ["continue"]),
        ("edit", {"edit": {"film": {"asset": "film"}, "mask": "left"}}, ["region"]),
        (
            "speak",
            {"speak": {"track": {"frames": [[0.5, 0.5, 0, 0], [0, 0, 0, 0]]}, "face": [FACE]}},
            ["speech"],
        ),
        (
            "speak",
            {
                "speak": {
                    "track": {"frames": [[0.5, 0.5, 0, 0]]}, "face": [FACE], "film": {"asset": "film"},
                }
            },
            ["speech"],
        ),
        ("text_to_video", {"script": [{"at": 2, "prompt": "it falls"}]}, []),
    ],
)  # fmt: skip
def test_every_condition_becomes_the_cores(
    served: Any, stock: dict[str, Any], kind: str, wish: dict[str, Any], conditions: list[str]
) -> None:
    tenant = stock["tenant"]

    def real(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: real(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return value if name in ("points", "frames") else [real(one) for one in value]
        if name in ("asset", "image", "end_image", "mask", "static") and isinstance(value, int):
            return stock["pictures"][value]
        if value == "output":
            return str(stock["output"].id)
        return stock[value] if value in ("film", "element", "left", "right") else value

    body = {"kind": kind, "prompt": "a ball", **real(wish)}
    price = tenant.post("/api/price", json=body)
    assert price.status_code == 200, price.text
    answer = tenant.post("/api/tasks", json=body)
    assert answer.status_code == 201, answer.text
    task = answer.json()
    assert task["units"] == price.json()["units"]
    assert [one["kind"] for one in task["request"].get("conditions", [])] == conditions
    if kind == "extend":
        told = task["request"]["conditions"][0].get("told")
        assert told == ("a red ball rolls" if task["parent_output_id"] else None)
    # Every material is an asset that the worker finds under that digest.
    for condition in task["request"].get("conditions", []):
        for name in ("still", "footage", "voice", "mask", "static"):
            if name in condition:
                assert served.service.assets.get(tenant.account.id, condition[name]["digest"]).bytes > 0


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        ({"kind": "extend", "prompt": "a"}, 400, None, "needs `extend`"),
        ({"kind": "edit", "prompt": "a"}, 400, None, "needs `edit`"),
        (BALL | {"image": "0" * 64}, 400, None, "films from pictures"),
        ({"kind": "image_to_video", "prompt": "a", "image": "0" * 64}, 400, "image", "upload the file first"),
        ({"kind": "image_to_video", "prompt": "a", "image": "FILM"}, 400, "image", "of the kind video"),
        (ONWARD | {"extend": {"film": {"asset": "PICTURE"}}}, 400, "extend.film", "kind image"),
        (ONWARD | {"extend": {"film": {"output": "1"}}}, 400, "extend.film.output", "no output"),
        (ONWARD | {"extend": {"film": {}}}, 400, "extend.film", "give one of them"),
        (BALL | {"references": [{"element": "1"}]}, 400, "references[0].element", "no element"),
        (BALL | {"references": [{}]}, 400, "references[0]", "give one of them"),
        (BALL | {"references": [{"asset": "PICTURE"}]}, 403, None, "consent"),
        (EDIT | {"edit": {"film": {"asset": "FILM"}, "mask": "NONE"}}, 400, "edit.mask", "empty"),
        (BRUSHED | {"brush": {"strokes": [STROKE], "static": "ALL"}}, 400, None, "overlap"),
        (BRUSHED | {"brush": {}}, 400, None, "paint at least one"),
        (BALL | {"model": "nothing"}, 404, None, "no model"),
        (BALL | {"count": 2}, 400, "count", "one film"),
        (BALL | {"prompt": "@nobody walks"}, 400, None, "@nobody"),
        (BALL | {"camera": {"pan": 1, "path": [{"seconds": 0}]}}, 400, None, "not both"),
        (BALL | {"script": [{"at": 9, "prompt": "x"}]}, 400, None, "after the film's"),
        (BALL | {"callback_url": "ftp://x"}, 400, "callback_url", "pattern"),
        (BALL | {"external_id": "a\u0000b"}, 400, "external_id", "pattern"),
        (BALL | {"prompt": "a\u0000b"}, 400, None, "not text"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    stock: dict[str, Any], body: dict[str, Any], status: int, field: str | None, words: str
) -> None:
    text = json.dumps(body).replace("FILM", stock["film"]).replace("PICTURE", stock["pictures"][2])
    for name in MASKS:
        text = text.replace(name.upper(), stock[name])
    for path in ("/api/tasks",) if status == 403 else ("/api/price", "/api/tasks"):
        answer = stock["tenant"].post(path, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["field"] == field
        assert words in answer.json()["error"]["message"]


def test_a_consent_is_recorded_once(served: Any, picture: Make) -> None:
    tenant = served.tenant()
    shown = bring(tenant, picture(seed=9))
    body = BALL | {"references": [{"asset": shown}]}
    assert tenant.post("/api/tasks", json=body).status_code == 403
    agreed = BALL | {"references": [{"asset": shown, "consent": CONSENT}]}
    assert [tenant.post("/api/tasks", json=agreed).status_code for _ in range(2)] == [201, 201]
    [consent] = tenant.get("/api/consents", params={"digest": shown}).json()["consents"]
    assert (consent["person"], consent["statement"]) == ("Ann", "I agree")
    assert tenant.post("/api/tasks", json=body).json()["request"]["conditions"][0]["consent"] is True
    assert tenant.delete(f"/api/consents/{consent['id']}").json()["revoked_at"] > 0
    assert tenant.post("/api/tasks", json=body).status_code == 403
