"""Every path of the family that takes an id or lists something, asked by an account that owns nothing."""

from __future__ import annotations

import base64
from typing import Any

from kinora.service.api import kling
from kinora.service.api.kling.table import ALIASES

TEXT = "/v1/videos/text2video"


def test_no_path_shows_another_accounts_things(served: Any, picture_bytes: Any) -> None:
    owner, other = served.client(), served.client()
    body = {"prompt": "a ball of the owner", "external_task_id": "of-the-owner"}
    task = owner.post(TEXT, body).data["task_id"]
    pictures = [base64.b64encode(picture_bytes(seed=seed)).decode() for seed in (1, 2)]
    images = {"frontal_image": pictures[0], "refer_images": [{"image_url": pictures[1]}]}
    element = owner.post(
        kling.ELEMENTS.join(("/v1", "")), {"element_name": "Ada", "element_image_list": images}
    ).data["task_id"]  # fmt: skip
    ids = (task, "of-the-owner", element, str(owner.account.id))
    asked = 0
    for prefix, table in (("/v1", kling._legacy()), ("", kling._standard())):
        for path, acts in table.items():
            for alias in ("", *ALIASES):
                for method in acts:
                    if (method, prefix + alias + path) == ("POST", "/v1" + kling.SHARED):
                        continue
                    for told in ids if "{" in path else ids[:1]:
                        real = alias + prefix + path.partition("{")[0] + (told if "{" in path else "")
                        asked += 1
                        reply = other(method, real, {} if method == "POST" else None)
                        shown = str(reply.body.get("data", ""))
                        assert not any(one in shown for one in ids), (method, real)
                        if method == "GET" and "{" in path:
                            assert reply.code == 1203, real
                        assert "of the owner" not in str(reply.body)
    assert asked > 300
    for query in (f"task_ids={task}", "external_task_ids=of-the-owner"):
        assert other.get(f"/tasks?{query}").data == []
    assert owner.get(f"{TEXT}/of-the-owner").data["task_id"] == task
