"""Films and pictures that are really made: a service on a socket, a worker process, the stub model."""

from __future__ import annotations

import base64
import io
import json
import queue
import time
from typing import Any

import av
import pytest
from PIL import Image
from standardwebhooks import Webhook

TEXT = "/v1/videos/text2video"


def film_of(client: Any, url: str) -> tuple[int, int, float]:
    """Width, height and seconds of a film behind a link."""
    answer = client.http.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(answer.content)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        return stream.width, stream.height, frames / float(stream.average_rate)


@pytest.fixture
def client(studio: Any) -> Any:
    return studio.client


def test_a_film_is_made_extended_and_billed(client: Any) -> None:
    body = {"prompt": "a red ball rolls", "aspect_ratio": "9:16", "duration": "3", "external_task_id": "film-1"}
    created = client.post(TEXT, body).data
    task = client.wait(TEXT, created["task_id"])
    assert task["task_status"] == "succeed", task
    (video,) = task["task_result"]["videos"]
    assert set(video) == {"id", "url", "duration", "width", "height"}
    assert type(video["id"]) is str
    assert type(video["duration"]) is str
    width, height, seconds = film_of(client, video["url"])
    assert (video["width"], video["height"], float(video["duration"])) == (width, height, seconds)
    assert (width, height) == (64, 96)
    assert task["final_unit_deduction"].isdigit()
    assert int(task["final_unit_deduction"]) > 0
    assert task["task_info"] == {"external_task_id": "film-1"}
    assert task["updated_at"] >= task["created_at"]

    longer = client.post("/v1/videos/video-extend", {"video_id": video["id"], "prompt": ""}).data
    parent = longer["task_info"]["parent_video"]
    assert (parent["id"], parent["duration"]) == (video["id"], video["duration"])
    assert film_of(client, parent["url"]) == (width, height, seconds)
    task = client.wait("/v1/videos/video-extend", longer["task_id"])
    (whole,) = task["task_result"]["videos"]
    assert float(whole["duration"]) == seconds + 5
    assert film_of(client, whole["url"]) == (64, 96, seconds + 5)


def test_links_are_the_accounts_alone_and_end(studio: Any, client: Any) -> None:
    task = client.wait(TEXT, client.post(TEXT, {"prompt": "a ball", "duration": 1}).data["task_id"])
    url = task["task_result"]["videos"][0]["url"]
    assert client.http.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403
    other = studio.served.client()
    stolen = other.post("/v1/videos/video-extend", {"video_id": task["task_result"]["videos"][0]["id"]})
    assert stolen.code == 1201


def test_pictures_are_made(client: Any) -> None:
    body = {"prompt": "a ball", "n": 2, "aspect_ratio": "16:9", "watermark_info": {"enabled": "true"}}
    created = client.post("/kling/v1/images/generations", body).data
    task = client.wait("/v1/images/generations", created["task_id"])
    images = task["task_result"]["images"]
    assert [image["index"] for image in images] == [0, 1]
    assert task["watermark_info"] == {"enabled": True}
    for image in images:
        for name in ("url", "watermark_url"):
            opened = Image.open(io.BytesIO(client.http.get(image[name]).content))
            assert opened.size == (image["width"], image["height"]) == (96, 64)
    assert images[0]["url"] != images[1]["url"]


def test_a_picture_moves_and_a_mark_is_made_beside(client: Any, picture_bytes: Any) -> None:
    picture = base64.b64encode(picture_bytes(400, 320)).decode()
    mask = io.BytesIO()
    Image.new("L", (400, 320)).save(mask, "PNG")
    painted = Image.new("L", (400, 320))
    painted.paste(255, (200, 100, 300, 250))
    file = io.BytesIO()
    painted.save(file, "PNG")
    body = {
        "image": picture, "prompt": "it rolls", "duration": "5", "watermark_info": {"enabled": True},
        "dynamic_masks": [{"mask": base64.b64encode(file.getvalue()).decode(),
                           "trajectories": [{"x": 250, "y": 100}, {"x": 50, "y": 100}]}],
    }  # fmt: skip
    task = client.wait("/v1/videos/image2video", client.post("/v1/videos/image2video", body).data["task_id"])
    assert task["task_status"] == "succeed", task
    (video,) = task["task_result"]["videos"]
    assert film_of(client, video["url"]) == film_of(client, video["watermark_url"])
    assert client.http.get(video["url"]).content != client.http.get(video["watermark_url"]).content


def test_the_standard_family_is_made_and_billed(client: Any) -> None:
    body = {"prompt": "shot 1, 2, a red ball; shot 2, 3, a blue ball;", "settings": {"aspect_ratio": "1:1"}}
    created = client.post("/text-to-video/kling-3.0", body).data
    client.wait(TEXT, created["id"])
    (task,) = client.get(f"/tasks?task_ids={created['id']}").data
    assert (task["status"], task["message"]) == ("succeeded", "")
    (output,) = task["outputs"]
    assert (output["type"], output["width"], output["height"], output["duration"]) == ("video", 64, 64, "5")
    assert film_of(client, output["url"]) == (64, 64, 5.0)
    (bill,) = task["billing"]
    assert (bill["charge_type"], bill["package_type"]) == ("unit", "video")
    assert bill["amount"].isdigit()
    succeeded = {"filters": [{"key": "status", "values": ["succeeded"]}]}
    assert created["id"] in [one["id"] for one in client.post("/tasks", succeeded).data["result"]]


def test_a_failure_is_free_and_says_why(studio: Any, client: Any) -> None:
    fault = 'a ball stub{"fault": "fail", "code": "internal"}'
    task = client.wait(TEXT, client.post(TEXT, {"prompt": fault}).data["task_id"])
    assert task["task_status"] == "failed"
    assert task["task_status_msg"]
    assert task["final_unit_deduction"] == "0"
    assert "task_result" not in task
    (shown,) = client.get(f"/tasks?task_ids={task['task_id']}").data
    assert (shown["status"], shown["outputs"], shown["billing"]) == ("failed", [], [])
    assert shown["message"] == task["task_status_msg"]
    slow = client.post(TEXT, {"prompt": 'a ball stub{"step_seconds": 1, "steps": 60}'}).data["task_id"]
    studio.served.service.tasks.cancel(client.account.id, int(slow))
    ended = client.wait(TEXT, slow)
    assert (ended["task_status"], ended["task_status_msg"]) == ("failed", "The task was cancelled.")


@pytest.mark.parametrize("family", ["legacy", "standard"])
def test_callbacks_tell_every_change_and_are_signed(studio: Any, elsewhere: Any, family: str) -> None:
    client = studio.served.client()
    secret = studio.served.service.webhooks.rotate(client.account.id)
    url = f"{elsewhere.url}/{family}"
    if family == "legacy":
        body = {"prompt": "a ball", "duration": "1", "callback_url": url, "external_task_id": "mine"}
        task_id = client.post(TEXT, body).data["task_id"]
    else:
        options = {"callback_url": url, "external_task_id": "mine"}
        body = {"prompt": "a ball", "settings": {"duration": 1}, "options": options}
        task_id = client.post("/text-to-video/kling-3.0-turbo", body).data["id"]
    states: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + 20
    while time.monotonic() < until and not {"succeed", "succeeded"} & set(states):
        try:
            path, headers, raw = elsewhere.received.get(timeout=1)
        except queue.Empty:
            continue
        if path != f"/{family}":
            continue
        Webhook(secret).verify(raw, headers)
        told = json.loads(raw)
        assert told["task_id" if family == "legacy" else "id"] == task_id
        states[told["task_status" if family == "legacy" else "status"]] = told
    assert {"submitted", "processing"} < set(states)
    if family == "legacy":
        last = states["succeed"]
        assert last == client.get(f"{TEXT}/{task_id}").data | {"task_result": last["task_result"]}
        assert "code" not in last
        (item,) = last["task_result"]["videos"]
    else:
        last = states["succeeded"]
        (now,) = client.get(f"/tasks?task_ids={task_id}").data
        assert last == now | {"outputs": last["outputs"]}
        assert set(last) == {
            "id", "status", "message", "create_time", "update_time", "external_id", "outputs", "billing",
        }  # fmt: skip
        (item,) = last["outputs"]
    assert film_of(client, item["url"])[2] == 1.0


def test_a_part_of_a_film_is_made_anew(client: Any) -> None:
    task = client.wait(TEXT, client.post(TEXT, {"prompt": "a ball", "duration": 3}).data["task_id"])
    (video,) = task["task_result"]["videos"]
    painted = Image.new("L", (video["width"], video["height"]))
    painted.paste(255, (8, 8, 40, 40))
    file = io.BytesIO()
    painted.save(file, "PNG")
    item = {"video_url": video["url"], "refer_type": "base", "mask": base64.b64encode(file.getvalue()).decode()}
    body = {"prompt": "<<<video_1>>> with a cube", "video_list": [item]}
    created = client.post("/v1/videos/omni-video", body).data
    edited = client.wait("/v1/videos/omni-video", created["task_id"])
    assert edited["task_status"] == "succeed", edited
    assert edited["task_result"]["videos"][0]["duration"] == "3"
