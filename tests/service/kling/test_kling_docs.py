"""docs/api-kling.md: its commands are run, its tables are the code's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from kinora.service.api.kling import absent
from kinora.service.api.kling.envelope import CODES

PAGE = Path(__file__).parents[3] / "docs" / "api-kling.md"


def test_the_session_works(studio: Any, tmp_path: Path) -> None:
    client = studio.served.client()
    pair = studio.served.service.accounts.new_key(client.account.id, "pair", kind="pair")
    environment = {
        **os.environ, "KINORA_URL": client.url, "KINORA_KEY": client.key.secret, "KINORA_ACCESS_KEY": pair.access_key,
        "KINORA_SECRET_KEY": pair.secret,
    }  # fmt: skip
    script = "\n".join(["set -eu", *re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)])
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert {name: one["code"] for name, one in told.items()} == dict.fromkeys(
        ("task", "list", "two", "longer", "pictures", "costs"), 0
    )
    assert told["task"]["data"]["task_status"] == "succeed"
    assert told["two"]["data"][0]["status"] == "succeeded"
    assert told["longer"]["data"]["task_info"]["parent_video"]["id"]
    assert told["costs"]["data"]["resource_pack_subscribe_infos"]
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_page_names_every_code_and_every_path() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [code for code in CODES if str(code) not in text] == []
    for path in (*absent.PRODUCTS, *absent.LISTS):
        name = path.removeprefix("/")
        assert name in text or name.split("/")[0] == "audio", path
