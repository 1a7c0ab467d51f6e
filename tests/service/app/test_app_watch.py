"""What operators and their machines see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from kinora.service.workers import Workers
from listening import listening


def test_a_process_is_healthy_and_ready_only_with_a_worker(serve: Any) -> None:
    served = serve(lease_seconds=10)
    nobody = served.nobody()
    assert nobody.get("/healthz").json() == {"ok": True}
    answer = nobody.get("/readyz")
    assert answer.status_code == 503
    assert set(answer.json()["reasons"]) == {"workers"}
    workers = Workers(served.service.database, served.service.settings)
    workers.arrive("one", 1, "cpu", ["stub"])
    assert nobody.get("/readyz").json() == {"ready": True, "reasons": {}}
    workers.drain("one")
    assert nobody.get("/readyz").status_code == 503
    # A store that is gone is a reason, not an error.
    folder = served.service.settings.data / "objects"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file where a folder was")
    assert set(nobody.get("/readyz").json()["reasons"]) == {"workers", "objects"}
    assert nobody.get("/healthz").status_code == 200


def test_figures_for_prometheus(served: Any) -> None:
    tenant = served.tenant()
    task = tenant.post("/api/tasks", json={"kind": "text_to_video", "prompt": "a ball"}).json()
    tenant.get(f"/api/tasks/{task['id']}")
    tenant.get("/api/nothing/1")
    tenant.get("/api/nothing/2")
    tenant.request("BREW", "/api/tasks")
    text = served.nobody().get("/metrics").text
    assert 'kinora_requests_total{method="GET",route="/api/tasks/{task_id}",status="200"}' in text
    assert 'kinora_requests_total{method="other",route="/api/tasks",status="405"}' in text
    assert 'kinora_requests_total{method="GET",route="unknown",status="404"}' in text
    assert 'kinora_request_seconds_bucket{le="0.15",route="/api/tasks"}' in text
    assert 'kinora_tasks{state="submitted"}' in text
    assert 'kinora_units{book="hold"}' in text
    assert "kinora_workers_live 0.0" in text
    queue = next(line for line in text.splitlines() if line.startswith("kinora_queue_length "))
    assert float(queue.split()[1]) >= 1
    # Ids and paths of strangers make no series.
    assert task["id"] not in text
    assert "nothing" not in text


@pytest.mark.parametrize(
    ("client", "host", "extra", "status"),
    [
        ("127.0.0.1", "localhost:8190", {}, 200),
        ("::1", "[::1]:8190", {}, 200),
        ("127.0.0.1", "evil.example", {}, 401),
        ("127.0.0.1", "localhost", {"x-forwarded-for": "1.2.3.4"}, 401),
        ("10.0.0.7", "localhost", {}, 401),
        ("testclient", "localhost", {}, 401),
    ],
)
def test_figures_are_for_this_machine_and_administrators(
    served: Any, client: str, host: str, extra: dict[str, str], status: int
) -> None:
    headers = {"host": host, **extra}
    browser = TestClient(served.app, client=(client, 4000))
    assert browser.get("/metrics", headers=headers).status_code == status
    member = {"authorization": f"Bearer {served.tenant().secret}"}
    assert browser.get("/metrics", headers=headers | member).status_code == (200 if status == 200 else 403)
    boss = {"authorization": f"Bearer {served.tenant(role='admin').secret}"}
    assert browser.get("/metrics", headers=headers | boss).status_code == 200


def test_a_line_for_each_request_and_nothing_secret_in_it(served: Any) -> None:
    tenant = served.tenant(password="correct horse battery")
    wish = {"kind": "text_to_video", "prompt": "a very private sentence", "external_id": "mine"}
    with listening() as said:
        answer = tenant.post("/api/tasks", json=wish)
        served.nobody().post("/api/session", json={"name": tenant.account.name, "password": "correct horse battery"})
        link = tenant.put("/api/uploads/x.json?purpose=speech", content=b'{"frames": [[0, 0, 0, 0]]}')
        assert link.status_code == 201, link.text
        quiet = served.nobody().get("/healthz")
        last = served.nobody().get(link.json()["url"])
        first = said.line("request", answer.headers["x-request-id"])
        said.line("request", last.headers["x-request-id"])
    assert {"method": "POST", "route": "/api/tasks", "status": 201}.items() <= first.items()
    assert first["account_id"] == str(tenant.account.id)
    assert first["ms"] > 0
    assert quiet.headers["x-request-id"] not in said.getvalue()
    for secret in ("private", "correct horse", tenant.secret, "sign=", tenant.account.name):
        assert secret not in said.getvalue()


def test_the_interface_works_with_torch_made_unimportable(tmp_path: Path) -> None:
    program = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ImportError("torch is gone")
sys.meta_path.insert(0, Gone())
from starlette.testclient import TestClient
from kinora.service.api.app import create_app
from kinora.service.service import open_service
from kinora.service.settings import Settings
service = open_service(Settings())
account = service.accounts.create("one", plan="house")
headers = {"authorization": f"Bearer {service.accounts.new_key(account.id, 'k').secret}"}
with TestClient(create_app(service), headers=headers) as client:
    wish = {"kind": "text_to_video", "prompt": "a red ball rolls on the grass", "seconds": 2}
    assert client.post("/api/price", json=wish).status_code == 200
    assert client.post("/api/tasks", json=wish).status_code == 201
    assert client.post("/kling/v1/videos/text2video", json={"prompt": "a red ball"}).json()["code"] == 0
    assert client.post("/openai/v1/videos", data={"prompt": "a red ball"}).status_code == 200
    assert client.get("/api/models").json()["models"][0]["name"] == "tiny"
service.close()
assert not [name for name in sys.modules if name.split(".")[0] == "torch"]
print("works")
"""
    environment = {**os.environ, "KINORA_DATA": str(tmp_path), "KINORA_SERVES": "tiny"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "works"


def test_the_description_is_served(tenant: httpx.Client) -> None:
    assert tenant.get("/api/openapi.json").json()["info"]["title"] == "Kinora"
