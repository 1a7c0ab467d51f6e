"""Callbacks over real sockets on both databases: the schedule by a turned clock, answers, order, leases, dead hosts."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from kinora.service import webhooks as module
from kinora.service.deliveries import GAPS, JITTER
from kinora.service.errors import Invalid, TooManyRequests
from kinora.service.store import new_id, now_ms


def test_a_callback_arrives_signed_and_once(post_on_both, receiver) -> None:
    post = post_on_both
    secret = post.webhooks.rotate(post.account_id)
    delivery_id = post.queue(receiver.url, b'{"status":"succeed"}')
    assert post.sender().send_due() == 1
    assert post.sender().send_due(post.now + 10**9) == 0
    (call,) = receiver.calls
    assert Webhook(secret).verify(call.body, call.headers) == {"status": "succeed"}
    assert (call.headers["webhook-id"], call.headers["content-type"]) == (str(delivery_id), "application/json")
    row = post.row(delivery_id)
    assert (row.state, row.attempts, row.answer) == ("done", 1, "200")


def test_without_a_secret_there_are_no_headers(post, receiver) -> None:
    post.queue(receiver.url)
    post.sender().send_due()
    assert not [name for name in receiver.calls[0].headers if name.startswith("webhook")]


def test_what_is_rolled_back_is_not_sent(post_on_both, receiver) -> None:
    post = post_on_both
    with pytest.raises(RuntimeError), post.database.write() as c:
        post.webhooks.queue(c, post.account_id, 1, receiver.url, b"{}", post.now)
        raise RuntimeError
    assert post.sender().send_due() == 0
    assert receiver.calls == []


def test_the_schedule_is_that_of_standard_webhooks(post_on_both, receiver) -> None:
    """Ten attempts over 75 h 35 m, the id the same, the timestamp new, each gap at most a tenth longer."""
    post = post_on_both
    secret = post.webhooks.rotate(post.account_id)
    receiver.reply = lambda _call: (500, {})
    delivery_id = post.queue(receiver.url)
    sender, started, tried = post.sender(), post.now, [post.now]
    assert sender.send_due(post.now) == 1
    for gap in GAPS:
        row = post.row(delivery_id)
        assert row.state == "waiting"
        assert gap * 1000 <= row.next_at - post.now <= gap * (1 + JITTER) * 1000 + 1
        assert sender.send_due(row.next_at - 1) == 0
        post.now = row.next_at
        tried.append(post.now)
        assert sender.send_due(post.now) == 1
    row = post.row(delivery_id)
    assert (row.state, row.attempts, row.answer, len(receiver.calls)) == ("dead", 10, "500", 10)
    assert sender.send_due(post.now + 10**12) == 0
    hours = (post.now - started) / 3_600_000
    assert 75 + 35 / 60 <= hours <= 84
    assert sum(GAPS) == 75 * 3600 + 35 * 60 + 5
    assert {call.headers["webhook-id"] for call in receiver.calls} == {str(delivery_id)}
    assert [int(call.headers["webhook-timestamp"]) for call in receiver.calls] == [at // 1000 for at in tried]
    for call, at in zip(receiver.calls, tried, strict=True):
        moment = datetime.fromtimestamp(at // 1000, UTC)
        assert call.headers["webhook-signature"] == Webhook(secret).sign(str(delivery_id), moment, "{}")


def test_any_2xx_is_success(post, receiver) -> None:
    for status in (200, 201, 202, 204, 299):
        receiver.reply = lambda _call, status=status: (status, {})
        delivery_id = post.queue(receiver.url)
        post.sender().send_due()
        assert post.row(delivery_id).state == "done"


def test_anything_else_is_tried_again_and_redirects_are_not_followed(post, receivers) -> None:
    receiver, elsewhere = receivers(), receivers()
    for status in (301, 302, 303, 307, 308, 400, 401, 404, 500, 502):
        receiver.reply = lambda _call, status=status: (status, {"Location": elsewhere.url, "Retry-After": "4000"})
        delivery_id = post.queue(receiver.url)
        post.sender().send_due(post.now)
        row = post.row(delivery_id)
        assert (row.state, row.attempts, row.answer) == ("waiting", 1, str(status))
        assert row.next_at - post.now <= 5501
    assert elsewhere.calls == []


def test_gone_is_dead_at_once(post, receiver) -> None:
    receiver.reply = lambda _call: (410, {})
    delivery_id = post.queue(receiver.url)
    post.sender().send_due()
    assert (post.row(delivery_id).state, post.row(delivery_id).attempts) == ("dead", 1)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status: int, post, receiver) -> None:
    in_an_hour = format_datetime(datetime.fromtimestamp(post.now // 1000 + 3600, UTC), usegmt=True)
    long_ago = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
    honoured = {"120": (120, 120), in_an_hour: (3598, 3601), "99999999999": (86_400, 86_400)}
    for value in ("1", "nonsense", "-5", long_ago, "", "1.5"):
        honoured[value] = (5, 6)
    for value, (least, most) in honoured.items():
        receiver.reply = lambda _call, value=value: (status, {"Retry-After": value})
        delivery_id = post.queue(receiver.url)
        post.sender().send_due(post.now)
        assert least <= (post.row(delivery_id).next_at - post.now) / 1000 <= most, value


def test_nobody_listening_is_tried_again(post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    delivery_id = post.queue(f"http://127.0.0.1:{port}/")
    post.sender().send_due()
    row = post.row(delivery_id)
    assert (row.state, row.attempts) == ("waiting", 1)
    assert "could not be reached" in row.answer


def test_an_address_that_may_not_be_used_is_a_failed_attempt(post, receiver) -> None:
    """Queueing refuses nothing, so that a task can end; sending does."""
    odd = receiver.url.replace("127.0.0.1", "2130706433")
    ids = [post.queue(url) for url in (receiver.url, odd, "ftp://a.b/", "nonsense", "http://10.0.0.1/")]
    post.settings = post.settings.model_copy(update={"loopback": False})
    assert post.sender().send_due() == 5
    assert {post.row(each).state for each in ids} == {"waiting"}
    assert receiver.calls == []


def test_a_task_s_events_keep_their_order_while_the_first_try_lasts(post_on_both, receivers) -> None:
    post = post_on_both
    slow, started, hold = receivers(), threading.Event(), threading.Event()

    def reply(call):
        started.set()
        if call.path == "/1":
            hold.wait(10)
        return 200, {}

    slow.reply = reply
    task_id, base = new_id(), slow.url.removesuffix("/hook")
    for event in (1, 2, 3):
        post.queue(f"{base}/{event}", task_id=task_id)
    other = post.queue(f"{base}/other")
    with post.running():
        assert started.wait(5)
        _until(lambda: post.row(other).state == "done")
        time.sleep(0.5)
        assert sorted(slow.paths) == ["/1", "/other"]
        hold.set()
        _until(lambda: len(slow.calls) == 4)
    assert [path for path in slow.paths if path != "/other"] == ["/1", "/2", "/3"]


def test_a_failed_first_try_holds_nothing_up(post_on_both, receiver) -> None:
    """The later events go out; the failed one comes again by its schedule."""
    post = post_on_both
    receiver.reply = lambda call: (500 if call.path == "/1" else 200, {})
    task_id, base = new_id(), receiver.url.removesuffix("/hook")
    for event in (1, 2, 3):
        post.queue(f"{base}/{event}", task_id=task_id)
    sender = post.sender()
    assert [sender.send_due(post.now) for _ in range(4)] == [1, 1, 1, 0]
    receiver.reply = lambda _call: (200, {})
    assert sender.send_due(post.now + 6000) == 1
    assert receiver.paths == ["/1", "/2", "/3", "/1"]


def test_a_dead_event_frees_its_successor(post, receiver) -> None:
    receiver.reply = lambda call: (410 if call.path == "/1" else 200, {})
    task_id, base = new_id(), receiver.url.removesuffix("/hook")
    post.queue(f"{base}/1", task_id=task_id)
    post.queue(f"{base}/2", task_id=task_id)
    assert [post.sender().send_due(post.now) for _ in range(2)] == [1, 1]
    assert receiver.paths == ["/1", "/2"]


def test_several_senders_share_and_nothing_is_sent_twice(post_on_both, receiver) -> None:
    post = post_on_both
    for event in range(60):
        post.queue(receiver.url.replace("hook", str(event)))
    senders = [post.sender() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda sender=sender: [sender.send_due() for _ in range(30)]) for sender in senders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while post.sender().send_due():
        pass
    assert sorted(receiver.paths) == sorted(f"/{event}" for event in range(60))


def test_a_dead_sender_s_lease_ends(post_on_both, receiver) -> None:
    post = post_on_both
    delivery_id = post.queue(receiver.url)
    claimed = post.sender()._claim(post.now, 10)  # and then its process is killed
    assert [each.id for each in claimed] == [delivery_id]
    assert post.sender().send_due(post.now + 29_999) == 0
    assert post.sender().send_due(post.now + 30_000) == 1
    assert post.row(delivery_id).state == "done"


def test_a_late_failure_changes_nothing_and_a_late_success_counts(post_on_both, receiver) -> None:
    post = post_on_both
    late = post.sender()
    delivery_id = post.queue(receiver.url)
    (first,) = late._claim(post.now, 10)
    (second,) = post.sender()._claim(post.now + 30_000, 10)
    receiver.reply = lambda _call: (500, {})
    late._deliver(first, post.now)
    assert post.row(delivery_id).next_at == second.next_at
    assert post.row(delivery_id).attempts == 0
    receiver.reply = lambda _call: (200, {})
    late._lanes.enter(first)
    late._deliver(first, post.now)
    assert post.row(delivery_id).state == "done"
    receiver.reply = lambda _call: (500, {})
    other = post.sender()
    other._lanes.enter(second)
    other._deliver(second, post.now)
    assert post.row(delivery_id).state == "done"


def test_a_dead_endpoint_delays_nobody(post, receiver) -> None:
    """500 callbacks to a host that accepts and keeps silent wait in front of others' callbacks."""
    mute = socket.create_server(("127.0.0.1", 0), backlog=64)
    with post.database.write() as c:
        for _ in range(500):
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
            post.webhooks.queue(c, post.account_id, new_id(), url, b"", post.now)
    others = [post.account() for _ in range(3)]
    waited = []
    with mute, post.running(timeout=2.0):
        time.sleep(0.5)
        for n in range(8):
            post.now = now_ms()
            queued = time.monotonic()
            post.queue(receiver.url.replace("hook", str(n)), account_id=others[n % 3])
            _until(lambda n=n: f"/{n}" in receiver.paths, seconds=5)
            waited.append(next(call.at for call in receiver.calls if call.path == f"/{n}") - queued)
            time.sleep(0.1)
    assert max(waited) < 1.0, waited


def test_many_silent_endpoints_leave_half_of_the_threads_to_others(post, receiver) -> None:
    mutes = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(12)]
    accounts = [post.account() for _ in range(12)]
    for mute, account_id in zip(mutes, accounts, strict=True):
        for _ in range(30):
            post.queue(f"http://127.0.0.1:{mute.getsockname()[1]}/", account_id=account_id)
    with post.running(timeout=0.5):
        first = [post.webhooks.page(account_id, limit=30)[-1].id for account_id in accounts]
        _until(lambda: all(post.row(each).attempts for each in first))  # everyone's silence is known
        waited = []
        for n in range(8):
            post.now = now_ms()
            queued = time.monotonic()
            post.queue(receiver.url.replace("hook", str(n)))
            _until(lambda n=n: f"/{n}" in receiver.paths, seconds=5)
            waited.append(next(call.at for call in receiver.calls if call.path == f"/{n}") - queued)
    for mute in mutes:
        mute.close()
    assert max(waited) < 1.0, waited


def test_a_test_callback(post_on_both, receiver) -> None:
    post = post_on_both
    secret = post.webhooks.rotate(post.account_id)
    body = b'{"status":"submitted","outputs":[]}'
    answer = post.webhooks.test(post.account_id, receiver.url, body, settings=post.settings, now=post.now)
    assert answer.status == 200
    assert Webhook(secret).verify(receiver.calls[0].body, receiver.calls[0].headers)["outputs"] == []
    with pytest.raises(TooManyRequests) as caught:
        post.webhooks.test(post.account_id, receiver.url, body, settings=post.settings, now=post.now + 5999)
    assert caught.value.retry_after == pytest.approx(0.001)
    other = post.account()  # has six seconds of its own
    post.webhooks.test(other, receiver.url, body, settings=post.settings, now=post.now)
    receiver.reply = lambda _call: (500, {})
    later = post.now + 6000
    assert post.webhooks.test(post.account_id, receiver.url, body, settings=post.settings, now=later).status == 500
    assert post.sender().send_due(post.now + 10**9) == 0  # tests are not tried again
    with pytest.raises(Invalid):
        closed = post.settings.model_copy(update={"loopback": False})
        post.webhooks.test(post.account_id, receiver.url, body, settings=closed, now=post.now + 20_000)


def test_pages_counts_and_forgetting(post_on_both, receiver) -> None:
    post = post_on_both
    ids = [post.queue(receiver.url) for _ in range(5)]
    assert [post.sender().send_due() for _ in range(3)] == [4, 1, 0]  # four at once to one place
    waiting = post.queue(receiver.url)
    assert [each.id for each in post.webhooks.page(post.account_id, limit=2)] == [waiting, ids[4]]
    assert [each.id for each in post.webhooks.page(post.account_id, limit=2, before=ids[4])] == [ids[3], ids[2]]
    assert post.webhooks.page(post.account()) == []
    assert post.webhooks.counts() == {"waiting": 1, "done": 5, "dead": 0}
    with post.database.write() as c:
        assert post.webhooks.expire(c, post.now + 1) == 5
    assert post.webhooks.counts() == {"waiting": 1, "done": 0, "dead": 0}


def test_the_sender_outlives_a_database_that_is_away(post, receiver, monkeypatch) -> None:
    sender, failed = post.sender(), threading.Event()
    real = module.deliveries.due

    def away(c, now):
        if not failed.is_set():
            failed.set()
            raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))
        return real(c, now)

    monkeypatch.setattr(module.deliveries, "due", away)
    delivery_id = post.queue(receiver.url)
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    _until(lambda: post.row(delivery_id).state == "done", seconds=5)
    stop.set()
    thread.join()
    assert failed.is_set()


def _until(true, *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
