"""The object store in a bucket, against moto's server over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kinora.service.accounts import Accounts
from kinora.service.assets import Assets
from kinora.service.errors import Missing, Unavailable
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import open_database


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    boto3 = pytest.importorskip("boto3")
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="films")
    return settings.model_copy(update={"objects": "s3://films/one/two"})


def test_objects_lie_below_the_prefix(bucket: Settings, tmp_path: Path) -> None:
    import boto3

    objects = Objects(bucket)
    content = bytes(range(256)) * 30_000  # 7.7 MB: sent in parts
    (tmp_path / "file").write_bytes(content)
    objects.put("sha256/ab/cd", tmp_path / "file")
    objects.put("work/1/a", b"0123456789")
    keys = [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket="films")["Contents"]]
    assert sorted(keys) == [f"one/two/{name}" for name in ("sha256/ab/cd", "work/1/a")]
    assert objects.size("sha256/ab/cd") == len(content)
    objects.get("sha256/ab/cd", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert objects.read("work/1/a", 3, 4) == b"3456"
    assert objects.read("work/1/a", 8, 40) == b"89"
    assert objects.read("work/1/a", 80, 4) == b""
    assert [(item.path, item.bytes) for item in objects.list("work")] == [("work/1/a", 10)]
    objects.delete("work/1/a")
    objects.delete("work/1/a")
    assert not objects.has("work/1/a")
    with pytest.raises(Missing):
        objects.read("work/1/a")
    assert objects.delete_all("sha256") == 1


def test_assets_lie_in_a_bucket(bucket: Settings, tmp_path: Path) -> None:
    database, objects = open_database(bucket), Objects(bucket)
    assets = Assets(database, objects, Sealer(bucket), bucket)
    accounts = Accounts(database, Sealer(bucket))
    one, other = accounts.create("one").id, accounts.create("other").id
    (tmp_path / "film").write_bytes(b"a film of ours")
    asset = assets.store(one, tmp_path / "film", "video/mp4", frames=3)
    assets.store(other, tmp_path / "film", "video/mp4", frames=3)
    assets.fetch(asset.digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"a film of ours"
    assets.delete(one, asset.digest)
    assert objects.has(assets.path_of(asset))
    assets.delete(other, asset.digest)
    assert not objects.has(assets.path_of(asset))
    database.close()


def test_a_bucket_that_is_none_says_so(bucket: Settings) -> None:
    objects = Objects(bucket.model_copy(update={"objects": "s3://no-such-bucket"}))
    with pytest.raises((Unavailable, Missing)):
        objects.put("work/1/a", b"x")
