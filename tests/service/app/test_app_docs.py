"""docs/api.md: its commands are run against a real service, its tables are the code's."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from kinora.service import errors
from kinora.service.errors import ServiceError
from kinora.service.tasks import KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_the_session_works_as_it_is_written(worker: Any, tmp_path: Path) -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    assert commands.count("curl") == 5
    environment = {**os.environ, "KINORA_URL": worker.url, "KINORA_KEY": worker.tenant().secret}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert b'"units":18' in done.stdout
    assert done.stdout.rstrip().endswith(b'"state":"succeed"}')
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_every_kind_and_every_code_is_told() -> None:
    for kind in KINDS:
        assert f"| `{kind}` |" in PAGE
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.code for kind in kinds if issubclass(kind, ServiceError)}
    assert codes <= set(re.findall(r"`([a-z_]+)`", PAGE))
