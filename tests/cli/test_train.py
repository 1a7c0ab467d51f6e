"""`kinora train` as a person types it: steps, exit codes, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinora.cli.main import main
from kinora.training.library import Library
from kinora.training.parts import load_codec

TINY = ["--size", "smoke", "--height", "32", "--width", "32"]


def test_a_library_is_rendered_and_a_codec_fitted_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library, codec = tmp_path / "library", tmp_path / "codec.safetensors"
    assert main(["train", "library", *TINY, "--for", "codec", "--clips", "2", "--out", str(library)]) == 0
    assert "library: 2 of 2 clips" in capsys.readouterr().err
    assert Library(library).frames(1).shape[1:] == (32, 32, 3)
    asks = ["train", "codec", *TINY, "--library", str(library), "--run", str(tmp_path / "run"), "--out", str(codec)]
    assert main([*asks, "--linear", "--channels", "6"]) == 0
    config = load_codec(codec).config
    assert (config.channels, config.trunk_blocks, config.picture_blocks) == (6, 0, 0)


def test_a_run_that_is_cut_off_says_so_with_its_exit_code_and_then_ends(tmp_path: Path) -> None:
    part = tmp_path / "text.safetensors"
    asks = ["train", "text", *TINY, "--scenes", "4", "--steps", "3", "--run", str(tmp_path / "run"), "--out", str(part)]
    assert main([*asks, "--stop-after", "0"]) == 3
    assert main(asks) == 0
    assert part.is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["codec", "--library", "nowhere", "--run", "run", "--out", "x.safetensors"], "nowhere is no library"),
        (["text", "--run", "/proc/none", "--out", "x.safetensors"], "/proc/none"),
        (["text", "--run", "run", "--out", "x.safetensors", "--device", "toaster"], "toaster"),
        (["bundle", "--codec", "c", "--text", "t", "--transformer", "f", "--out", "model"], "c does not exist"),
        (["library", "--out", "lib", "--clips", "1", "--mix", "soup"], "soup"),
    ],
)
def test_mistakes_are_a_sentence(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    step, *rest = arguments
    assert main(["train", step, *TINY, *rest]) == 2
    assert says in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("it is there")
    asks = ["train", "text", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "x.safetensors")]
    assert main([*asks, "--device", "cuda"]) == 2
    assert "leave the device out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
