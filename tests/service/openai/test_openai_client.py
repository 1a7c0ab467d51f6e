"""OpenAI's own client, unmodified, over a real socket; videos are made by a worker process with the stub model."""

from __future__ import annotations

import base64
import io
import time

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

# Every video method of the client says that OpenAI's own servers shut down in September 2026.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled to permanently shut down:DeprecationWarning")


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
def test_a_video_is_created_waited_for_and_downloaded(busy, client_of, prefix, tmp_path):
    client = client_of(busy, prefix=prefix)
    video = client.videos.create(model="sora-2", prompt="a red ball rolls", seconds="4", size="1280x720")
    assert video.id.startswith("video_")
    assert video.id.removeprefix("video_").isdecimal()
    assert (video.object, video.status, video.progress, video.model) == ("video", "queued", 0, "stub")
    assert (video.size, video.seconds, video.prompt) == ("96x64", "4", "a red ball rolls")
    assert abs(video.created_at - time.time()) < 10
    done = client.videos.poll(video.id)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    assert (done.size, done.seconds) == ("96x64", "4")
    assert done.created_at <= done.completed_at < done.expires_at
    content = client.videos.download_content(video.id)
    assert content.response.headers["content-type"] == "video/mp4"
    content.write_to_file(tmp_path / "video.mp4")
    from kinora.media.film import read_film

    assert read_film(tmp_path / "video.mp4").frames_FHWC.shape == (4, 64, 96, 3)


def test_create_and_poll_obeys_the_header(busy, client_of):
    client = client_of(busy)
    began = time.monotonic()
    video = client.videos.create_and_poll(prompt="a blue ball", seconds="2")
    assert (video.status, video.size, video.seconds) == ("completed", "64x96", "2")  # upright, as OpenAI's default is
    raw = client.videos.with_raw_response.retrieve(video.id)
    assert 200 <= int(raw.headers["openai-poll-after-ms"]) <= 5000
    assert time.monotonic() - began < 20


def test_variants_show_the_video(busy, client_of):
    client = client_of(busy)
    video = client.videos.create_and_poll(prompt="a green ball", seconds="7", size="720x720")
    thumbnail = client.videos.download_content(video.id, variant="thumbnail")
    assert thumbnail.response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumbnail.read())).size == (64, 64)
    sheet = client.videos.download_content(video.id, variant="spritesheet")
    assert sheet.response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(sheet.read())).size == (5 * 160, 2 * 160)  # 7 frames in rows of 5
    again = client.videos.download_content(video.id, variant="spritesheet")
    assert again.response.headers["etag"] == sheet.response.headers["etag"]
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.download_content(video.id, variant="subtitles")
    assert refused.value.param == "variant"


def test_a_video_begins_with_a_picture_and_takes_its_shape(busy, client_of, picture):
    client = client_of(busy)
    video = client.videos.create(prompt="it moves", seconds="2", input_reference=("cat.png", picture, "image/png"))
    assert video.size == "96x64"
    task = busy.service.tasks.get(None, int(video.id.removeprefix("video_")))
    assert task.kind == "image_to_video"
    assert [condition["kind"] for condition in task.request["conditions"]] == ["keyframe"]
    assert client.videos.poll(video.id).status == "completed"
    # Bytes without a name or a type are told apart by what they are.
    assert client.videos.create(prompt="it moves", seconds="2", input_reference=picture).status == "queued"
    with pytest.raises(openai.BadRequestError):
        client.videos.create(prompt="it moves", input_reference=b"%PDF-1.4 no picture at all")


def test_remix_keeps_all_but_the_prompt(busy, client_of):
    client = client_of(busy)
    first = client.videos.create_and_poll(
        prompt="a red ball", seconds="3", size="1920x1080", extra_body={"seed": 7, "negative_prompt": "rain"}
    )
    remix = client.videos.remix(first.id, prompt="a blue ball")
    assert remix.remixed_from_video_id == first.id
    tasks = busy.service.tasks
    one, other = (dict(tasks.get(None, int(video.id.removeprefix("video_"))).request) for video in (first, remix))
    assert (one.pop("prompt"), other.pop("prompt")) == ("a red ball", "a blue ball")
    assert one == other
    assert one["seed"] == 7
    done = client.videos.poll(remix.id)
    assert (done.status, done.size, done.seconds) == ("completed", "96x64", "3")
    parent = tasks.get(None, int(first.id.removeprefix("video_"))).outputs[0]
    assert tasks.get(None, int(remix.id.removeprefix("video_"))).parent_id == parent.id


def test_an_extension_adds_seconds_to_a_video(busy, client_of, tmp_path):
    client = client_of(busy)
    first = client.videos.create_and_poll(prompt="a ball", seconds="3", size="100x100")
    content = client.videos.download_content(first.id).read()
    # The client can only send the film itself; its objects never leave it (3.54.0).
    longer = client.videos.extend(prompt="the ball stops", seconds="4", video=("first.mp4", content, "video/mp4"))
    assert client.videos.poll(longer.id).seconds == "7"
    answer = httpx.post(
        f"{busy.url}/v1/videos/extensions",
        json={"prompt": "it rolls on", "seconds": "2", "video": {"id": first.id}},
        headers=client.auth_headers,
    )
    assert answer.status_code == 200, answer.text
    done = client.videos.poll(answer.json()["id"])
    assert (done.status, done.seconds, done.size) == ("completed", "5", "64x64")
    task = busy.service.tasks.get(None, int(done.id.removeprefix("video_")))
    assert task.request["conditions"][0]["told"] == "a ball"
    assert task.parent_id is not None


def test_an_edit_needs_a_mask(busy, client_of):
    client = client_of(busy)
    first = client.videos.create_and_poll(prompt="a ball", seconds="3", size="100x100")
    content = client.videos.download_content(first.id).read()
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.edit(prompt="make it a cube", video=content)
    assert (refused.value.param, refused.value.code) == ("mask", "unsupported")
    assert "64 x 64" in refused.value.message
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = 255
    mask = io.BytesIO()
    Image.fromarray(pixels).save(mask, "PNG")
    answer = httpx.post(
        f"{busy.url}/v1/videos/edits",
        data={"prompt": "make it a cube", "video[id]": first.id},
        files={"mask": ("mask.png", mask.getvalue(), "image/png")},
        headers=client.auth_headers,
    )
    assert answer.status_code == 200, answer.text
    assert client.videos.poll(answer.json()["id"]).status == "completed"


def test_a_list_is_paged_in_both_orders(idle, client_of):
    client = client_of(idle)
    ids = [client.videos.create(prompt=f"ball {number}").id for number in range(7)]
    client_of(idle).videos.create(prompt="somebody else's")
    assert [video.id for video in client.videos.list(limit=3)] == ids[::-1]
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == ids
    page = client.videos.list(limit=3)
    assert (page.has_more, page.last_id, len(page.data)) == (True, ids[4], 3)
    last = client.videos.list(limit=3, after=ids[1])
    assert ([video.id for video in last.data], last.has_more) == ([ids[0]], False)
    assert client.videos.list(after=ids[0]).data == []
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.list(limit=-1)
    assert refused.value.param == "limit"


def test_a_deleted_video_is_gone(busy, idle, client_of):
    client = client_of(busy)
    video = client.videos.create_and_poll(prompt="a ball", seconds="1")
    gone = client.videos.delete(video.id)
    assert (gone.id, gone.object, gone.deleted) == (video.id, "video.deleted", True)
    for ask in (client.videos.retrieve, client.videos.download_content, client.videos.delete):
        with pytest.raises(openai.NotFoundError):
            ask(video.id)
    waiting = client_of(idle)
    video = waiting.videos.create(prompt="a ball")
    assert waiting.videos.delete(video.id).deleted


def test_a_video_under_way_is_stopped_before_it_is_deleted(busy, client_of):
    client = client_of(busy, max_retries=0)
    video = client.videos.create(prompt='a ball stub{"step_seconds": 0.2, "steps": 200}', seconds="1")
    until = time.monotonic() + 20
    while client.videos.retrieve(video.id).status != "in_progress":
        assert time.monotonic() < until
        time.sleep(0.05)
    with pytest.raises(openai.ConflictError):
        client.videos.delete(video.id)
    while client.videos.retrieve(video.id).status == "in_progress":
        assert time.monotonic() < until
        time.sleep(0.05)
    stopped = client.videos.retrieve(video.id)
    assert (stopped.status, stopped.error.code) == ("failed", "cancelled")
    assert client.videos.delete(video.id).deleted


def test_a_failure_is_told_with_its_code(busy, client_of):
    client = client_of(busy)
    video = client.videos.create_and_poll(prompt='a ball stub{"fault": "fail", "code": "media"}', seconds="1")
    assert (video.status, video.error.code) == ("failed", "media")
    assert video.error.message
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)


def test_errors_have_openais_shape(idle, client_of):
    client = client_of(idle)
    with pytest.raises(openai.AuthenticationError) as wrong:
        client_of(idle, key="sk-wrong").videos.list()
    assert (wrong.value.code, wrong.value.type) == ("invalid_api_key", "authentication_error")
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.retrieve("video_123")
    assert (missing.value.type, missing.value.code) == ("invalid_request_error", "not_found")
    for said in ("123", "video_", "video_abc", "video_" + "9" * 30, "video_٣"):
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(said)
    for values, param in (
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x", "size": "large"}, "size"),
        ({"prompt": "x", "seconds": "long"}, "seconds"),
        ({"prompt": "x", "seconds": "-3"}, "seconds"),
        ({"prompt": "x", "extra_body": {"seed": "no"}}, "seed"),
        ({"prompt": "x", "extra_body": {"quality": "best"}}, "quality"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.videos.create(**values)
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    with pytest.raises(openai.NotFoundError):
        client.videos.create(prompt="x", model="no-such-model")
    with pytest.raises(openai.BadRequestError):
        client.videos.create(prompt="x" * 3000)
    answer = httpx.get(f"{idle.url}/openai/v1/nothing", headers=client.auth_headers)
    assert (answer.status_code, set(answer.json()["error"])) == (404, {"message", "type", "param", "code"})


def test_units_and_slots_are_told(idle, client_of):
    poor = client_of(idle, account=idle.account(plan="free", units=0))
    with pytest.raises(openai.RateLimitError) as refused:
        for _ in range(20):
            poor.videos.create(prompt="a ball", seconds="100")
    assert refused.value.code in ("insufficient_quota", "rate_limit_exceeded")


def test_another_accounts_videos_do_not_exist(busy, client_of):
    video = client_of(busy).videos.create_and_poll(prompt="mine", seconds="1")
    other = client_of(busy).videos
    for ask in (other.retrieve, other.download_content, other.delete):
        with pytest.raises(openai.NotFoundError):
            ask(video.id)
    with pytest.raises(openai.NotFoundError):
        other.remix(video.id, prompt="yours")


def test_images_come_as_links_or_inside_the_answer(busy, client_of):
    client = client_of(busy)
    answer = client.images.generate(model="dall-e-3", prompt="a ball", n=2, size="1024x1024")
    assert answer.size == "64x64"
    assert len(answer.data) == 2
    fetched = [httpx.get(picture.url) for picture in answer.data]
    assert [(one.status_code, one.headers["content-type"]) for one in fetched] == [(200, "image/png")] * 2
    assert fetched[0].content != fetched[1].content
    inside = client.images.generate(prompt="a ball", response_format="b64_json", size="1792x1024")
    assert Image.open(io.BytesIO(base64.b64decode(inside.data[0].b64_json))).size == (96, 64)
    assert client.images.generate(model="gpt-image-2", prompt="a ball").data[0].b64_json
    for values in ({"n": 0}, {"n": 99}, {"response_format": "tiff"}, {"stream": True}):
        with pytest.raises(openai.BadRequestError):
            client.images.generate(prompt="a ball", **values)


def test_pictures_that_fail_are_asked_for_once(busy, client_of):
    client = client_of(busy, max_retries=2)
    account = busy.account()
    client = client_of(busy, account=account, max_retries=2)
    with pytest.raises(openai.InternalServerError):
        client.images.generate(prompt='a ball stub{"fault": "fail"}')
    assert busy.service.tasks.count(account.id) == 1


def test_models_are_those_that_are_served(idle, client_of):
    client = client_of(idle)
    listed = client.models.list().data
    assert [(model.id, model.object, model.owned_by) for model in listed] == [("stub", "model", "kinora")]
    assert client.models.retrieve("stub").id == "stub"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sora-3")


def test_a_character_appears_where_it_is_asked_for(busy, client_of):
    client = client_of(busy)
    film = client.videos.create_and_poll(prompt="a ball", seconds="3", size="100x100")
    content = client.videos.download_content(film.id).read()
    character = client.videos.create_character(name="Ball", video=("ball.mp4", content, "video/mp4"))
    assert character.id.startswith("char_")
    found = client.videos.get_character(character.id)
    assert (found.name, found.created_at) == ("Ball", character.created_at)
    with pytest.raises(openai.NotFoundError):
        client_of(busy).videos.get_character(character.id)
