"""Every path of the family that takes an id or lists something, asked by an account that owns nothing."""

from __future__ import annotations

import base64
from typing import Any

from kinora.service.api import kling

TEXT = "/v1/videos/text2video"


def test_no_path_shows_another_accounts_things(served: Any, picture_bytes: Any) -> None:
    owner, other = served.client(), served.client()
    body = {"prompt": "a ball of the owner", "external_task_id": "of-the-owner"}
    task = owner.post(TEXT, body).data["task_id"]
    pictures = [base64.b64encode(picture_bytes(seed=seed)).decode() for seed in (1, 2)]
    images = {"frontal_image": pictures[0], "refer_images": [{"image_url": pictures[1]}]}
    kept = {"element_name": "Ada", "element_image_list": images}
    element = owner.post(f"/v1{kling.ELEMENTS}", kept).data["task_id"]
    ids = (task, "of-the-owner", element, str(owner.account.id))
    asked = 0
    for prefix, table in (("/v1", kling._legacy()), ("/kling", kling._standard())):
        for path, acts in table.items():
            named = "{" in path
            for method in acts:
                if (method, prefix + path) == ("POST", f"/v1{kling.SHARED}"):
                    continue
                for told in ids if named else ids[:1]:
                    real = prefix + path.partition("{")[0] + (told if named else "")
                    reply = other(method, real, {} if method == "POST" else None)
                    asked += 1
                    shown = str(reply.body.get("data", ""))
                    assert not any(one in shown for one in ids), (method, real)
                    assert "of the owner" not in str(reply.body)
                    if method == "GET" and named:
                        assert reply.code == 1203, real
    assert asked > 140
    for query in (f"task_ids={task}", "external_task_ids=of-the-owner"):
        assert other.get(f"/tasks?{query}").data == []
    assert owner.get(f"{TEXT}/of-the-owner").data["task_id"] == task
