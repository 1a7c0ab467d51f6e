"""No account sees or touches what is another's: every operation with an id, of every format, with every kind of id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import iter_route_contexts

from kinora.service.api.kling.table import Table
from kinora.service.store import tables

BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}
SECRET = "owned by the first account"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def owner(served: Any, picture: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The first account, and one of everything with an id: kind of id -> id."""
    tenant = served.tenant()
    folder: Path = tmp_path_factory.mktemp("owner")
    waits = tenant.post("/api/tasks", json=BALL | {"prompt": SECRET, "external_id": "the first account's own"}).json()
    done = served.finish(tenant.post("/api/tasks", json=BALL | {"prompt": SECRET}).json()["id"], folder)
    digests = [tenant.put(f"/api/uploads/{SECRET}.png", content=picture(seed=seed)).json()["digest"] for seed in (8, 9)]
    element = {"name": "owned", "description": SECRET, "frontal": digests[0], "refers": digests[1:]}
    consent = {"digest": digests[0], "person": SECRET, "statement": SECRET}
    return {
        "task": waits["id"],
        "external": waits["external_id"],
        "done": str(done.id),
        "output": str(done.outputs[0].id),
        "video": f"video_{done.id}",
        "waiting_video": f"video_{waits['id']}",
        "digest": digests[0],
        "made": done.outputs[0].digest,
        "element": tenant.post("/api/elements", json=element).json()["id"],
        "consent": tenant.post("/api/consents", json=consent).json()["id"],
        "key": tenant.get("/api/keys").json()["keys"][0]["id"],
        "account": str(tenant.account.id),
    }


PARAMETERS = {
    "task_id": ("task", "done", "external"),
    "output_id": ("output",),
    "digest": ("digest", "made"),
    "element_id": ("element",),
    "consent_id": ("consent",),
    "key_id": ("key",),
    "account_id": ("account",),
    "video": ("video", "waiting_video"),
    "character": ("element",),
    "model": (),  # models are everybody's
    "name": (),  # what a file is to be called
    "path": (),
    "rest": (),
}
"""Which ids stand in a path under a parameter's name. A parameter that is not here fails the test."""

BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/api/tasks", {"kind": "image_to_video", "prompt": "a", "image": "{digest}"}),
    ("POST", "/api/tasks", {"kind": "extend", "prompt": "a", "extend": {"film": {"output": "{output}"}}}),
    ("POST", "/api/tasks", {"kind": "extend", "prompt": "a", "extend": {"film": {"asset": "{made}"}}}),
    ("POST", "/api/tasks", {"kind": "text_to_video", "prompt": "a", "references": [{"element": "{element}"}]}),
    ("POST", "/api/tasks", {"kind": "text_to_video", "prompt": "a", "references": [{"asset": "{digest}"}]}),
    ("POST", "/api/price", {"kind": "image_to_video", "prompt": "a", "image": "{digest}"}),
    ("POST", "/api/feedback", {"task_id": "{done}", "kind": "rating", "value": 1}),
    ("POST", "/api/feedback", {"task_id": "{done}", "kind": "kept", "output_id": "{output}"}),
    ("POST", "/api/consents", {"digest": "{digest}", "person": "x", "statement": "x"}),
    ("POST", "/api/elements", {"name": "x", "description": "x", "film": "{made}"}),
    ("POST", "/api/elements", {"name": "x", "description": "x", "frontal": "{digest}", "refers": ["{digest}"]}),
    ("POST", "/v1/videos/video-extend", {"video_id": "{output}", "prompt": "a"}),
    ("POST", "/v1/videos/omni-video", {"prompt": "a", "element_list": [{"element_id": "{element}"}]}),
    ("POST", "/v1/general/delete-elements", {"element_id": "{element}"}),
    ("POST", "/openai/v1/videos/extensions", {"prompt": "a", "seconds": "4", "video": {"id": "{video}"}}),
    ("POST", "/openai/v1/videos/edits", {"prompt": "a", "video": {"id": "{video}"}}),
)
"""Operations that name things in their bodies."""

LISTS = (
    "/api/tasks", "/api/outputs", "/api/assets", "/api/elements", "/api/consents", "/api/feedback", "/api/keys",
    "/api/account/statement", "/api/webhook/deliveries", "/v1/videos/text2video", "/v1/images/generations",
    "/tasks?task_ids={task},{done}", "/tasks?external_task_ids={external}", "/openai/v1/videos",
    "/openai/v1/videos?after={video}", "/api/feedback?task_id={done}", "/api/consents?digest={digest}",
)  # fmt: skip


def operations(app: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Method, path and names of parameters, for every route whose path has any."""
    for route in app.routes:
        if isinstance(route, Table):  # Kling's are one route
            for path, acts in route._open.values():
                yield from ((method, path, (path.rpartition("{")[2].rstrip("}"),)) for method in acts)
    for context in iter_route_contexts(app.routes):
        names = tuple(getattr(context, "param_convertors", {}) or {})
        if names:
            for method in sorted((context.methods or set()) & set(METHODS)):
                yield method, context.path, names


def test_every_parameter_is_known(served: Any) -> None:
    found = {name for _, _, names in operations(served.app) for name in names}
    assert found <= set(PARAMETERS), f"say which ids stand under {found - set(PARAMETERS)}"
    assert {"task_id", "output_id", "digest", "element_id", "key_id", "consent_id", "account_id", "video"} <= found


def test_no_operation_with_an_id_opens_another_accounts_things(served: Any, owner: dict[str, str]) -> None:
    other = served.tenant()
    before, asked, opened = _everything(served, owner), 0, []
    for method, path, names in operations(served.app):
        if path.startswith("/files/"):
            continue  # opened by signature, not by account: their tests see to it
        for name in names:
            for kind in PARAMETERS[name]:
                real = path.replace(f"{{{name}}}", owner[kind])
                answer = other.request(method, real, json={"prompt": "a"} if method == "POST" else None)
                asked += 1
                if _shows(answer, owner):
                    opened.append((method, real, answer.status_code, answer.text[:300]))
    assert not opened
    assert asked > 100
    assert _everything(served, owner) == before


def test_no_body_names_another_accounts_things(served: Any, owner: dict[str, str]) -> None:
    other = served.tenant()
    before = _everything(served, owner)
    for method, path, body in BODIES:
        text = json.dumps(body)
        for kind, real in owner.items():
            text = text.replace(f"{{{kind}}}", real)
        answer = other.request(method, path, content=text, headers={"content-type": "application/json"})
        assert not _shows(answer, owner), (path, answer.text)
    assert other.get("/api/tasks").json()["tasks"] == []
    assert other.get("/api/elements").json()["elements"] == []
    assert _everything(served, owner) == before


def test_no_list_shows_another_accounts_things(served: Any, owner: dict[str, str]) -> None:
    other = served.tenant()
    for path in LISTS:
        for kind, real in owner.items():
            path = path.replace(f"{{{kind}}}", real)
        answer = other.get(path)
        assert answer.status_code < 500
        assert SECRET not in answer.text, path
        assert not [real for real in owner.values() if f'"{real}"' in answer.text], path


def test_the_owner_is_shown_what_is_kept_from_others(served: Any, owner: dict[str, str]) -> None:
    """The same operations are not refused to everybody: else the tests above would show nothing."""
    key = served.service.accounts.new_key(int(owner["account"]), "again").secret
    tenant = served.nobody(headers={"Authorization": f"Bearer {key}"})
    for path in (
        f"/api/tasks/{owner['task']}", f"/api/outputs/{owner['output']}", f"/api/assets/{owner['digest']}",
        f"/api/elements/{owner['element']}", f"/v1/videos/text2video/{owner['task']}",
        f"/v1/videos/text2video/{owner['external']}", f"/openai/v1/videos/{owner['video']}",
        f"/tasks?task_ids={owner['task']}",
    ):  # fmt: skip
        answer = tenant.get(path)
        assert answer.status_code == 200, path
        assert any(real in answer.text for real in owner.values()), path


def _shows(answer: httpx.Response, owner: dict[str, str]) -> bool:
    """Whether an answer is anything but a refusal, or tells what only the owner knows."""
    return answer.status_code < 400 or answer.status_code >= 500 or SECRET in answer.text


def _everything(served: Any, owner: dict[str, str]) -> list[Any]:
    """All rows of the owner, to see that nothing was changed."""
    account = int(owner["account"])
    rows: list[Any] = []
    with served.service.database.read() as c:
        for table in (tables.tasks, tables.outputs, tables.assets, tables.elements, tables.consents, tables.feedback):
            rows += map(tuple, c.execute(sa.select(table).where(table.c.account_id == account)))
        keys = tables.keys.c
        rows += map(tuple, c.execute(sa.select(keys.id, keys.revoked_at).where(keys.account_id == account)))
    return rows
