"""Files behind signed links, over a real socket, from a folder and from S3."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
from urllib.parse import quote, urlsplit

import httpx
import pytest

from running import running

SIZE = 3 * 2**20 + 12_345
CONTENT = random.Random(0).randbytes(SIZE)


@pytest.fixture(scope="module", params=["folder", "s3"])
def served(request, tmp_path_factory):
    if request.param == "folder":
        yield request.getfixturevalue("idle")
        return
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1"}  # fmt: skip
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    httpx.put(f"http://{host}:{port}/films").raise_for_status()
    try:
        with running(tmp_path_factory.mktemp("files"), objects="s3://films/kinora") as made:
            yield made
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        server.stop()


@pytest.fixture(scope="module")
def account(served):
    return served.account()


@pytest.fixture(scope="module")
def link(served, account, tmp_path_factory) -> str:
    """The signed URL of a stored film; nobody looks inside it here."""
    file = tmp_path_factory.mktemp("film") / "film.mp4"
    file.write_bytes(CONTENT)
    asset = served.service.assets.store(account.id, file, "video/mp4", name="film.mp4", width=64, height=64, frames=1)
    return served.url + served.service.assets.link(account.id, asset.digest, name="a film.mp4")


def test_the_whole_file_comes_with_headers_that_run_nothing(link):
    answer = httpx.get(link)
    assert (answer.status_code, answer.content == CONTENT) == (200, True)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "a film.mp4" in answer.headers["content-disposition"]


def test_head_tells_what_get_would(link):
    whole, head = httpx.get(link), httpx.head(link)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert httpx.head(link, headers={"Range": "bytes=0-9"}).headers["content-length"] == str(SIZE)


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1048570-1048580", 1_048_570, 1_048_580),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        (f"bytes={SIZE - 5}-", SIZE - 5, SIZE - 1),
        (f"bytes=7-{SIZE * 9}", 7, SIZE - 1),
    ],
)
def test_a_range_is_that_part(link, said, first, last):
    answer = httpx.get(link, headers={"Range": said})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.content == CONTENT[first : last + 1]


def test_beyond_the_end_is_416(link):
    answer = httpx.get(link, headers={"Range": f"bytes={SIZE}-"})
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (416, f"bytes */{SIZE}", b"")


@pytest.mark.parametrize("said", ["bytes=0-1,5-9", "pages=1-2", "bytes=9-1"])
def test_other_ranges_give_the_whole(link, said):
    answer = httpx.get(link, headers={"Range": said})
    assert (answer.status_code, len(answer.content)) == (200, SIZE)


def test_who_has_the_file_is_not_sent_it_again(link):
    tag = httpx.head(link).headers["etag"]
    for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = httpx.get(link, headers={"If-None-Match": said})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert httpx.head(link, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_part_of_another_version_is_not_sent(link):
    tag = httpx.head(link).headers["etag"]
    part = {"Range": "bytes=0-9"}
    assert httpx.get(link, headers={**part, "If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Mon, 23 Nov 2026 00:00:00 GMT"):
        assert httpx.get(link, headers={**part, "If-Range": other}).status_code == 200


def test_a_link_that_was_changed_opens_nothing(served, account, link):
    url = urlsplit(link)
    digest = url.path.split("/")[2]
    other = served.account()
    wrong = [
        link.replace("sign=", "sign=0"),
        link.replace("until=", "until=9"),
        link.replace(f"account={account.id}", f"account={other.id}"),
        link.replace("account=", "account=-"),
        link.replace("account=", "account=" + "9" * 400),
        link.replace("a%20film", "b%20film"),
        link.replace(digest, "0" * 64),
        f"{served.url}{url.path}",
        f"{served.url}{url.path}?account={account.id}&until=99999999999&sign=",
        f"{served.url}{url.path}?account=٣&until=٣&sign=x",
    ]
    for said in wrong:
        answer = httpx.get(said)
        assert answer.status_code == 403, said
        assert set(answer.json()["error"]) >= {"code", "message"}
    over = served.service.assets.link(account.id, digest, seconds=-5)
    assert httpx.get(served.url + over).status_code == 403


def test_no_path_comes_from_the_client(served, link):
    """Whatever stands where the digest goes, the answer is a refusal, and never a file."""
    url = urlsplit(link)
    digest = url.path.split("/")[2]
    forms = [
        "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd", "....//", "..\\..", "%5c..%5c", "%00", digest[:-1],
        digest + "0", digest.upper(), digest[:32] + "/" + digest[32:], "sha256/" + digest[:2], "%252e%252e", "~", "*",
        "/etc/passwd", "file:///etc/passwd", digest + "%00", digest + "%0a", quote("０" * 64), "g" * 64, "kinora.db",
    ]  # fmt: skip
    for form in forms:
        for path in (f"/files/{form}/film.mp4", f"/files/{digest}/{form}", f"/files/{form}"):
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
            connection.putrequest("GET", f"{path}?{url.query}")
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert answer.status in (400, 403, 404), (path, answer.status)
            assert CONTENT[:64] not in body
            assert b"root:" not in body


def test_a_file_that_is_gone_is_told_before_anything_is_sent(served, account, tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"soon gone")
    asset = served.service.assets.store(account.id, file, "video/mp4", name="film.mp4")
    url = served.url + served.service.assets.link(account.id, asset.digest)
    assert httpx.get(url).content == b"soon gone"
    served.service.objects.delete(served.service.assets.path_of(asset))
    assert httpx.get(url).status_code == 404
    served.service.assets.delete(account.id, asset.digest)
    assert httpx.get(url).status_code == 404
