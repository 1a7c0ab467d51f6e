"""The loop: plan, budget, skipping, stopping, amending, what a run leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kinora.core.errors import InputError, WeightsError
from kinora.training.batches import step_rng
from kinora.training.checkpoint import load_checkpoint
from kinora.training.optimise import OptimiserConfig
from kinora.training.plan import RunPlan, Stage, plan_steps
from kinora.training.plot import draw_losses
from kinora.training.run import Run, RunConfig


class LineJob:
    """Fits a line; some steps can be spoilt."""

    name = "line"

    def __init__(self, spoilt: Mapping[int, float] | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(4, 1)
        self.stages = (Stage(name="first", share=1.0, size=8), Stage(name="second", share=3.0, size=16))
        self.spoilt = dict(spoilt or {})
        self.sheets: list[Path] = []
        self.asked: list[tuple[str, int]] = []

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        self.asked.append((stage, step))
        inputs = torch.from_numpy(step_rng(seed, step, 0).standard_normal((16, 4))).float()
        loss: Tensor = (self.model(inputs) - inputs.sum(dim=1, keepdim=True)).square().mean()
        return loss * self.spoilt.get(step, 1.0)

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        assert set(tensors) == {"weight", "bias"}
        self.sheets.append(path)


def quiet(_: str) -> None:
    """Says nothing."""


def metrics(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_budget_becomes_steps_by_share() -> None:
    stages = (Stage(name="a", share=0.25, size=1), Stage(name="b", share=0.75, size=1))
    assert plan_steps(stages, {"a": 0.5, "b": 2.0}, 400.0) == {"a": 200, "b": 150}
    assert plan_steps(stages, {"a": 0.5, "b": 2.0}, 0.01) == {"a": 1, "b": 1}
    with pytest.raises(InputError, match="above zero, not 0"):
        plan_steps(stages, {"a": 0.5, "b": 2.0}, 0.0)


def test_stages_follow_one_another(run_folder: Path) -> None:
    job = LineJob()
    run = Run(run_folder, job, RunConfig(steps=40, log_steps=1), quiet)
    job.asked.clear()
    assert run.go()
    assert job.asked == [("first", step) for step in range(10)] + [("second", step) for step in range(10, 40)]
    assert [run.plan.stage_at(step) for step in (0, 9, 10, 39)] == ["first", "first", "second", "second"]


def test_the_probe_leaves_the_weights_as_they_were(run_folder: Path) -> None:
    job, fresh = LineJob(), LineJob()
    Run(run_folder, job, RunConfig(steps=4), quiet)
    for name, tensor in job.model.state_dict().items():
        assert torch.equal(tensor, fresh.model.state_dict()[name])
    assert all(parameter.grad is None for parameter in job.model.parameters())


def test_a_time_budget_is_kept_roughly_and_written_down(run_folder: Path) -> None:
    run = Run(run_folder, LineJob(), RunConfig(seconds=0.5), quiet)
    planned = sum(
        (run.plan.starts["second"] if name == "first" else run.plan.steps - run.plan.starts["second"]) * seconds
        for name, seconds in run.plan.step_seconds.items()
    )
    assert planned == pytest.approx(0.5, rel=0.1)
    assert RunPlan.read(run_folder / "run.json") == run.plan
    again = Run(run_folder, LineJob(), RunConfig(seconds=99.0, seed=5), quiet)
    assert again.plan == run.plan  # the clock matters once


def test_a_run_learns_and_leaves_its_papers(run_folder: Path) -> None:
    job = LineJob()
    run = Run(run_folder, job, RunConfig(steps=200, log_steps=10, optimiser=OptimiserConfig(adam_rate=0.05)), quiet)
    assert run.go()
    assert run.finished
    lines = metrics(run_folder)
    assert [line["step"] for line in lines] == list(range(9, 200, 10))
    assert float(str(lines[-1]["loss"])) < 0.3 * float(str(lines[0]["loss"]))
    with Image.open(run_folder / "loss.png") as curve:
        assert curve.size == (960, 480)
    assert job.sheets == [run_folder / "sheet-000200.png"]
    assert load_checkpoint(run_folder / "checkpoint.safetensors").step == 200


def test_a_bad_step_is_skipped_and_told(run_folder: Path) -> None:
    said: list[str] = []
    job = LineJob({30: float("nan"), 35: 1e4})
    run = Run(run_folder, job, RunConfig(steps=40, log_steps=100), said.append)
    run.go()
    skipped = {line["step"]: line["skipped"] for line in metrics(run_folder) if "skipped" in line}
    assert set(skipped) == {30, 35}
    assert "not a number" in str(skipped[30])
    assert "spike" in str(skipped[35])
    assert any("step 30 was skipped" in sentence for sentence in said)
    assert all(torch.isfinite(parameter).all() for parameter in job.model.parameters())
    assert load_checkpoint(run_folder / "checkpoint.safetensors").carried["skipped"] == 2


def test_stopping_and_going_on_is_the_same_as_going_through(tmp_path: Path) -> None:
    through = LineJob()
    Run(tmp_path / "through", through, RunConfig(steps=50), quiet).go()
    parts = 0
    while True:
        job = LineJob()
        run = Run(tmp_path / "parts", job, RunConfig(steps=50, stop_after=0.0), quiet)
        parts += 1
        if run.go():
            break
    assert parts == 50
    for name, tensor in through.model.state_dict().items():
        assert torch.equal(tensor, job.model.state_dict()[name])
    files = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("through", "parts")]
    assert files[0] == files[1]


def test_a_half_written_line_of_metrics_is_dropped(run_folder: Path) -> None:
    Run(run_folder, LineJob(), RunConfig(steps=20, log_steps=1, stop_after=0.0), quiet).go()
    with (run_folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 1, "stage": "first", "loss": 2.0}\n{"step": 2, "sta')
    Run(run_folder, LineJob(), RunConfig(steps=20, log_steps=1), quiet).go()
    assert [line["step"] for line in metrics(run_folder)] == list(range(20))


def test_a_run_can_end_sooner_and_cools_down(run_folder: Path) -> None:
    run = Run(run_folder, LineJob(), RunConfig(steps=10_000, stop_after=0.02, log_steps=1), quiet)
    assert not run.go()
    at = run.step
    seconds = 20 * run.plan.step_seconds[run.plan.stage_at(at)]
    later = Run(run_folder, LineJob(), RunConfig(log_steps=1, finish_in=seconds), quiet)
    assert later.go()
    assert later.step == at + 20
    assert float(str(metrics(run_folder)[-1]["rate"])) < 0.3
    assert RunPlan.read(run_folder / "run.json").amended == ({"at": at, "from": 10_000, "to": at + 20},)


def test_a_run_that_begins_or_has_ended_is_not_amended(run_folder: Path) -> None:
    for _ in range(2):
        assert Run(run_folder, LineJob(), RunConfig(steps=5, finish_in=60.0), quiet).go()
        plan = RunPlan.read(run_folder / "run.json")
        assert (plan.steps, plan.amended) == (5, ())


def test_another_model_in_the_folder_is_refused(run_folder: Path) -> None:
    Run(run_folder, LineJob(), RunConfig(steps=3), quiet).go()
    other = LineJob()
    other.model = nn.Linear(4, 1, bias=False)
    with pytest.raises(InputError, match="a run of another model"):
        Run(run_folder, other, RunConfig(steps=3), quiet)


def test_a_damaged_checkpoint_is_named(run_folder: Path) -> None:
    Run(run_folder, LineJob(), RunConfig(steps=3), quiet).go()
    path = run_folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"checkpoint\.safetensors cannot be read"):
        Run(run_folder, LineJob(), RunConfig(steps=3), quiet)


def test_curves_of_nothing_of_one_point_and_of_what_is_no_number() -> None:
    assert draw_losses([]).size == (960, 480)
    assert draw_losses([(0, "a", 1.0)]).size == (960, 480)
    points = [(step, "a" if step < 50 else "b", 1 / (1 + step)) for step in range(100)]
    picture = draw_losses([*points, (100, "b", float("nan"))])
    colours = {colour for _, colour in picture.getcolors(1 << 16) or []}
    assert {(42, 111, 219), (209, 73, 91)} <= colours
