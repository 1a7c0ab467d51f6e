"""Random requests to every operation of the HTTP interface: none may be answered with a server error, or with anything
that the description does not say. `python benchmarks/soak_api.py --examples 1000`

Ids and digests in the requests are real ones about half of the time, so that they come further than the first look-up.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEFT_OUT = {
    "listen": "a stream that does not end",
    "readiness": "503 is an answer of its",
    "test_webhook": "calls whatever address it is given",
}
BALL = {"kind": "text_to_video", "prompt": "a red ball rolls"}
DIGEST, ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[1-9][0-9]{0,18}")


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[tuple[Any, str]]:
    """A service with the stub model on a socket of its own: (service, URL)."""
    import uvicorn

    from kinora.service.api.app import create_app
    from kinora.service.service import open_service
    from kinora.service.settings import Settings

    service = open_service(
        Settings(data=folder, serves="stub", requests_per_minute=1_000_000, open_accounts=True, **settings)
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield service, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        service.close()


class Soak:
    """Requests of an administrator, who may do everything."""

    def __init__(self, service: Any, url: str) -> None:
        self.url = url
        self.service = service
        self.statuses: collections.Counter[tuple[str, int]] = collections.Counter()
        self.wrong: list[str] = []
        self._count = 0
        account = service.accounts.create(f"soak {time.time_ns()}", role="admin", plan="house")
        self.account = account
        self.key = service.accounts.new_key(account.id, "soak").secret

    def fill(self) -> None:
        """One of everything, to be named by requests."""
        import httpx
        import numpy as np
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(file, "PNG")
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=60) as client:
            digest = client.put("/api/uploads/a.png", content=file.getvalue()).json()["digest"]
            task = client.post("/api/tasks", json=BALL).json()["id"]
            element = {"name": "x", "description": "x", "frontal": digest, "refers": [digest]}
            elements = client.post("/api/elements", json=element).json()["id"]
        self.real = {"digest": digest, "task_id": task, "element_id": elements, "account_id": str(self.account.id)}

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def run(self, examples: int, *, only: str = "") -> int:
        """`examples` requests for each operation; returns how many were sent in all."""
        import requests
        import schemathesis

        schema = schemathesis.openapi.from_url(f"{self.url}/api/openapi.json")
        session = requests.Session()
        for found in schema.get_all_operations():
            operation = found.ok()
            name = operation.definition.raw["operationId"]
            if name not in LEFT_OUT and only in name:
                self._run_one(operation, name, session, examples)
        session.close()
        return sum(self.statuses.values())

    def _run_one(self, operation: Any, name: str, session: Any, examples: int) -> None:
        from hypothesis import HealthCheck, Phase, given, settings

        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), derandomize=True,
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            self._ask(case, name, session)

        ask()

    def _ask(self, case: Any, name: str, session: Any) -> None:
        from schemathesis.checks import not_a_server_error
        from schemathesis.specs.openapi.checks import (
            content_type_conformance,
            response_schema_conformance,
            status_code_conformance,
        )

        self._count += 1
        if self._count % 2:
            case.path_parameters = {key: self._real(key, value) for key, value in (case.path_parameters or {}).items()}
            case.body = self._named(case.body)
        checks = (
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        )
        try:
            response = case.call(base_url=self.url, headers=self.headers, session=session, timeout=30)
            self.statuses[name, response.status_code] += 1
            case.validate_response(response, checks=checks)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - told at the end, with all others
            self.wrong.append(f"{name}: {type(error).__name__}: {error}"[:2000])

    def _real(self, name: str, value: Any) -> Any:
        return self.real.get(name, value)

    def _named(self, value: Any) -> Any:
        """The value with real ids in place of invented ones."""
        if isinstance(value, dict):
            return {key: self._named(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._named(one) for one in value]
        if isinstance(value, str) and DIGEST.fullmatch(value):
            return self.real["digest"]
        if isinstance(value, str) and ID.fullmatch(value):
            return self.real["task_id"]
        return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="requests for each operation")
    parser.add_argument("--only", default="", help="operations whose name has this in it")
    parser.add_argument("--database", default="", help="a Postgres URL instead of SQLite")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), database=options.database) as (service, url):
        soak = Soak(service, url)
        soak.fill()
        sent = soak.run(options.examples, only=options.only)
    by_status = collections.Counter[int]()
    for (_, status), count in soak.statuses.items():
        by_status[status] += count
    told = {
        "requests": sent,
        "operations": len({name for name, _ in soak.statuses}),
        "statuses": dict(sorted(by_status.items())),
        "wrong": len(soak.wrong),
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(told))
    for line in dict.fromkeys(soak.wrong[:40]):
        print(line)
    raise SystemExit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
