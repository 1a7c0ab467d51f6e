"""Shares of tasks on the command line, and what a run's recipe makes of them."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import pytest

from kinora.cli.train import SHARES, register
from kinora.core.errors import InputError
from kinora.recipes.sizes import Size, size_named
from kinora.recipes.transformer import _keep_recipe
from kinora.training.objective import ObjectiveConfig
from kinora.training.tasks import TASKS, TaskMix


def size_of(*options: str) -> Size:
    """The size that `kinora train transformer` makes of its options."""
    from kinora.cli.train_steps import _size

    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    paths = [word for name in ("library", "codec", "text", "run", "out") for word in (f"--{name}", "x")]
    return _size(parser.parse_args(["train", "transformer", "--size", "smoke", *paths, *options]))


def test_every_task_has_a_share_that_can_be_changed() -> None:
    assert (*TASKS, "references") == SHARES
    assert size_of().objective == size_named("smoke").objective
    objective = size_of("--share", "guide=0.25", "--share", "references=0.5", "--share", "text=0").objective
    assert objective.mix == TaskMix(guide=0.25, text=0.0)
    assert objective.references == 0.5


@pytest.mark.parametrize("share", ["guide", "guide=", "guide=-1", "guide=nan", "guide=inf", "brush=0.1", "=1"])
def test_what_is_no_share_is_refused_with_the_names_there_are(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        size_of("--share", share)
    told = capsys.readouterr().err
    assert repr(share) in told
    assert "anchored" in told


def test_the_optimiser_is_changed_by_name_and_kept_with_the_run(tmp_path: Path) -> None:
    size = size_of("--optimiser", "muon_rate=0.015", "--optimiser", "cool_down=0.7")
    preset = size_named("smoke").optimiser
    assert size.optimiser == dataclasses.replace(preset, muon_rate=0.015, cool_down=0.7)
    _keep_recipe(tmp_path, size)
    with pytest.raises(InputError, match="began with another optimiser"):
        _keep_recipe(tmp_path, size_of())


@pytest.mark.parametrize("setting", ["muon_rate", "average=1", "cool_down=-0.1", "momentum=0.9"])
def test_what_is_no_setting_of_the_optimiser_is_refused(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        size_of("--optimiser", setting)
    told = capsys.readouterr().err
    assert repr(setting) in told
    assert "less than 1, name of muon_rate" in told


def test_all_shares_at_zero_are_refused() -> None:
    with pytest.raises(InputError, match="at least one task"):
        size_of(*(word for task in TASKS for word in ("--share", f"{task}=0")))


def test_a_recipe_keeps_its_shares(tmp_path: Path) -> None:
    size = size_of("--share", "region=0.5")
    _keep_recipe(tmp_path, size)
    _keep_recipe(tmp_path, size)
    held = json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))
    assert held["objective"]["mix"]["region"] == 0.5
    assert ObjectiveConfig(**{**held["objective"], "mix": TaskMix(**held["objective"]["mix"])}) == size.objective
    with pytest.raises(InputError, match="began with another objective"):
        _keep_recipe(tmp_path, size_of())


def test_a_run_from_before_the_new_tasks_is_refused(tmp_path: Path) -> None:
    """Its steps would draw other tasks from the same seed: it cannot go on as it began."""
    size = size_of()
    _keep_recipe(tmp_path, size)
    path = tmp_path / "recipe.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("before", "anchored", "region", "guide"):
        del values["objective"]["mix"][name]
    del values["objective"]["references"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match="another folder for a new run"):
        _keep_recipe(tmp_path, size)
    assert dataclasses.asdict(size)["objective"]["mix"]["guide"] == 0.1
