"""`kinora doctor`: what is here, and what to do about the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kinora.cli import doctor
from kinora.cli.main import main


def test_a_sound_machine_is_ready(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", str(model_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ready"
    assert [line.split()[1] for line in lines[:-1]] == [
        "kinora", "python", "torch", "video", "memory", "disk", "model",
    ]  # fmt: skip
    assert all(line.startswith("ok ") for line in lines[:-1])


def test_a_damaged_model_is_found_and_the_rest_still_looked_at(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    shard = next((tmp_path / "model").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert main(["doctor", "--model", str(tmp_path / "model")]) == 1
    said = capsys.readouterr().out
    assert f"BAD  model      {shard.name}" in said
    assert "1 to mend" in said


def test_a_missing_package_is_named_with_its_remedy() -> None:
    def without() -> doctor.Finding:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    (finding,) = doctor.look("video", without)
    assert not finding.well
    assert "pip install" in finding.finding


def test_another_world_is_told(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinora.world.mix.Mix.world", "9.9")
    finding = doctor.model_here(str(model_folder))
    assert not finding.well
    assert "9.9" in finding.finding


def test_the_bundled_model_of_the_wide_world_is_well() -> None:
    finding = doctor.model_here("tiny")
    assert finding.well
    assert "world 2.0" in finding.finding


def test_little_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 1))  # type: ignore[attr-defined]
    assert not doctor.disk_here().well
