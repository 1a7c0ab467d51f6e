"""Writes the description of the HTTP interface: `python -m kinora.service.api.describe docs/openapi.json`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from kinora.service.api.app import create_app
from kinora.service.service import open_service
from kinora.service.settings import Settings

__all__ = ["describe", "main"]


def describe() -> dict[str, Any]:
    """The interface as OpenAPI 3.1; it is the same whatever the service is set to."""
    with tempfile.TemporaryDirectory() as folder:
        service = open_service(Settings(data=Path(folder), serves="stub", database="", objects="", secret=""))
        try:
            return create_app(service).openapi()
        finally:
            service.close()


def main(arguments: list[str]) -> int:
    """Write it to the file named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kinora.service.api.describe FILE\n")
        return 2
    text = json.dumps(describe(), indent=1, ensure_ascii=False, sort_keys=True)
    Path(arguments[0]).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
