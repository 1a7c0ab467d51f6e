"""What OpenAI's client sends twice is made once; what it asks for twice is made twice."""

from __future__ import annotations

import socket
import threading

import httpx
import openai
import pytest

from running import running

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled to permanently shut down:DeprecationWarning")


class Lossy:
    """A proxy between client and service: it passes requests on, and loses the first `lost` answers."""

    def __init__(self, url: str, lost: int) -> None:
        self._to = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.lost, self.counts = lost, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client:
                self._pass(client)

    def _pass(self, client: socket.socket) -> None:
        request = self._message(client)
        if not request:
            return
        head = request.partition(b"\r\n\r\n")[0].lower()
        self.counts.append(int(head.partition(b"x-stainless-retry-count: ")[2].partition(b"\r\n")[0] or b"-1"))
        request = request.replace(b"Connection: keep-alive", b"Connection: close", 1)
        with socket.create_connection(self._to) as server:
            server.sendall(request)
            answer = b""
            while piece := server.recv(65536):
                answer += piece
        if self.lost:
            self.lost -= 1
        else:
            client.sendall(answer)

    def _message(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)


@pytest.fixture
def lossy():
    opened = []

    def make(url: str, lost: int) -> Lossy:
        opened.append(Lossy(url, lost))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def account(idle):
    return idle.account()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_answer_makes_no_second_video(idle, client_of, lossy, account, lost, picture):
    proxy = lossy(idle.url, lost)

    class Via:
        url = proxy.url
        key = staticmethod(idle.key)

    client = client_of(Via, account=account, max_retries=2)
    video = client.videos.create(prompt="a ball", input_reference=("a.png", picture, "image/png"))
    assert proxy.counts == [*range(lost + 1)]
    assert [task.id for task in idle.service.tasks.page(account.id)] == [int(video.id.removeprefix("video_"))]
    held = idle.service.tasks.get(account.id, int(video.id.removeprefix("video_"))).units
    with idle.service.database.read() as c:
        assert idle.service.ledger.balance(c, account.id).held == held


def test_asking_twice_gives_two(idle, client_of, account):
    client = client_of(idle, account=account)
    assert client.videos.create(prompt="a ball").id != client.videos.create(prompt="a ball").id
    assert idle.service.tasks.count(account.id) == 2


def _create(idle, account, count: str | None, **headers: str) -> httpx.Response:
    told = {"Authorization": f"Bearer {idle.key(account)}", **headers}
    if count is not None:
        told["x-stainless-retry-count"] = count
    return httpx.post(f"{idle.url}/v1/videos", data={"prompt": "a ball"}, files={"none": b""}, headers=told)


def test_a_repetition_after_a_refusal_is_not_an_earlier_video(idle, client_of):
    """The account's slots are full; the client waits and repeats: what it gets is the create that was refused."""
    account = idle.account(plan="free")
    first = _create(idle, account, "0").json()["id"]
    refused = _create(idle, account, "0")
    assert refused.status_code == 429, refused.text
    idle.service.tasks.cancel(account.id, int(first.removeprefix("video_")))
    second = _create(idle, account, "1").json()["id"]
    assert second != first


def test_a_repetition_of_what_never_came_is_not_a_video_that_was_named(idle, account):
    first = _create(idle, account, "0").json()["id"]
    headers = {"Authorization": f"Bearer {idle.key(account)}"}
    assert httpx.get(f"{idle.url}/v1/videos/{first}", headers=headers).status_code == 200
    assert _create(idle, account, "1").json()["id"] != first


def test_a_repetition_is_known_on_postgres_too(postgres_url, tmp_path):
    with running(tmp_path, database=postgres_url) as served:
        account = served.account()
        first = _create(served, account, "0").json()["id"]
        other = _create(served, account, "0").json()["id"]
        assert _create(served, account, "1").json()["id"] == other != first
        assert _create(served, served.account(), "1").json()["id"] not in (first, other)


def test_repetitions_do_not_cross_accounts(idle, account):
    assert _create(idle, account, "0").json()["id"] != _create(idle, idle.account(), "1").json()["id"]


def test_a_key_that_is_named_is_kept_to(idle, account):
    one = [_create(idle, account, None, **{"Idempotency-Key": "k1"}).json()["id"] for _ in range(3)]
    assert len({*one}) == 1
    assert _create(idle, account, None, **{"Idempotency-Key": "k2"}).json()["id"] != one[0]
    answer = httpx.post(
        f"{idle.url}/v1/videos", json={"prompt": "a cube"},
        headers={"Authorization": f"Bearer {idle.key(account)}", "Idempotency-Key": "k1"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert _create(idle, account, None, **{"Idempotency-Key": "k" * 300}).status_code == 400


def test_no_client_repeats_what_units_are_missing_for(idle, client_of, lossy):
    proxy = lossy(idle.url, 0)

    class Via:
        url = proxy.url
        key = staticmethod(idle.key)

    client = client_of(Via, account=idle.account(plan="free", units=0), max_retries=2)
    with pytest.raises(openai.RateLimitError) as refused:
        client.videos.create(prompt="a ball", seconds="600")
    assert refused.value.code == "insufficient_quota"
    assert proxy.counts == [0]
