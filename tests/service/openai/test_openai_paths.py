"""OpenAI's paths beside Kling's, downloads in parts, references as objects, characters in use."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
import time

import httpx
import jwt
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled to permanently shut down:DeprecationWarning")


@pytest.fixture
def account(busy):
    return busy.account()


@pytest.fixture
def web(busy, account):
    with httpx.Client(
        base_url=busy.url, headers={"Authorization": f"Bearer {busy.key(account)}"}, timeout=60
    ) as client:
        yield client


@pytest.fixture
def video(web) -> str:
    """A finished video's id."""
    return _finished(web, web.post("/v1/videos", json={"prompt": "a ball", "seconds": 3, "size": "100x100"}))


def _finished(web: httpx.Client, answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    number, until = answer.json()["id"], time.monotonic() + 30
    while (told := web.get(f"/v1/videos/{number}").json())["status"] in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert told["status"] == "completed", told["error"]
    return number


def test_the_bare_path_of_pictures_is_shared(busy, account, web):
    pair = busy.service.accounts.new_key(account.id, "pair", kind="pair")
    token = jwt.encode(
        {"iss": pair.access_key, "exp": int(time.time()) + 600, "nbf": 0}, pair.secret, headers={"alg": "HS256"}
    )
    openai = web.post("/v1/images/generations", json={"prompt": "a ball"})
    assert set(openai.json()) == {"created", "data", "output_format", "size"}
    for body, headers in (
        ({"prompt": "a ball", "model_name": "kling-v2-1"}, {}),
        ({"prompt": "a ball", "aspect_ratio": "1:1"}, {}),
        ({"prompt": "a ball"}, {"Authorization": f"Bearer {token}"}),
    ):
        kling = web.post("/v1/images/generations", json=body, headers=headers)
        assert (kling.status_code, kling.json()["code"]) == (200, 0), kling.text
        assert kling.json()["data"]["task_id"].isdecimal()
    # Errors have the shape of whoever asked, those of the sender too.
    refused = web.post("/v1/images/generations", json={"model_name": "kling-v2-1"})
    assert set(refused.json()) == {"code", "message", "request_id"}
    late = jwt.encode({"iss": pair.access_key, "exp": 1, "nbf": 0}, pair.secret, headers={"alg": "HS256"})
    refused = web.post("/v1/images/generations", json={"prompt": "a"}, headers={"Authorization": f"Bearer {late}"})
    assert (refused.status_code, refused.json()["code"]) == (401, 1004)
    for content in (b"", b"{", b"[]"):
        refused = web.post("/v1/images/generations", content=content, headers={"Content-Type": "application/json"})
        assert (refused.status_code, set(refused.json())) == (400, {"error"})
    assert web.post("/v1/images/generations", json={"prompt": "a"}, headers={"Authorization": "Bearer no"}).json()[
        "error"
    ]


def test_klings_words_are_not_ids_of_videos(web, video):
    assert web.get("/v1/videos/text2video").json()["code"] == 0
    assert web.post("/v1/videos/text2video", json={"prompt": "a ball"}).json()["code"] == 0
    assert web.get("/openai/v1/videos/text2video").status_code == 404
    # One store behind all formats: what came in by one is seen by the other.
    assert web.get(f"/v1/videos/text2video/{video.removeprefix('video_')}").json()["data"]["task_status"] == "succeed"
    listed = [one["id"] for one in web.get("/v1/videos").json()["data"]]
    assert video in listed
    assert len(listed) == 2
    assert web.get(f"/v1//videos/{video}/").json()["id"] == video


def test_pictures_are_no_videos(busy, account, web):
    web.post("/v1/images/generations", json={"prompt": "a ball"})
    (task,) = busy.service.tasks.page(account.id)
    assert web.get(f"/v1/videos/video_{task.id}").status_code == 404
    assert web.get("/v1/videos").json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip


def test_a_video_is_downloaded_in_parts(web, video):
    path = f"/v1/videos/{video}/content"
    whole = web.get(path)
    head = web.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))
    part = web.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert web.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert web.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert f"{video}.mp4" in whole.headers["content-disposition"]
    sheet = web.get(path, params={"variant": "spritesheet"}, headers={"Range": "bytes=0-1"})
    assert (sheet.status_code, sheet.content) == (206, b"\xff\xd8")


@pytest.fixture
def elsewhere(tmp_path, picture):
    """A server of somebody else's that has the picture."""
    (tmp_path / "cat.png").write_bytes(picture)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            return

    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_reference_may_be_an_object(busy, account, web, picture, elsewhere):
    file = busy.service.settings.data / "cat.png"
    file.write_bytes(picture)
    uploaded = busy.service.assets.take(account.id, file, "cat.png")
    data = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    references = [
        {"image_url": data}, {"image_url": {"url": data}}, data, {"image_url": f"{elsewhere}/cat.png"},
        {"file_id": uploaded.digest}, {"file_id": f"file-{uploaded.digest}"}, f'{{"file_id": "{uploaded.digest}"}}',
    ]  # fmt: skip
    for reference in references:
        answer = web.post("/v1/videos", json={"prompt": "it moves", "seconds": 1, "input_reference": reference})
        assert answer.status_code == 200, answer.text
        assert answer.json()["size"] == "96x64"
        task = busy.service.tasks.get(account.id, int(answer.json()["id"].removeprefix("video_")))
        assert task.request["conditions"][0]["still"]["digest"] == uploaded.digest
    form = {"prompt": "it moves", "input_reference[image_url]": data}
    assert web.post("/v1/videos", data=form).status_code == 200
    for wrong in (
        {"image_url": "data:image/png;base64,!!!"}, {"image_url": f"{elsewhere}/no.png"}, {"file_id": "0" * 64},
        {"file_id": "../x"}, {"other": 1}, 7, ["x"], '{"file_id"', {"image_url": "file:///etc/passwd"},
        {"image_url": "ftp://127.0.0.1/x"},
    ):  # fmt: skip
        answer = web.post("/v1/videos", json={"prompt": "it moves", "input_reference": wrong})
        assert answer.status_code in (400, 404), (wrong, answer.text)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_character_of_our_own_film_appears_without_consent(busy, account, web, video):
    answer = web.post("/v1/videos/characters", json={"name": "Ball", "video": {"id": video}})
    assert answer.status_code == 200, answer.text
    made = web.post(
        "/v1/videos", json={"prompt": "@Ball rolls", "characters": [{"id": answer.json()["id"]}], "seconds": 1}
    )
    assert made.status_code == 200, made.text
    task = busy.service.tasks.get(account.id, int(made.json()["id"].removeprefix("video_")))
    assert [(one["kind"], one.get("name")) for one in task.request["conditions"]] == [("reference", "Ball")]
    unknown = web.post("/v1/videos", json={"prompt": "x", "characters": ["char_1"]})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "characters")


def test_a_character_of_somebodys_film_needs_a_consent(web, video):
    content = web.get(f"/v1/videos/{video}/content").content
    # The same film with another comment at its end is a stranger's.
    made = web.post(
        "/v1/videos/characters", data={"name": "Ball"}, files={"video": ("b.mp4", content + b"\x00\x00\x00\x08free")}
    )
    assert made.status_code == 200, made.text
    refused = web.post("/v1/videos", json={"prompt": "a ball", "characters": [made.json()["id"]]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert web.post("/v1/videos/characters", data={"name": "x" * 50}, files={"video": content}).status_code == 400
    assert web.post("/v1/videos/characters", data={"name": "x"}).status_code == 400
