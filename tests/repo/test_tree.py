"""The tree stays light, its pages point at things that exist, and its README can be followed."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from kinora.cli.main import build_parser

ROOT = Path(__file__).parents[2]
MIB = 2**20
PAGES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/quickstart.md")


def tracked() -> list[Path]:
    """Every file that is in the repository or about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(first: str) -> list[tuple[str, list[str]]]:
    """Every line of the pages' shell blocks that starts with `first`, cut into words, with its page."""
    return [
        (page, words)
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if (words := shlex.split(line)) and words[0] == first
    ]


def test_all_files_together_stay_under_56_mib() -> None:
    assert sum(path.stat().st_size for path in tracked()) < 56 * MIB


def test_shipped_weights_stay_under_36_mib_in_shards_under_16() -> None:
    sizes = [path.stat().st_size for path in tracked() if path.suffix == ".safetensors"]
    assert sum(sizes) < 36 * MIB
    assert max(sizes, default=0) < 16 * MIB


def test_no_pickled_weights_are_shipped() -> None:
    assert [path for path in tracked() if path.suffix in {".pt", ".pth", ".ckpt", ".pkl", ".bin"}] == []


def test_no_drawer_for_everything() -> None:
    attics = {"utils", "common", "helpers", "util", "misc"}
    assert [path for path in (ROOT / "src").rglob("*") if path.stem in attics] == []


def test_test_files_have_unique_names() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("page", PAGES)
def test_pages_point_at_things_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    missing = [target for target in links if not ((ROOT / page).parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize(("page", "words"), commands("make"))
def test_make_commands_exist(page: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    goals = [word for word in words[1:] if "=" not in word]
    variables = [word.partition("=")[0] for word in words[1:] if "=" in word]
    for goal in goals:
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), f"{page}: make {goal}"
    for variable in variables:
        assert re.search(rf"^{variable} \?=", makefile, re.MULTILINE), f"{page}: {variable}"


@pytest.mark.parametrize(("page", "words"), commands("kinora"))
def test_kinora_commands_are_understood(page: str, words: list[str]) -> None:
    build_parser().parse_args(words[1:])


def test_the_readmes_show_the_same_commands() -> None:
    english, chinese = ([words[:2] for page, words in commands("kinora") if page == name] for name in PAGES[:2])
    assert english
    assert english == chinese


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_option_table_is_the_parser_s(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(-[-a-zA-Z]+)", text, re.MULTILINE))
    verbs = next(action for action in build_parser()._actions if action.dest == "verb")
    generate = verbs.choices["generate"]  # type: ignore[index]
    known = {action.option_strings[0] for action in generate._actions if action.option_strings} - {"-h"}
    assert told == known


def test_python_examples_compile() -> None:
    for page in PAGES:
        for block in blocks(page, "python"):
            compile(block, page, "exec")


def test_ci_runs_what_a_contributor_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()


def test_constraints_are_exact_and_name_no_place() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9A-Za-z.]+", line)] == []
