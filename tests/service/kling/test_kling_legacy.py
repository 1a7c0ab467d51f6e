"""The legacy family over a real socket: creates, queries, lists, and what is refused. Nothing is made here."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kinora.service.tasks import Task

Client = Elsewhere = Served = Any  # of conftest.py

TEXT = "/v1/videos/text2video"
IMAGE = "/v1/videos/image2video"
OMNI = "/v1/videos/omni-video"


def png(width: int, height: int, *, box: tuple[int, int, int, int] | None = None, seed: int = 0) -> bytes:
    """A picture of noise, or (with a box) a mask: white inside it."""
    if box is None:
        image = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))
    else:
        image = Image.new("L", (width, height))
        image.paste(255, box)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def text_of(content: bytes) -> str:
    """Raw base64, as Kling's documentation wants it."""
    return base64.b64encode(content).decode()


SQUARE = text_of(png(300, 300))
LOW = text_of(png(400, 320, box=(0, 200, 9, 220)))
"""A mask of the brush's picture that overlaps no other."""


def task_of(served: Served, client: Client, data: dict[str, Any]) -> Task:
    return served.service.tasks.get(client.account.id, int(data["task_id"]))


def conditions_of(served: Served, client: Client, data: dict[str, Any]) -> list[dict[str, Any]]:
    return list(task_of(served, client, data).request.get("conditions", ()))


def test_a_create_answers_as_the_vendor_documents(client: Client) -> None:
    before = time.time() * 1000 - 5
    reply = client.post(TEXT, {"model_name": "kling-v1-6", "prompt": "a red ball rolls", "external_task_id": "mine-1"})
    data = reply.data
    assert reply.body["message"] == "SUCCEED"
    assert set(data) == {"task_id", "task_status", "task_info", "created_at", "updated_at"}
    assert data["task_status"] == "submitted"
    assert data["task_id"].isdigit()
    assert 18 <= len(data["task_id"]) <= 19
    assert data["task_info"] == {"external_task_id": "mine-1"}
    assert type(data["created_at"]) is int
    assert before <= data["created_at"] == data["updated_at"] <= time.time() * 1000 + 5
    for told in (data["task_id"], "mine-1"):
        again = client.get(f"{TEXT}/{told}").data
        assert again["task_id"] == data["task_id"]
        assert again["task_status_msg"] == ""
        assert again["model_name"] == "stub"
        assert again["watermark_info"] == {"enabled": False}
        assert "task_result" not in again


def test_the_vendors_own_sample_is_taken_as_it_is(served: Served, client: Client) -> None:
    """Numbers and truth values as text, empty strings, and fields of newer and older versions."""
    sample = {
        "model_name": "kling-v3", "prompt": "", "multi_shot": "true", "shot_type": "customize", "negative_prompt": "",
        "multi_prompt": [
            {"index": "1", "prompt": "a red ball rolls", "duration": "2"},
            {"index": "2", "prompt": "a blue ball falls", "duration": "3"},
        ],
        "sound": "on", "mode": "pro", "aspect_ratio": "9:16", "duration": "5", "cfg_scale": "0.5",
        "watermark_info": {"enabled": "false"}, "callback_url": "", "external_task_id": "", "camera_control": None,
        "voice_list": [], "a_field_of_tomorrow": {"x": [1]},
    }  # fmt: skip
    task = task_of(served, client, client.post(TEXT, sample).data)
    assert task.request["prompt"] == "a red ball rolls"
    assert task.request["script"] == [{"at": 2.0, "prompt": "a blue ball falls"}]
    assert (task.request["seconds"], task.request["quality"], task.request["aspect"]) == (5.0, "pro", "9:16")
    assert (task.external_id, task.callback_url) == (None, None)
    # A body is JSON whatever its content type says.
    raw = json.dumps(sample)
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert client.post(TEXT, raw, headers={"Content-Type": kind}).code == 0


def test_paths_are_forgiving_and_have_aliases(client: Client) -> None:
    body = {"prompt": "a ball"}
    for path in (
        TEXT, f"{TEXT}/", f"/{TEXT}", "/v1//videos///text2video//", f"/kling{TEXT}", f"/proxy/kling{TEXT}",
    ):  # fmt: skip
        created = client.post(path, body).data
        assert client.get(f"{path.rstrip('/')}//{created['task_id']}/").data["task_id"] == created["task_id"]
    assert len(client.get(f"/kling{TEXT}").data) == 6


def test_modes_aspects_and_lengths_are_mapped(served: Served, client: Client) -> None:
    cases = [
        ({}, ("standard", "16:9", 5.0)),
        ({"mode": "std", "aspect_ratio": "1:1", "duration": 10}, ("standard", "1:1", 10.0)),
        ({"mode": "4k", "aspect_ratio": "21:9", "duration": "30"}, ("pro", "16:9", 30.0)),
        ({"mode": "pro", "aspect_ratio": "3:4", "duration": "3"}, ("pro", "9:16", 3.0)),
    ]
    for asked, made in cases:
        task = task_of(served, client, client.post(TEXT, {"prompt": "a ball", **asked}).data)
        assert (task.request["quality"], task.request["aspect"], task.request["seconds"]) == made


def test_a_list_is_paged_and_holds_what_its_path_made(client: Client) -> None:
    made = [client.post(TEXT, {"prompt": f"ball {number}"}).data["task_id"] for number in range(7)]
    image = client.post("/v1/images/omni-image", {"prompt": "a ball"}).data["task_id"]
    newest = made[::-1]
    assert [task["task_id"] for task in client.get(TEXT).data] == newest
    assert [task["task_id"] for task in client.get(f"{TEXT}?pageNum=2&pageSize=3").data] == newest[3:6]
    assert [task["task_id"] for task in client.get(f"{TEXT}?pageNum=3&pageSize=3").data] == newest[6:]
    assert client.get(f"{TEXT}?pageNum=4&pageSize=3").data == []
    assert [task["task_id"] for task in client.get("/v1/images/omni-image").data] == [image]
    assert client.get(IMAGE).data == []
    for bad in ("pageNum=0", "pageNum=1001", "pageSize=501", "pageSize=0", "pageNum=one", "pageNum=-1", "pageNum=1e3"):
        assert client.get(f"{TEXT}?{bad}").code == 1201
    assert client.get(f"{TEXT}?pageNum=&pageSize=").data[0]["task_id"] == newest[0]


def test_image2video_with_first_and_last_picture(served: Served, client: Client, elsewhere: Elsewhere) -> None:
    url = elsewhere.add("tail.png", "image/png", png(300, 320, seed=2))
    body = {"prompt": "", "image": text_of(png(320, 400, seed=1)), "image_tail": url, "duration": "5"}
    data = client.post(IMAGE, body).data
    first, last = conditions_of(served, client, data)
    assert (first["kind"], "at" in first, last["kind"], last["at"]) == ("keyframe", False, "keyframe", None)
    task = task_of(served, client, data)
    assert (task.kind, task.request["aspect"], task.request["prompt"]) == (
        "image_to_video", "9:16", "the picture begins to move",
    )  # fmt: skip
    asset = served.service.assets.get(client.account.id, first["still"]["digest"])
    assert (asset.width, asset.height, asset.origin) == (320, 400, "upload")
    with_prefix = {**body, "image": "data:image/png;base64," + text_of(png(320, 400, seed=1))}
    assert conditions_of(served, client, client.post(IMAGE, with_prefix).data)[0]["still"]["digest"] == asset.digest
    only_tail = client.post(IMAGE, {"image_tail": url}).data
    assert [one["at"] for one in conditions_of(served, client, only_tail)] == [None]


def test_camera_control_reaches_the_model(served: Served, client: Client) -> None:
    control = {"type": "simple", "config": {"horizontal": "5", "pan": 0, "tilt": "0"}}
    data = client.post(TEXT, {"prompt": "a ball", "camera_control": control}).data
    assert conditions_of(served, client, data) == [{"kind": "moves", "move": {"horizontal": 5.0}}]
    named = client.post(TEXT, {"prompt": "a ball", "camera_control": {"type": "down_back"}}).data
    assert conditions_of(served, client, named)[0]["move"] == {"vertical": -6.0, "forward": -8.0}


def brush(**values: Any) -> dict[str, Any]:
    """A request of the motion brush on a picture of 400 x 320."""
    return {
        "prompt": "the ball rolls",
        "image": text_of(png(400, 320)),
        "static_mask": text_of(png(400, 320, box=(0, 0, 100, 100))),
        "dynamic_masks": [
            {"mask": text_of(png(400, 320, box=(200, 200, 280, 280))),
             "trajectories": [{"x": 240, "y": "80"}, {"x": 100, "y": 320}]},
            {"mask": text_of(png(400, 320, box=(300, 0, 380, 60))), "trajectories": [[320, 300], [320, 240], [400, 0]]},
        ],
        **values,
    }  # fmt: skip


def test_the_motion_brush_counts_from_the_bottom_left(served: Served, client: Client) -> None:
    first, painted = conditions_of(served, client, client.post(IMAGE, brush()).data)
    assert first["kind"] == "keyframe"
    one, other = painted["strokes"]
    assert one["points"] == [[0.6, 0.75], [0.25, 0.0]]
    assert other["points"] == [[0.8, 0.0625], [0.8, 0.25], [1.0, 1.0]]
    mask = served.service.assets.get(client.account.id, painted["static"]["digest"])
    assert (mask.width, mask.height) == (400, 320)


def test_a_mask_of_another_resolution_is_brought_to_the_pictures(served: Served, client: Client) -> None:
    smaller = brush(static_mask=text_of(png(200, 160, box=(0, 0, 50, 50))))
    _, painted = conditions_of(served, client, client.post(IMAGE, smaller).data)
    mask = served.service.assets.get(client.account.id, painted["static"]["digest"])
    assert (mask.width, mask.height) == (400, 320)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"static_mask": text_of(png(320, 320, box=(0, 0, 9, 9)))}, "static_mask is 320 x 320 and its picture"),
        ({"static_mask": text_of(png(400, 320, box=(190, 190, 240, 240)))}, "overlap"),
        ({"static_mask": text_of(png(400, 320, box=(0, 0, 0, 0)))}, "empty"),
        ({"dynamic_masks": [{"mask": LOW, "trajectories": [{"x": 1, "y": 1}]}]}, "1 points"),
        ({"dynamic_masks": [{"mask": LOW, "trajectories": [{"x": 1, "y": 1}, {"x": 401, "y": 1}]}]}, "401, 1"),
        ({"duration": "10"}, "one window of 5 s"),
        ({"image": "", "image_tail": SQUARE}, "exclude each other"),
        ({"image_tail": SQUARE}, "exclude each other"),
        ({"camera_control": {"type": "forward_up"}}, "exclude each other"),
        ({"dynamic_masks": [{"mask": LOW, "trajectories": [[1, 1], [2, 2]]}] * 7}, "dynamic_masks"),
    ],
)  # fmt: skip
def test_brushes_that_cannot_be_followed_are_refused(client: Client, values: dict[str, Any], said: str) -> None:
    reply = client.post(IMAGE, brush(**values))
    assert (reply.status, reply.code) == (400, 1201)
    assert said in reply.message


@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        (TEXT, "{", 1200, "not JSON"),
        (TEXT, [1], 1200, ""),
        (TEXT, {}, 1200, "prompt is missing"),
        (TEXT, {"prompt": " "}, 1200, "prompt is missing"),
        (TEXT, {"prompt": "a" * 2501}, 1201, "2501 characters"),
        (TEXT, {"prompt": "a", "duration": "long"}, 1201, "duration"),
        (TEXT, {"prompt": "a", "duration": 1000}, 1201, "duration"),
        (TEXT, {"prompt": "a", "mode": "fast"}, 1201, "mode"),
        (TEXT, {"prompt": "a", "aspect_ratio": "wide"}, 1201, "aspect_ratio"),
        (TEXT, {"prompt": "a", "cfg_scale": 7}, 1201, "cfg_scale"),
        (TEXT, {"prompt": "a", "callback_url": "ftp://example.com/x"}, 1201, "callback_url"),
        (TEXT, {"prompt": "a", "callback_url": "not a url"}, 1201, ""),
        (TEXT, {"prompt": "a", "voice_list": [{"voice_id": "v"}]}, 1201, "Voice id not found"),
        (TEXT, {"prompt": "a", "model_name": "somebody-elses"}, 1203, "somebody-elses"),
        (TEXT, {"prompt": "a", "camera_control": {"type": "simple", "config": {"pan": 20}}}, 1201, "pan=20"),
        (TEXT, {"prompt": "a <<<image_1>>>"}, 1201, "points to <<<image_1>>>"),
        (TEXT, {"prompt": "a", "multi_shot": True, "shot_type": "customize"}, 1200, "multi_prompt"),
        (TEXT, {"prompt": "a", "external_task_id": "x" * 300}, 1201, "external_task_id"),
        (IMAGE, {"prompt": "a"}, 1200, "image is missing"),
        (IMAGE, {"image": "!!!"}, 1201, "image"),
        (IMAGE, {"image": text_of(b"not a picture at all")}, 1201, ""),
        (IMAGE, {"image": SQUARE, "element_list": [{"element_id": "160"}]}, 1201, "element 160"),
        (IMAGE, {"image": SQUARE, "element_list": [{"element_id": 2**60}]}, 1201, "element"),
        ("/v1/videos/multi-image2video", {"prompt": "a"}, 1200, "image_list"),
        (OMNI, {"image_list": []}, 1200, "prompt"),
        (OMNI, {"prompt": "a", "image_list": [{"image_url": SQUARE, "type": "end_frame"}]}, 1201, "first frame"),
        (OMNI, {"prompt": "a", "image_list": [{"image_url": SQUARE, "type": "middle"}]}, 1201, "no picture of type"),
        (OMNI, {"prompt": "a", "video_list": [{"video_url": "http://127.0.0.1:9/x.mp4"}]}, 1201, "mask"),
        (OMNI, {"prompt": "a", "video_list": [{"video_url": "x", "refer_type": "feature"}]}, 1201, "feature"),
        ("/v1/videos/video-extend", {}, 1200, "video_id"),
        ("/v1/videos/video-extend", {"video_id": "901930004609634393"}, 1201, "901930004609634393"),
        ("/v1/videos/video-extend", {"video_id": "nonsense"}, 1201, "nonsense"),
        ("/kling/v1/images/generations", {"prompt": "a", "n": 10}, 1201, "n cannot be 10"),
        ("/kling/v1/images/generations", {"prompt": "a", "n": 0}, 1201, "n cannot be 0"),
        ("/kling/v1/images/generations", {"n": 1}, 1200, "prompt"),
        ("/kling/v1/images/generations", {"prompt": "a", "image": SQUARE, "negative_prompt": "b"}, 1201, "exclude"),
        ("/v1/videos/lip-sync", {"input": {}}, 1203, "lip-sync"),
        ("/v1/videos/advanced-lip-sync", {}, 1203, "lip-sync"),
        ("/v1/videos/avatar/image2video", {}, 1203, "digital humans"),
        ("/v1/videos/effects", {}, 1203, "effects"),
        ("/v1/videos/identify-face", {}, 1203, "lip-sync"),
        ("/v1/videos/motion-control", {}, 1203, "motion"),
        ("/v1/audio/tts", {"text": "hello"}, 1203, "speech"),
        ("/v1/images/kolors-virtual-try-on", {}, 1203, "try-on"),
        ("/v1/general/custom-voices", {}, 1203, "voices"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_code(client: Client, path: str, body: Any, code: int, said: str) -> None:
    reply = client.post(path, body)
    assert reply.code == code, reply.message
    assert reply.status == {1200: 400, 1201: 400, 1203: 404}[code]
    assert said in reply.message


def test_a_repeated_external_id_is_refused_and_a_repeated_key_is_not(client: Client) -> None:
    body = {"prompt": "a ball", "external_task_id": "twice"}
    first = client.post(TEXT, body, headers={"Idempotency-Key": "k1"}).data
    assert client.post(TEXT, body, headers={"Idempotency-Key": "k1"}).data == first
    again = client.post(TEXT, body)
    assert (again.status, again.code) == (400, 1201)
    assert "twice" in again.message
    other = client.post(TEXT, {"prompt": "another"}, headers={"Idempotency-Key": "k1"})
    assert (other.status, other.code) == (400, 1201)


def test_lists_of_what_is_not_sold_here_are_empty(client: Client) -> None:
    for path in ("videos/lip-sync", "videos/effects", "general/presets-voices", "general/advanced-presets-elements"):
        assert client.get(f"/v1/{path}").data == []
    assert client.get("/v1/videos/lip-sync/901930004609634393").code == 1203


def test_wrong_methods_and_paths(client: Client) -> None:
    for method, path in (
        ("PUT", TEXT),
        ("DELETE", TEXT),
        ("POST", f"{TEXT}/1"),
        ("PATCH", "/tasks"),
        ("DELETE", "/account/costs"),
    ):
        reply = client(method, path)
        assert (reply.status, reply.code) == (404, 1202), (method, path)
    for path in ("/kling/v1/videos/text3video", "/kling/v2", "/proxy/kling/x"):
        assert client.get(path).code == 1203
    for told in ("901930004609634393", "no-such", "1" * 400, "%00", "-1"):
        assert client.get(f"{TEXT}/{told}").code == 1203


def test_pictures_with_slots_for_each(served: Served, client: Client) -> None:
    data = client.post("/kling/v1/images/generations", {"prompt": "a ball", "n": "3", "resolution": "2k"}).data
    task = task_of(served, client, data)
    assert (task.kind, task.slot_kind, task.slots, task.request["quality"]) == ("text_to_image", "image", 3, "pro")


def test_the_path_shared_with_openai_is_klings_where_a_field_says_so(served: Served, client: Client) -> None:
    data = client.post("/v1/images/generations", {"model_name": "kling-v2-1", "prompt": "a ball"}).data
    assert task_of(served, client, data).wire["family"] == "kling"
    assert [task["task_id"] for task in client.get("/v1/images/generations").data] == [data["task_id"]]
    refused = client.post("/v1/images/generations", {"model_name": "kling-v2-1", "prompt": "a ball", "n": 10})
    assert (refused.status, refused.code) == (400, 1201)


def test_references_need_consent_and_names(served: Served, client: Client) -> None:
    picture = text_of(png(300, 300, seed=5))
    body = {"prompt": "<<<image_1>>> waves to @image_2", "image_list": [{"image": picture}, {"image": picture}]}
    refused = client.post("/v1/videos/multi-image2video", body)
    assert (refused.status, refused.code) == (400, 1300)
    assert "consent" in refused.message
    digest = served.service.assets.page(client.account.id)[0].digest
    served.service.consents.give(client.account.id, digest, "Ada", "I agree.")
    people = conditions_of(served, client, client.post("/v1/videos/multi-image2video", body).data)
    assert [one["name"] for one in people] == ["image_1", "image_2"]
    omni = {
        "prompt": "<<<image_2>>>从<<<image_1>>>走出", "aspect_ratio": "1:1",
        "image_list": [{"image_url": picture, "type": "first_frame"}, {"image_url": picture}],
    }  # fmt: skip
    data = client.post(OMNI, omni).data
    assert [one["kind"] for one in conditions_of(served, client, data)] == ["keyframe", "reference"]
    task = task_of(served, client, data)
    assert (task.request["prompt"], task.request["quality"]) == ("@image_2从画面走出", "pro")


def test_elements_are_kept_used_and_deleted(served: Served, client: Client) -> None:
    pictures = [text_of(png(300, 300, seed=seed)) for seed in (6, 7)]
    body = {
        "element_name": "Ada", "element_description": "a woman", "reference_type": "image_refer",
        "element_image_list": {"frontal_image": pictures[0], "refer_images": [{"image_url": pictures[1]}]},
        "tag_list": [{"tag_id": "o_102"}], "external_task_id": "e-1",
    }  # fmt: skip
    path = "/v1/general/advanced-custom-elements"
    created = client.post(path, body).data
    (element,) = client.get(f"{path}/{created['task_id']}").data["task_result"]["elements"]
    assert type(element["element_id"]) is int
    assert element["element_id"] < 2**53
    assert (element["element_name"], element["status"], element["tag_list"]) == (
        "Ada",
        "succeed",
        [{"tag_id": "o_102"}],
    )
    assert client.http.get(element["element_image_list"]["frontal_image"]).headers["content-type"] == "image/png"
    assert len(client.get(path).data) == 1
    for asset in served.service.assets.page(client.account.id):
        served.service.consents.give(client.account.id, asset.digest, "Ada", "I agree.")
    film = {
        "image": pictures[1],
        "prompt": "<<<element_1>>> waves",
        "element_list": [{"element_id": str(element["element_id"])}],
    }
    data = client.post(IMAGE, film).data
    assert [one.get("name") for one in conditions_of(served, client, data)] == [None, "element_1"]
    other = served.client()
    assert other.post("/v1/general/delete-elements", {"element_id": element["element_id"]}).code == 1201
    assert other.get(f"{path}/{created['task_id']}").code == 1203
    assert (
        client.post("/v1/general/delete-elements", {"element_id": element["element_id"]}).data["task_status"]
        == "succeed"
    )
    assert client.get(path).data == []
    assert client.post(IMAGE, film).code == 1201
    video = client.post(path, {**body, "reference_type": "video_refer"})
    assert video.code == 1201


def test_another_accounts_tasks_do_not_exist(served: Served, client: Client) -> None:
    other = served.client()
    mine = client.post(TEXT, {"prompt": "a ball", "external_task_id": "secret-name"}).data["task_id"]
    assert other.get(f"{TEXT}/{mine}").code == 1203
    assert other.get(f"{TEXT}/secret-name").code == 1203
    assert other.get(TEXT).data == []
    assert other.get(f"/tasks?task_ids={mine}").data == []
    assert other.get("/tasks?external_task_ids=secret-name").data == []
    assert other.post("/tasks", {}).data["result"] == []
    # The same external id is free for others.
    assert other.post(TEXT, {"prompt": "a ball", "external_task_id": "secret-name"}).code == 0


def test_hostile_values_never_break_the_server(client: Client) -> None:
    values = ["\x00", "💥" * 50, "1e999", -1, 10**30, True, {"a": 1}, [[]], {"a": {"b": []}}, "a" * 3000]
    words = [
        "model_name", "prompt", "negative_prompt", "mode", "duration", "aspect_ratio", "cfg_scale", "multi_shot",
        "multi_prompt", "shot_type", "voice_list", "camera_control", "watermark_info", "external_task_id",
    ]  # fmt: skip
    files = ["image", "image_tail", "static_mask", "dynamic_masks", "element_list", "callback_url"]
    # Each text that may be a picture costs a process that looks at it: a few kinds do.
    for path, fields, tried in ((TEXT, words, values[::2]), (IMAGE, files, values[2::3])):
        for name in fields:
            for value in tried:
                reply = client.post(path, {"prompt": "a ball", name: value})
                assert reply.code < 5000, (path, name, value, reply.message)
