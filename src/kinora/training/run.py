"""A training run in a folder.

    run.json            the plan: seed, steps, stages; written once, after the probe
    checkpoint.safetensors
    metrics.jsonl       a line every few steps, and one for every step that was skipped
    loss.png            the loss so far
    sheet-*.png         what the model makes, where the job draws sheets

After the probe nothing depends on the clock: (seed, step) decides every batch, so a run that is killed and resumed ends
in the same weights, to the bit, as one that was not (on the same device with as many threads).
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinora.core.errors import InputError
from kinora.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kinora.training.files import append_line, write_atomically
from kinora.training.optimise import Average, Guard, OptimiserConfig, Optimisers, learning_rate_factor
from kinora.training.plan import RunPlan, Stage, plan_steps
from kinora.training.plot import draw_losses
from kinora.training.stopping import StopWhenAsked
from kinora.training.throughput import count_flops, matmul_peak

__all__ = ["Job", "Run", "RunConfig"]

PROBED = 4
"""Steps of each stage that the probe takes, the first of which warms up."""


class Job(Protocol):
    """What a run trains, and on what."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> nn.Module: ...

    @property
    def stages(self) -> tuple[Stage, ...]: ...

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """The loss of one step, a scalar; depends on the weights and (stage, seed, step) only."""
        ...

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Draw what the model makes with these weights, if there is anything to see."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a run is driven. Only budget, steps and seed change the weights, and these only when it begins."""

    seconds: float = 0.0
    """Time budget; the probe turns it into steps."""
    steps: int | None = None
    """Fix the number of steps instead (shared out among the stages)."""
    seed: int = 0
    device: str = "cpu"
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    checkpoint_seconds: float = 120.0
    log_steps: int = 10
    sheet_seconds: float = 600.0
    stop_after: float | None = None
    """Checkpoint and leave after so many seconds, to be continued."""
    finish_in: float | None = None
    """Amend the plan of a run that was begun, so that it ends in about so many seconds."""


class Run:
    """One job on its way from the first step to the last, across any number of processes."""

    def __init__(self, folder: Path, job: Job, config: RunConfig, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self._job = job
        self._config = config
        self._say = say
        self._sizes = {stage.name: stage.size for stage in job.stages}
        folder.mkdir(parents=True, exist_ok=True)
        self._plan_path = folder / "run.json"
        self._checkpoint_path = folder / "checkpoint.safetensors"
        self.plan = RunPlan.read(self._plan_path) if self._plan_path.exists() else self._begin()
        self._optimisers = Optimisers(job.model.named_parameters(), config.optimiser)
        self.average = Average(job.model.named_parameters(), config.optimiser.average)
        self._guard = Guard()
        self.step = 0
        self._skipped = 0
        if self._checkpoint_path.exists():
            self._restore(load_checkpoint(self._checkpoint_path))

    @property
    def finished(self) -> bool:
        return self.step >= self.plan.steps

    def amend(self, seconds: float) -> None:
        """Let the run end in about `seconds` from now, cooling down on the way. Recorded in the plan."""
        stage = self.plan.stage_at(self.step)
        steps = self.step + max(1, round(seconds / self.plan.step_seconds[stage]))
        change = {"at": self.step, "from": self.plan.steps, "to": steps}
        self.plan = dataclasses.replace(self.plan, steps=steps, amended=(*self.plan.amended, change))
        self.plan.write(self._plan_path)

    def go(self) -> bool:
        """Train to the end, until `stop_after`, or until SIGINT or SIGTERM; True when the run is finished."""
        if self._config.finish_in is not None and self.step and not self.finished:
            self.amend(self._config.finish_in)
        with StopWhenAsked() as stop:
            self._go(stop)
        self.save()
        if stop.asked and not self.finished:
            self._say(
                f"{self._job.name}: stopped after step {self.step} of {self.plan.steps}; the same command goes on"
            )
        return self.finished

    def _go(self, stop: StopWhenAsked) -> None:
        began = saved = drawn = logged = time.monotonic()
        first = self.step
        while not self.finished and not stop.asked:
            entry = self._take_step()
            now = time.monotonic()
            if self.step % self._config.log_steps == 0 or "skipped" in entry or self.finished:
                self._log(entry, (now - logged) / (self.step - first))
                logged, first = now, self.step
            if now - saved > self._config.checkpoint_seconds or self.finished:
                self.save()
                saved = time.monotonic()
            if now - drawn > self._config.sheet_seconds or self.finished:
                self._draw()
                drawn = time.monotonic()
            if self._config.stop_after is not None and now - began > self._config.stop_after:
                break

    def save(self) -> None:
        """Write the checkpoint now."""
        save_checkpoint(
            self._checkpoint_path,
            Checkpoint(
                step=self.step,
                carried={
                    "losses": self._guard.losses,
                    "norms": self._guard.norms,
                    "refused": self._guard.refused,
                    "skipped": self._skipped,
                },
                model=self._job.model.state_dict(),
                average=self.average.tensors,
                optimiser=dict(self._optimisers.tensors()),
            ),
        )

    def record(self) -> dict[str, Any]:
        """What a trained part says of how it came about: the plan, the optimiser, and the pace that was kept."""
        plan = self.plan
        return {
            "steps": self.step, "planned": plan.steps, "seed": plan.seed, "seconds": plan.seconds,
            "device": plan.device, "threads": plan.threads, "skipped": self._skipped,
            "optimiser": dataclasses.asdict(self._config.optimiser), "throughput": self.throughput(),
        }  # fmt: skip

    def throughput(self) -> dict[str, dict[str, float]]:
        """By stage: seconds a step (median over the log), steps' operations, and their share of the device's limit."""
        paces: dict[str, list[float]] = {}
        for line in self._metrics():
            paces.setdefault(line["stage"], []).append(line["seconds"])
        told = {}
        for stage, seconds in paces.items():
            median, flops = statistics.median(seconds), self.plan.step_flops.get(stage, 0.0)
            told[stage] = {"seconds_a_step": median, "a_second": self._sizes[stage] / median if median else 0.0}
            if flops and self.plan.peak_flops and median:
                rate = flops / median
                told[stage] |= {"gflops": rate / 1e9, "share_of_limit": rate / self.plan.peak_flops}
        return told

    def _metrics(self) -> list[dict[str, Any]]:
        path = self.folder / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _take_step(self) -> dict[str, Any]:
        stage = self.plan.stage_at(self.step)
        loss = self._job.loss(stage, self.plan.seed, self.step)
        loss.backward()
        norm = self._optimisers.clip()
        value = float(loss.detach())
        factor = learning_rate_factor(self.step, self.plan.steps, self._config.optimiser)
        entry = {"step": self.step, "stage": stage, "loss": value, "norm": norm, "rate": factor}
        complaint = self._guard.complaint(value, norm)
        if complaint is None:
            self._optimisers.step(factor)
            self.average.update(self.step)
        else:
            self._skipped += 1
            entry["skipped"] = complaint
        self._optimisers.zero_grad()
        self.step += 1
        return entry

    def _log(self, entry: dict[str, Any], pace: float) -> None:
        append_line(self.folder / "metrics.jsonl", {**entry, "seconds": round(pace, 4)})
        if "skipped" in entry:
            self._say(f"{self._job.name}: step {entry['step']} was skipped ({entry['skipped']})")
        left = time.strftime("%H:%M:%S", time.gmtime(pace * (self.plan.steps - self.step)))
        self._say(
            f"{self._job.name} {entry['stage']}  step {self.step}/{self.plan.steps}  loss {entry['loss']:.4f}  "
            f"{self._sizes[entry['stage']] / pace:.1f} a second  {left} left"
        )

    def _draw(self) -> None:
        picture = draw_losses([(line["step"], line["stage"], line["loss"]) for line in self._metrics()])
        write_atomically(self.folder / "loss.png", lambda file: picture.save(file, format="PNG"))
        self._job.sheet(self.average.tensors, self.folder / f"sheet-{self.step:06d}.png")

    def _begin(self) -> RunPlan:
        """Make the plan: measure a step of every stage, then put the weights back as they were."""
        config, stages = self._config, self._job.stages
        step_seconds, step_flops = self._probe()
        if config.steps is None:
            counts = plan_steps(stages, step_seconds, config.seconds)
        else:
            counts = plan_steps(stages, dict.fromkeys(step_seconds, 1.0), float(config.steps))
        starts, total = {}, 0
        for name, count in counts.items():
            starts[name] = total
            total += count
        plan = RunPlan(
            seed=config.seed, steps=total, starts=starts, seconds=0.0 if config.steps else config.seconds,
            step_seconds=step_seconds, device=config.device, threads=torch.get_num_threads(), step_flops=step_flops,
            peak_flops=matmul_peak(config.device),
        )  # fmt: skip
        plan.write(self._plan_path)
        self._say(f"{self._job.name}: {total} steps planned {counts}, seconds a step {step_seconds}")
        return plan

    def _probe(self) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds and operations of a step of every stage; leaves the weights as they were.

        The first step is counted, the second warms up (and compiles what is to be compiled), of the others the median
        counts: one that has to compile again for its shape must not pass for usual.
        """
        model = self._job.model
        kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        optimisers = Optimisers(model.named_parameters(), self._config.optimiser)
        taken: dict[str, float] = {}
        flops: dict[str, float] = {}
        for stage in self._job.stages:
            times = []
            flops[stage.name] = count_flops(partial(self._job.loss, stage.name, self._config.seed, 0))
            optimisers.zero_grad()
            for step in range(PROBED):
                start = time.monotonic()
                loss = self._job.loss(stage.name, self._config.seed, step)
                loss.backward()
                optimisers.clip()
                optimisers.step(1e-3)
                optimisers.zero_grad()
                float(loss.detach())
                times.append(time.monotonic() - start)
            taken[stage.name] = statistics.median(times[1:])
        model.load_state_dict(kept)
        return taken, flops

    def _restore(self, checkpoint: Checkpoint) -> None:
        if set(checkpoint.average) != set(self.average.tensors):
            raise InputError(f"{self.folder} holds a run of another model; choose another folder or the same recipe.")
        self._job.model.load_state_dict(dict(checkpoint.model))
        for name, tensor in self.average.tensors.items():
            tensor.copy_(checkpoint.average[name])
        self._optimisers.load_tensors(dict(checkpoint.optimiser))
        self._guard.losses = list(checkpoint.carried["losses"])
        self._guard.norms = list(checkpoint.carried["norms"])
        self._guard.refused = int(checkpoint.carried["refused"])
        self._skipped = int(checkpoint.carried["skipped"])
        self.step = checkpoint.step
        self._forget_after(checkpoint.step)
        self._say(f"{self._job.name}: resumed at step {self.step} of {self.plan.steps}")

    def _forget_after(self, step: int) -> None:
        """Drop metric lines of steps that will be taken again."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] < step:
                    kept.append(line)
            except json.JSONDecodeError:
                break  # the process was killed while it wrote this line
        write_atomically(path, lambda file: file.write("".join(f"{line}\n" for line in kept).encode()))
