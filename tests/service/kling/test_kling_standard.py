"""The standard family over a real socket: creates, `/tasks` by ids and page by page. Nothing is made here."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

TEXT = "/text-to-video/kling-3.0"
IMAGE = "/image-to-video/kling-3.0"
OMNI = "/omni-video/kling-3.0-omni"


@pytest.fixture
def square(picture_bytes: Any) -> str:
    """A picture in base64."""
    return base64.b64encode(picture_bytes(320, 320)).decode()


def task_of(served: Any, client: Any, data: dict[str, Any]) -> Any:
    return served.service.tasks.get(client.account.id, int(data["id"]))


def test_a_create_answers_as_the_vendor_documents(client: Any) -> None:
    options = {"external_task_id": "mine", "callback_url": "", "watermark_info": {"enabled": False}}
    body = {"prompt": "a red ball rolls", "settings": {"duration": 5, "resolution": "1080p"}, "options": options}
    for path in ("/text-to-video/kling-3.0-turbo", "/kling/text-to-video/kling-2.6", "//text-to-video//kling-3.0/"):
        data = client.post(path, body).data
        assert set(data) == {"id", "status", "message", "create_time", "update_time", "external_id"}
        assert (data["status"], data["external_id"]) == ("submitted", options["external_task_id"])
        assert data["id"].isdigit()
        assert type(data["create_time"]) is int
        options["external_task_id"] += "!"
    (task,) = client.get(f"/tasks?task_ids={data['id']}").data
    assert task == {**data, "outputs": [], "billing": [], "message": ""}


def test_settings_are_mapped(served: Any, client: Any) -> None:
    settings = {"resolution": "1080p", "aspect_ratio": "9:16", "duration": "7", "audio": "native", "multi_shot": False}
    contents = [{"type": "prompt", "text": "shot 1, 3, a; shot 2, 4, b;"}]
    task = task_of(served, client, client.post(TEXT, {"contents": contents, "settings": settings}).data)
    assert (task.request["quality"], task.request["aspect"], task.request["seconds"]) == ("pro", "9:16", 7.0)
    assert "script" not in task.request
    assert (task.wire["family"], task.wire["model"], task.model) == ("kling-standard", "kling-3.0", "stub")


def test_shots_in_a_prompt_are_a_script(served: Any, client: Any) -> None:
    data = client.post(TEXT, {"prompt": "镜头 1, 3, 红球滚动；镜头 2, 2, 蓝球弹跳；"}).data
    request = task_of(served, client, data).request
    assert (request["prompt"], request["seconds"]) == ("红球滚动", 5.0)
    assert request["script"] == [{"at": 3.0, "prompt": "蓝球弹跳"}]
    unequal = client.post(TEXT, {"prompt": "shot 1, 3, a; shot 2, 2, b;", "settings": {"duration": 8}})
    assert unequal.code == 1201
    assert "5 s together and the film 8 s" in unequal.message


def test_pictures(served: Any, client: Any, square: str) -> None:
    contents = [
        {"type": "prompt", "text": "from @start on it rolls"},
        {"type": "first_frame", "url": square, "id": "start"},
        {"type": "last_frame", "url": f"data:image/png;base64,{square}"},
    ]
    task = task_of(served, client, client.post(IMAGE, {"contents": contents}).data)
    assert [one.get("at", 0) for one in task.request["conditions"]] == [0, None]
    assert (task.kind, task.request["prompt"]) == ("image_to_video", "from the picture on it rolls")
    bare = task_of(served, client, client.post(IMAGE, {"contents": contents[1:2]}).data)
    assert bare.request["prompt"] == "the picture begins to move"


def test_references_and_elements(served: Any, client: Any, square: str) -> None:
    contents = [
        {"type": "prompt", "text": "@Zhang waves"},
        {"type": "refer_image", "url": square, "id": "Zhang"},
        {"type": "refer_image", "url": square},
    ]
    assert client.post(OMNI, {"contents": contents}).code == 1300
    for asset in served.service.assets.page(client.account.id):
        served.service.consents.give(client.account.id, asset.digest, "Zhang", "I agree.")
    task = task_of(served, client, client.post(OMNI, {"contents": contents}).data)
    assert [one.get("name", "") for one in task.request["conditions"]] == ["Zhang", ""]
    bad_name = [{"type": "prompt", "text": "@two words wave"}, {**contents[1], "id": "two words"}]
    assert client.post(OMNI, {"contents": bad_name}).code == 1201


@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        (TEXT, {}, 1200, "prompt is missing"),
        (TEXT, "{", 1200, "not JSON"),
        (TEXT, {"prompt": "a", "settings": {"duration": 0}}, 1201, "duration"),
        (TEXT, {"prompt": "a", "settings": {"resolution": "240p"}}, 1201, "240p"),
        (TEXT, {"prompt": "a", "settings": {"audio": "loud"}}, 1201, "audio"),
        (TEXT, {"prompt": "a", "settings": "720p"}, 1201, "settings"),
        (TEXT, {"contents": [{"type": "first_frame", "url": "x"}]}, 1201, "contents[0]"),
        (TEXT, {"contents": [{"text": "a"}]}, 1200, "contents[0].type"),
        ("/text-to-video/somebody-elses", {"prompt": "a"}, 1203, "somebody-elses"),
        (IMAGE, {"contents": [{"type": "prompt", "text": "a"}]}, 1200, "first_frame"),
        (IMAGE, {"contents": [{"type": "first_frame"}]}, 1200, "contents[0].url"),
        (IMAGE, {"contents": [{"type": "last_frame", "url": "SQUARE"}]}, 1201, "needs a first_frame"),
        (IMAGE, {"contents": [{"type": "first_frame", "url": "SQUARE"}] * 2}, 1201, "one first_frame"),
        (IMAGE, {"contents": [{"type": "voice", "voice_id": "1"}]}, 1201, "silent"),
        (OMNI, {"prompt": "a", "contents": [{"type": "feature_video", "url": "x"}]}, 1201, "motion"),
        (OMNI, {"prompt": "a", "contents": [{"type": "base_video", "url": "x"}]}, 1201, "mask"),
        (OMNI, {"prompt": "a", "contents": [{"type": "element", "id": "x"}]}, 1200, "element_id"),
        (OMNI, {"prompt": "a", "contents": [{"type": "element", "element_id": 7}]}, 1201, "element 7"),
        (OMNI, {"prompt": "a", "contents": [{"type": "middle_frame", "url": "x"}]}, 1201, "middle_frame"),
        ("/motion-control/kling-3.0", {}, 1203, "motion"),
        ("/tasks", {"limit": 501}, 1201, "limit"),
        ("/tasks", {"cursor": "nonsense"}, 1201, "cursor"),
        ("/tasks", {"cursor": "1-2-99999999999999999999"}, 1201, "cursor"),
        ("/tasks", {"filters": [{"key": "status", "values": ["done"]}]}, 1201, "done"),
        ("/tasks", {"filters": [{"key": "colour", "values": ["red"]}]}, 1201, "colour"),
        ("/tasks", {"start_time": 2, "end_time": 1}, 1201, "swap"),
    ],
)  # fmt: skip
def test_refusals(client: Any, square: str, path: str, body: Any, code: int, said: str) -> None:
    if isinstance(body, dict):
        for item in body.get("contents", ()):
            item |= {"url": square} if item.get("url") == "SQUARE" else {}
    reply = client.post(path, body)
    assert reply.code == code, reply.message
    assert said in reply.message


def test_tasks_by_ids(client: Any) -> None:
    made = [client.post(TEXT, {"prompt": "a", "options": {"external_task_id": f"e{n}"}}).data["id"] for n in range(3)]
    legacy = client.post("/v1/videos/text2video", {"prompt": "a", "external_task_id": "old"}).data["task_id"]
    asked = f"{made[2]},{legacy}, {made[0]},123,nonsense"
    assert [task["id"] for task in client.get(f"/tasks?task_ids={asked}").data] == [made[2], legacy, made[0]]
    told = client.get("/tasks?external_task_ids=e1,old,none").data
    assert [task["external_id"] for task in told] == ["e1", "old"]
    for query in ("", "?task_ids=", "?task_ids=1&external_task_ids=a"):
        assert client.get(f"/tasks{query}").code == 1200
    assert client.get("/tasks?task_ids=" + ",".join(map(str, range(101)))).code == 1201
    # The legacy family knows them, too.
    assert client.get(f"/v1/videos/text2video/{made[0]}").data["task_status"] == "submitted"


def test_pages_lead_on_by_their_cursor(served_on: Any) -> None:
    client = served_on.client()
    made = [client.post(TEXT, {"prompt": f"ball {number}"}).data["id"] for number in range(6)]
    image = client.post("/v1/images/omni-image", {"prompt": "a", "n": 2}).data["task_id"]
    every, body = [], {"limit": "3"}
    while True:
        page = client.post("/tasks", body).data
        assert page["count"] == len(page["result"])
        every += [task["id"] for task in page["result"]]
        if not page["has_more"]:
            break
        # What is made meanwhile does not shift the pages.
        client.post(TEXT, {"prompt": "a late one"})
        body = {"limit": 3, "cursor": page["next_cursor"], "start_time": "1", "end_time": 2}
    assert every == [image, *made[::-1]]
    only = {"filters": [{"key": "product_type", "values": ["image"]}, {"key": "status", "values": ["submitted"]}]}
    assert [task["id"] for task in client.post("/tasks", only).data["result"]] == [image]
    for filters in ([{"key": "status", "values": ["failed"]}], [{"key": "product_type", "values": ["try_on"]}]):
        assert client.post("/tasks", {"filters": filters}).data == {
            "result": [], "count": 0, "next_cursor": "", "has_more": False,
        }  # fmt: skip
    past = int(time.time() * 1000) - 3_600_000
    assert client.post("/tasks", {"end_time": str(past)}).data["result"] == []
    # Lists of a route, on this database.
    body = {"prompt": "a", "external_task_id": "mine"}
    legacy = client.post("/v1/videos/text2video", body).data["task_id"]
    assert [task["task_id"] for task in client.get("/v1/videos/text2video").data] == [legacy]
    assert client.get("/v1/videos/text2video/mine").data["task_id"] == legacy
    assert client.get("/account/costs?start_time=0&end_time=99999999999999").data["resource_pack_subscribe_infos"]
