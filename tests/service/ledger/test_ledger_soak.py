"""The short form of benchmarks/soak_ledger.py: real processes, real kills, the same audit."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from kinora.service.ledger import Audit

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "soak_ledger.py"


def soak(*arguments: object) -> dict[str, str]:
    """The table that it prints."""
    command = [sys.executable, "-W", "error", str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("verdict: sound\n")
    return {line[:34].strip(): line[34:].strip() for line in done.stdout.splitlines()[:-1]}


def check(table: dict[str, str], operations: int, kills: int) -> None:
    assert int(table["operations"]) >= operations
    assert int(table["SIGKILLs"]) == kills
    for name in (
        "drift", "negative", "unbalanced", "done twice", "grants without their lot", "open holds after the drain",
        "repeated acts that did something",
    ):  # fmt: skip
        assert table[name] == "0", name
    # Everything that can happen has happened.
    assert int(table["open holds before the drain"]) > 0
    assert int(table["acts repeated"]) > operations / 100
    for kind in ("grant", "hold", "settle", "release", "expire"):
        assert int(table[f"{kind}: told, stored"].split(", ")[1]) > operations / 100, kind


def test_twenty_thousand_acts_and_twenty_kills() -> None:
    check(soak("--operations", 20_000, "--processes", 4, "--kills", 20), 20_000, 20)


def test_the_same_on_postgres(postgres_url: str) -> None:
    check(soak("--operations", 4_000, "--processes", 4, "--kills", 8, "--database", postgres_url), 4_000, 8)


def test_bare_acts_on_postgres(postgres_url: str) -> None:
    """One act a transaction, and no lock but the ledger's own."""
    check(
        soak("--operations", 1_500, "--kills", 5, "--grouped", 0, "--accounts", 3, "--database", postgres_url), 1_500, 5
    )


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_ledger", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


WRONG = ("drift", "unbalanced", "negative", "twice", "ungranted")
SOUND = Audit(
    books=5, transfers=2, entries=4, drift=0, unbalanced=0, negative=0, twice=0, ungranted=0, astray=0, open_holds=0
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failed": 1}, {"operations": 99}, {"kills": 1}, {"wrong": 1}, {"told": 3}, {"stored": 2 + 25 * 2 + 1},
        *({"after": name} for name in (*WRONG, "astray", "open_holds")), *({"before": name} for name in WRONG),
    ],
)  # fmt: skip
def test_the_verdict_can_be_wrong(program: ModuleType, wrong: dict[str, Any]) -> None:
    asked = program.Soak(operations=100, processes=2, kills=2, accounts=1, grouped=0.3, seed=1)

    def verdict(**changed: Any) -> list[str]:
        counts = {"operations": changed.get("operations", 100), "wrong": changed.get("wrong", 0)}
        troupe = SimpleNamespace(
            kills=changed.get("kills", 2), failed=changed.get("failed", 0), tally=SimpleNamespace(total=counts.get)
        )
        acts = {"hold": (changed.get("told", 2), changed.get("stored", 2)), "expire": (1, 9)}
        before = replace(SOUND, open_holds=3, astray=3)
        if "before" in changed:
            before = replace(before, **{changed["before"]: 1})
        after = replace(SOUND, **{changed["after"]: 1}) if "after" in changed else SOUND
        found: list[str] = program.mistakes(asked, troupe, acts, before, after)
        return found

    assert verdict() == []
    assert verdict(**wrong) != []
