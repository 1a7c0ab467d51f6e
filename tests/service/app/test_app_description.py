"""The description of the interface: in step with the code, and with a sentence for everything in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kinora.service.api.describe import main

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    assert main([str(file)]) == 0
    return file.read_text()


@pytest.fixture(scope="module")
def spec(written: str) -> dict[str, Any]:
    return json.loads(written)


def test_the_file_is_in_step(written: str) -> None:
    assert FILE.read_text() == written, "run: python -m kinora.service.api.describe docs/openapi.json"
    assert main([]) == 2


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            assert method in METHODS
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_a_name_and_a_sentence(spec: dict[str, Any]) -> None:
    names = []
    for where, operation in operations(spec):
        names.append(operation["operationId"])
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), where
        assert operation["description"].strip().endswith("."), where
        assert operation["tags"], where
        for parameter in operation.get("parameters", []):
            assert parameter.get("description", "").endswith("."), (where, parameter["name"])
    assert len(names) == len(set(names))
    assert len(names) > 50


def test_every_field_has_a_sentence(spec: dict[str, Any]) -> None:
    count = 0
    for name, schema in spec["components"]["schemas"].items():
        if not name.startswith("Body_"):  # forms, which the framework names
            assert schema.get("description", "").strip(), name
            assert schema.get("additionalProperties") is False or name in ("Health", "Readiness"), name
        for field, told in schema.get("properties", {}).items():
            # The framework drops what stands beside a reference; what it refers to has its sentence.
            assert told.get("description", "").strip().endswith(".") or set(told) == {"$ref"}, f"{name}.{field}"
            count += 1
    assert count > 200


def test_who_may_ask_is_told(spec: dict[str, Any]) -> None:
    assert set(spec["components"]["securitySchemes"]) == {"key", "session"}
    open_to_all = {where for where, operation in operations(spec) if "security" not in operation}
    assert open_to_all == {"POST /api/accounts", "POST /api/session", "GET /healthz", "GET /readyz", "GET /metrics"}
