"""The short form of benchmarks/soak_api.py, many submits at once, and one film from a wish to its file."""

from __future__ import annotations

import importlib.util
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

SOAK = Path(__file__).parents[3] / "benchmarks" / "soak_api.py"
BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}


def test_random_requests_meet_no_server_error(served: Any) -> None:
    spec = importlib.util.spec_from_file_location("soak_api", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    soak = module.Soak(served.service, served.url)
    soak.fill()
    sent = soak.run(2)
    assert not soak.wrong, soak.wrong[0]
    names = {name for name, _ in soak.statuses}
    assert len(names) > 50
    assert sent >= len(names)
    # They come further than the door: a good share is answered with what was asked for.
    fine = sum(count for (_, status), count in soak.statuses.items() if status < 300)
    assert fine > 0.25 * sent


def test_many_submits_at_once_stay_within_units_and_slots(served: Any) -> None:
    """300 submits by 20 threads: 3 slots, 100 units at 6 each; over and over, since cancelling gives both back."""
    tenant = served.tenant(plan="standard")
    service, account = served.service, tenant.account
    with service.database.write() as c:
        service.ledger.refresh(c, account)
    wish = BALL | {"seconds": 40, "quality": "standard"}  # 240 units: of 660, two at most
    codes: list[str] = []
    most_held, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            with service.database.read() as c:
                balance = service.ledger.balance(c, account.id)
                slots = c.exec_driver_sql(f"SELECT video_slots FROM accounts WHERE id = {account.id}").scalar()
            assert balance.available >= 0
            most_held[0] = max(most_held[0], balance.held, 240 * slots)

    def submit(number: int) -> None:
        with httpx.Client(base_url=served.url, headers=dict(tenant.headers), timeout=60) as client:
            for _ in range(15):
                answer = client.post("/api/tasks", json=wish)
                if answer.status_code == 201:
                    codes.append("accepted")
                    client.post(f"/api/tasks/{answer.json()['id']}/cancel")
                else:
                    codes.append(answer.json()["error"]["code"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(submit, range(20)))
    ended.set()
    watcher.join()
    assert len(codes) == 300
    assert set(codes) <= {"accepted", "out_of_units", "too_many_tasks"}
    assert codes.count("accepted") >= 2
    assert codes.count("out_of_units") + codes.count("too_many_tasks") > 0
    assert 0 < most_held[0] <= 480
    with service.database.read() as c:
        balance = service.ledger.balance(c, account.id)
    assert (balance.available, balance.held) == (660, 0)


def test_a_film_from_a_wish_to_its_file(worker: Any) -> None:
    tenant = worker.tenant()
    wish = BALL | {"seconds": 3, "quality": "pro"}
    task = tenant.post("/api/tasks", json=wish).json()
    with tenant.stream("GET", f"/api/tasks/{task['id']}/events", timeout=60) as stream:
        seen = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
    assert (seen[0], seen[-1]) == ("state", "state")
    done = tenant.get(f"/api/tasks/{task['id']}").json()
    assert done["state"] == "succeed", done["error"]
    [output] = done["outputs"]
    film = worker.nobody().get(output["url"])
    assert film.headers["content-type"] == "video/mp4"
    assert len(film.content) == output["bytes"]
    part = worker.nobody().get(output["url"], headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert worker.nobody().get(output["thumbnail_url"]).status_code == 200
    # What was made can be gone on from, and the film that comes of it worked over again.
    longer = {"kind": "extend", "prompt": "it stops", "extend": {"film": {"output": output["id"]}}}
    onward = tenant.post("/api/tasks", json=longer)
    assert onward.status_code == 201, onward.text
    until = time.monotonic() + 60
    while (now := tenant.get(f"/api/tasks/{onward.json()['id']}").json())["state"] in ("submitted", "processing"):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert now["state"] == "succeed", now["error"]
    assert now["parent_output_id"] == output["id"]
    assert tenant.get("/api/account").json()["balance"]["held"] == 0
    assert worker.nobody().get("/readyz").json() == {"ready": True, "reasons": {}}
