"""`docs/operations.md` says what is so: its table, its names, and its commands, which run here as they stand."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kinora.cli.main import build_parser, main
from kinora.core.errors import InputError
from kinora.service import describe_settings
from kinora.service.plans import PLANS
from kinora.service.service import open_service
from kinora.service.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operations.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [re.sub(r"^  ", "", block, flags=re.MULTILINE) if block.startswith("  ") else block
          for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)]  # fmt: skip


def test_the_table_of_settings_is_todays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert describe_settings.main(["--check", str(PAGE)]) == 0, "python -m kinora.service.describe_settings " + str(
        PAGE
    )
    for name in Settings.model_fields:
        assert f"| `KINORA_{name.upper()}` |" in TEXT
    other = tmp_path / "page.md"
    for old, new in (("`8190`", "`8191`"), ("Port to listen on", "Port"), ("| `KINORA_HOST`", "| `KINORA_HOUSE`")):
        assert old in TEXT
        other.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        if old == "`8190`":
            assert "`8191`" in other.read_text(encoding="utf-8")
        assert describe_settings.main(["--check", str(other)]) == 1, f"{old} was changed and nobody saw it"
        assert "does not tell the settings as they are" in capsys.readouterr().err
        assert describe_settings.main([str(other)]) == 0
        assert other.read_text(encoding="utf-8") == TEXT
    with pytest.raises(InputError, match="no marks"):
        describe_settings.placed("a page")


def test_every_variable_is_one() -> None:
    named = set(re.findall(r"KINORA_[A-Z_]+[A-Z]", TEXT)) - {"KINORA_EMPTY_DATABASE"}
    assert named <= {f"KINORA_{name.upper()}" for name in Settings.model_fields}


def test_every_command_is_one() -> None:
    lines = [line for block in BLOCKS for line in block.splitlines() if "kinora " in line and "=" not in line[:7]]
    lines += re.findall(r"`(kinora (?:serve|worker|admin|models)[^`]*)`", TEXT)
    assert len(lines) > 15
    for line in lines:
        words = shlex.split(line.rpartition("| ")[2].replace("...", "it"), comments=True)
        words = words[words.index("kinora") + 1 :]
        if words and words != ["admin"]:
            build_parser().parse_args(words)


def test_the_plans() -> None:
    told = {row[0]: row for row in re.findall(r"^\| `(\w+)` \| (\d\S*|as good.*?) \|(.*)\|$", TEXT, flags=re.MULTILINE)}
    assert list(told) == list(PLANS)
    for name, plan in PLANS.items():
        units = plan.daily_units or plan.monthly_units
        assert f" {units:,} a {'day' if plan.daily_units else 'month'} | {plan.weight} " in told[name][2]
        if name != "house":
            assert told[name][1] == str(plan.video_slots)
            assert told[name][2].startswith(f" {plan.image_slots} |")


def test_the_administrators_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINORA_DATA", str(tmp_path))
    monkeypatch.setenv("KINORA_SERVES", "stub")
    session = next(block for block in BLOCKS if block.startswith("kinora admin account ann"))
    for line in session.splitlines():
        told, _, command = line.rpartition(" | ")
        monkeypatch.setattr("sys.stdin", io.StringIO(told.removeprefix("echo ").strip('"') + "\n"))
        assert main(shlex.split(command)[1:]) == 0, line
    said = capsys.readouterr().out
    assert "\tann\tmember\tsuspended\tpro" in said
    assert "ann\t500 units" in said
    assert "drift\t0" in said


def test_one_certificate(tmp_path: Path) -> None:
    from kinora.media.authority import brought

    made = bash(next(block for block in BLOCKS if "from kinora.media.authority import own" in block), {}, tmp_path)
    assert made.returncode == 0, made.stderr
    identity = brought(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert identity.anchors in (tmp_path / "authority" / "ca.pem").read_text()
    assert (tmp_path / "key.pem").stat().st_mode & 0o77 == 0


def test_dump_and_restore(host: Callable[..., Any], postgres_url: str, empty_postgres_url: str, tmp_path: Path) -> None:
    import pgserver

    tools = Path(pgserver.__file__).parent / "pginstall" / "bin"
    plain = {name: url.replace("+psycopg", "") for name, url in (("old", postgres_url), ("new", empty_postgres_url))}
    one = Settings(data=tmp_path / "one", database=plain["old"], serves="stub")
    service = open_service(one)
    service.accounts.create("ann")
    service.close()
    block = next(block for block in BLOCKS if "pg_dump" in block)
    told = {"KINORA_DATABASE": plain["old"], "KINORA_EMPTY_DATABASE": plain["new"]}
    ran = bash(block, told, tmp_path, before=tools)
    assert ran.returncode == 0, ran.stderr
    service = open_service(one.model_copy(update={"database": plain["new"]}))
    assert [account.name for account in service.accounts.page()] == ["ann"]
    service.close()


def test_the_house_makes_no_films_of_cats(host: Callable[..., Any], client: Callable[..., Any], tmp_path: Path) -> None:
    rules = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "def check" in block)
    (tmp_path / "rules.py").write_text(rules)
    served = host(KINORA_MODERATION="rules:check", PYTHONPATH=str(tmp_path)).serve()
    asking = client(served)
    wish = {"kind": "text_to_video", "prompt": "a Cat on the grass", "seconds": 2}
    answer = asking.http.post("/api/tasks", json=wish)
    assert answer.status_code == 400
    assert "ask for a dog" in answer.text
    asking.ask("a dog on the grass")
    # The figures that the page names are those that there are.
    figures = httpx.get(f"{served.url}/metrics").text
    for name in re.findall(r"`(kinora_\w+)", TEXT):
        assert re.search(rf"^{name}(_count)?[ {{]", figures, flags=re.MULTILINE), name


def bash(
    script: str, environment: dict[str, str], folder: Path | None = None, before: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A block of the page, as it stands."""
    path = os.pathsep.join([str(Path(sys.executable).parent), *([str(before)] if before else []), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env={**os.environ, **environment, "PATH": path}, cwd=folder or ROOT,
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
