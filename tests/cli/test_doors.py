"""The command line opens fast, needs no torch to explain itself, and knows its verbs."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from kinora import __version__
from kinora.cli.main import VERBS, build_parser, main

BLOCK = "import sys\nfor name in ('torch', 'av', 'numpy', 'PIL', 'safetensors'): sys.modules[name] = None\n"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_needs_nothing_but_python(arguments: list[str]) -> None:
    done = python(BLOCK + f"from kinora.cli.main import main; main({arguments!r})")
    assert done.returncode == 0, done.stderr
    assert "usage: kinora" in done.stdout


def test_help_answers_in_under_three_tenths_of_a_second() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python("from kinora.cli.main import main; main(['--help'])")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, which is what it takes on a machine that has nothing else to do; the best of a few.
    assert min(once() for _ in range(3)) < 0.3


def test_a_mistake_in_the_request_is_told_before_torch_is_imported() -> None:
    done = python(BLOCK + "from kinora.cli.main import main; sys.exit(main(['generate', 'x', '--aspect', '4:3']))")
    assert done.returncode == 2
    assert "4:3" in done.stderr


def test_a_missing_package_is_a_sentence() -> None:
    done = python(BLOCK + "from kinora.cli.main import main; sys.exit(main(['generate', 'x']))")
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "module", ["kinora", "kinora.core.request", "kinora.core.plan", "kinora.core.clip", "kinora.media.film"]
)
def test_words_and_media_need_no_torch(module: str) -> None:
    done = python(f"import sys; sys.modules['torch'] = None; import {module}")
    assert done.returncode == 0, done.stderr


def test_every_verb_is_registered_once_with_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert any(line.split()[:1] == [verb] and len(line.split()) > 2 for line in text.splitlines()), verb


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"kinora {__version__}"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["generate"], ["generate", "x", "--seconds", "soon"]])
def test_usage_mistakes_exit_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    assert "usage: kinora" in capsys.readouterr().err
