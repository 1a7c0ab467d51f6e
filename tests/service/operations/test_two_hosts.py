"""The example of `docs/operations.md`: a Postgres, a bucket, one host for HTTP and two that work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kinora.media.authority import brought, own
from kinora.media.provenance import read_credentials

SLOW = {"step_seconds": 0.3, "steps": 14}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{address}:{port}"), ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="films")
    yield
    server.stop()


def test_two_hosts_and_one_that_dies(
    host: Callable[..., Any], opened: Callable[..., Any], client: Callable[..., Any], bucket: None, postgres_url: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    identity = own(tmp_path / "authority", name="Films")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_text(identity.chain)
    key.write_text(identity.key)
    shared = {
        "KINORA_DATABASE": postgres_url, "KINORA_OBJECTS": "s3://films/kinora",
        "KINORA_SECRET": "the same long random secret on all hosts", "KINORA_CERTIFICATE": str(chain),
        "KINORA_CERTIFICATE_KEY": str(key),
    }  # fmt: skip
    front, one, two = host("front", **shared), host("one", **shared), host("two", **shared)
    service = opened(front)  # migrates once, so that the three below start at the same time without waiting
    workers = {"one": one.worker(), "two": two.worker()}
    served = front.serve()
    asking = client(served)
    assert asking.http.get("/readyz").status_code == 200

    # Both work.
    asked = [asking.ask(f"a ball {number}", step_seconds=0.1, steps=6) for number in range(6)]
    made = [asking.ended(task_id) for task_id in asked]
    assert [each["state"] for each in made] == ["succeed"] * 6
    by = {pid_of(service.tasks.get(None, task_id).worker_id) for task_id in asked}
    assert by == {process.pid for process in workers.values()}

    # One dies; the other goes on from where it was.
    slow = asking.ask(**SLOW)

    def saved() -> Any:
        task = service.tasks.get(None, slow)
        return task.done >= 7 and task

    from_ = wait(saved)
    dying = next(process for process in workers.values() if process.pid == pid_of(from_.worker_id))
    assert service.objects.list(f"work/{slow}"), "its save lies in the bucket"
    os.kill(dying.pid, signal.SIGKILL)
    done = asking.ended(slow)
    task = service.tasks.get(None, slow)
    assert (task.state, task.attempts) == ("succeed", 2)
    assert pid_of(task.worker_id) not in (dying.pid, None)
    events = service.tasks.events(None, 0, task_id=slow)
    second = next(event.id for event in events if event.body.get("attempt") == 2)
    again = [event.body["done"] for event in events if event.id > second and event.kind == "progress"]
    assert again[0] >= 4, f"it went on from a save: {again}"
    assert service.objects.list(f"work/{slow}") == []

    # What was made lies in the bucket and nowhere else; its link needs no key.
    assert not list(tmp_path.glob("*/data/objects/**/*"))
    film = httpx.get(httpx.URL(served.url).join(done["outputs"][0]["url"]))
    assert film.status_code == 200
    (tmp_path / "film.mp4").write_bytes(film.content)
    credentials = read_credentials(tmp_path / "film.mp4", anchors=brought(chain, key).anchors)
    assert credentials is not None
    assert credentials.valid, "signed by the certificate of all hosts"
    assert not list(tmp_path.glob("*/data/authority")), "no host made an authority of its own"


def pid_of(worker_id: str | None) -> int | None:
    return int(worker_id.split("-")[-2]) if worker_id else None


def wait(true: Callable[[], Any]) -> Any:
    import time

    end = time.monotonic() + 60
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
