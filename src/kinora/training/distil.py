"""Distillation: first one call a step instead of two, then few steps instead of many.

Two stages, each a run of its own, both on latents of the library under the tasks that the teacher learnt
(`kinora.training.tasks`):

guidance   the student gives at once what guidance takes two calls for: `v_u + s (v_c - v_u)` (Meng et al. 2023,
           arXiv:2210.03142, its first stage).
steps      the student's one straight step over an interval of the schedule ends where the teacher's several small steps
           over it end: progressive distillation (Salimans and Ho 2022, arXiv:2202.00512) in the terms of flow, where
           the target is the mean velocity on the way, `(x_end - x_start) / (sigma_end - sigma_start)`.

The scale s is fixed. An embedding of s (as Meng et al. have it) could stand beside Wan's names and start at zero, as
the place embedding does; but a model has one scale for all its qualities and nobody can turn it, so the student would
spend itself on scales that are never asked for.

Axes: B batch, C channels, T latent frames, H W latent grid, R references, L text positions, D text width, K noise
levels of a walk, I intervals of a schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call

from kinora.core.errors import InputError
from kinora.flow.guidance import guided
from kinora.flow.objective import flow_loss, training_pair
from kinora.flow.schedule import schedule
from kinora.flow.solvers import Velocity
from kinora.language.encoder import TextEncoder
from kinora.training.batches import Batch, step_rng
from kinora.training.generator import GeneratorStage, stage_batch
from kinora.training.objective import Draw, ObjectiveConfig, draw_step, told_of
from kinora.training.tasks import TASKS, Canvas, draw_known
from kinora.training.velocity import velocity_of
from kinora.transformer.model import Conditions, Transformer

__all__ = [
    "STAGES", "DistilConfig", "DistilJob", "Lesson", "Walk", "draw_caps", "draw_walk", "guidance_lesson",
    "interval_levels", "steps_lesson", "walk",
]  # fmt: skip

STAGES = ("guidance", "steps")

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """What is taught."""

    stage: str
    """One of `STAGES`."""
    guidance: float
    """Scale that the teacher is asked at; 1 for a teacher that has its guidance in itself."""
    guidance_floor: float = 0.0
    """Level below which the teacher is not guided."""
    shift: float
    """Of the schedule that the student will walk, for clips."""
    image_shift: float
    steps: int = 6
    """Intervals of that schedule; in the stage `guidance` the student's own steps are the small ones."""
    small_steps: int = 4
    """The teacher's steps over one interval."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InputError(f"There is no stage {self.stage!r} of distillation; choose one of {', '.join(STAGES)}.")
        if self.steps < 1 or self.small_steps < 1:
            raise InputError(
                f"{self.small_steps} small steps in each of {self.steps} steps cannot be taught; give at least one."
            )
        if self.stage == "steps" and self.small_steps == 1 and self.guidance == 1.0:
            raise InputError("One small step a step is the teacher itself: nothing to learn. Give at least 2.")

    def shift_for(self, frames: int) -> float:
        """The shift for clips of so many latent frames; one is a picture."""
        return self.image_shift if frames == 1 else self.shift


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """What the student is shown, and what it is to say."""

    x_BCTHW: Tensor
    sigma_BTHW: Tensor
    target_BCTHW: Tensor
    asked_BTHW: Tensor
    """1 where the target counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """A way down some levels: each clip of a batch has its own."""

    levels_BK: Tensor
    """Noise levels, falling."""
    cap_BTHW: Tensor
    """Highest noise level that each cell may have, as in `kinora.flow.state`."""

    def sigma_at(self, k: int) -> Tensor:
        """Noise level of each cell (B, T, H, W) at the k-th of the levels."""
        return torch.minimum(self.cap_BTHW, self.levels_BK[:, k, None, None, None])


def interval_levels(steps: int, small_steps: int, shift: float) -> Tensor:
    """The levels within each interval of a schedule of `steps`, both ends included: (I, small_steps + 1).

    They are the levels of the schedule with so many times the steps, of which the coarse one holds every n-th.
    """
    return schedule(steps * small_steps, shift).unfold(0, small_steps + 1, small_steps)


def walk(velocity: Velocity, x_BCTHW: Tensor, way: Walk, position_BT: Tensor) -> Tensor:
    """Where straight steps down the levels lead from `x_BCTHW`; a cell whose cap lies below both ends stays put."""
    for k in range(way.levels_BK.shape[1] - 1):
        now_BTHW = way.sigma_at(k)
        step_B1THW = (way.sigma_at(k + 1) - now_BTHW)[:, None]
        x_BCTHW = x_BCTHW + step_B1THW * velocity(x_BCTHW, now_BTHW, position_BT)
    return x_BCTHW


def guidance_lesson(teacher: Velocity, batch: Batch, draw: Draw) -> Lesson:
    """The teacher's velocity on noised clips; `teacher` is guided already."""
    x_BCTHW, _ = training_pair(batch.clean_BCTHW, draw.noise_BCTHW, draw.sigma_BTHW)
    return Lesson(
        x_BCTHW=x_BCTHW,
        sigma_BTHW=draw.sigma_BTHW,
        target_BCTHW=teacher(x_BCTHW, draw.sigma_BTHW, batch.position_BT),
        asked_BTHW=draw.asked_BTHW,
    )


def steps_lesson(teacher: Velocity, batch: Batch, draw: Draw, way: Walk) -> Lesson:
    """The mean velocity of the teacher's walk from noised clips, where it moves a cell at all."""
    start_BTHW, end_BTHW = way.sigma_at(0), way.sigma_at(-1)
    x_BCTHW, _ = training_pair(batch.clean_BCTHW, draw.noise_BCTHW, start_BTHW)
    there_BCTHW = walk(teacher, x_BCTHW, way, batch.position_BT)
    moved_BTHW = end_BTHW != start_BTHW
    length_BTHW = torch.where(moved_BTHW, end_BTHW - start_BTHW, 1.0)
    return Lesson(
        x_BCTHW=x_BCTHW,
        sigma_BTHW=start_BTHW,
        target_BCTHW=(there_BCTHW - x_BCTHW) / length_BTHW[:, None],
        asked_BTHW=draw.asked_BTHW * moved_BTHW,
    )


def draw_caps(rng: np.random.Generator, shape: tuple[int, ...], config: ObjectiveConfig) -> tuple[Array, Array]:
    """A task for every clip: caps and which cells are asked for, each of `shape` (B, T, H, W).

    Frames at levels of their own are no way that a film is made, so that task comes out as text alone.
    """
    batch, frames, height, width = shape
    cap_BTHW, asked_BTHW = np.ones(shape, dtype=np.float32), np.ones(shape, dtype=np.float32)
    task_B = rng.choice(len(TASKS), size=batch, p=config.mix.shares(frames))
    for number, task in enumerate(TASKS):
        rows_N = np.flatnonzero(task_B == number)
        if not rows_N.size:
            continue
        canvas = Canvas(
            rng=rng, clips=rows_N.size, frames=frames, height=height, width=width,
            history_noise=config.history_noise, first_noised=config.first_noised,
        )  # fmt: skip
        known = draw_known(task, canvas)
        cap_BTHW[rows_N], asked_BTHW[rows_N] = known.cap_NTHW, known.asked_NTHW
    return cap_BTHW, asked_BTHW


def draw_walk(seed: int, step: int, shape: tuple[int, ...], config: DistilConfig, device: str) -> tuple[Draw, Walk]:
    """What a step of the stage `steps` draws for latents of `shape` (B, C, T, H, W): every clip another interval."""
    rng = step_rng(seed, step, 3)
    cap_BTHW, asked_BTHW = (
        torch.from_numpy(drawn).to(device) for drawn in draw_caps(rng, (shape[0], *shape[2:]), config.objective)
    )
    interval_B = torch.from_numpy(rng.integers(0, config.steps, size=shape[0]))
    levels_IK = interval_levels(config.steps, config.small_steps, config.shift_for(shape[2]))
    way = Walk(levels_BK=levels_IK[interval_B].to(device), cap_BTHW=cap_BTHW)
    draw = draw_step(seed, step, shape, config.objective, device)
    return replace(draw, sigma_BTHW=way.sigma_at(0), asked_BTHW=asked_BTHW), way


class DistilJob:
    """Feeds a run of distillation; see `kinora.training.run.Job`. Trains the student alone."""

    name = "distil"

    def __init__(
        self,
        student: Transformer,
        teacher: Transformer,
        text: TextEncoder,
        stages: Sequence[GeneratorStage],
        *,
        config: DistilConfig,
        device: str = "cpu",
        compile_blocks: bool = False,
    ) -> None:
        self.model = student.to(device)
        self.stages = tuple(entry.stage for entry in stages)
        self._stages = {entry.stage.name: entry for entry in stages}
        self._teacher = teacher.to(device).eval().requires_grad_(requires_grad=False)
        self._text = text.to(device).eval().requires_grad_(requires_grad=False)
        self._config = config
        self._device = device
        if compile_blocks:
            for block in (*student.blocks, *teacher.blocks):
                block.compile()

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """Mean squared difference between student and target over the cells that are asked for."""
        batch = stage_batch(self._stages[stage], seed, step, references=self._config.objective.references)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            lesson, conditions = self._lesson(batch, seed, step)
            student = velocity_of(self.model, conditions, batch)
            v_BCTHW = student(lesson.x_BCTHW, lesson.sigma_BTHW, batch.position_BT)
        return flow_loss(v_BCTHW, lesson.target_BCTHW, lesson.sigma_BTHW, lesson.asked_BTHW)

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see that `strayed` does not say in figures."""

    @torch.no_grad()
    def strayed(self, weights: Mapping[str, Tensor], *, seed: int, clips: int = 8) -> float:
        """How far from the teacher's films the student's end, with `weights`: the root mean square of the difference
        over that of the teacher's latents. Both begin with the same noise and the same captions; the teacher walks
        `steps * small_steps` guided steps, the student its own, unguided.
        """
        entry, config = self._stages[self.stages[-1].name], self._config
        batch = entry.batches.batch(seed, 0, size=clips, latent_frames=entry.latent_frames)
        shape = tuple(batch.clean_BCTHW.shape)
        draw = draw_step(seed, 0, shape, config.objective, self._device)
        conditions = told_of(self._text(batch.ids_BL), batch, draw)

        def student(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
            held: Tensor = functional_call(self.model, dict(weights), (x_BCTHW, sigma_BTHW, position_BT, conditions))
            return held.float()

        fine = config.steps * config.small_steps
        ends = []
        for velocity, steps in (
            (self._guided(conditions, batch), fine),
            (student, config.steps if config.stage == "steps" else fine),
        ):
            levels_K = schedule(steps, config.shift_for(shape[2])).to(self._device)
            way = Walk(levels_BK=levels_K.expand(clips, -1), cap_BTHW=torch.ones_like(draw.sigma_BTHW))
            ends.append(walk(velocity, draw.noise_BCTHW, way, batch.position_BT))
        return float((ends[1] - ends[0]).square().mean().sqrt() / ends[0].square().mean().sqrt())

    @torch.no_grad()
    def _lesson(self, batch: Batch, seed: int, step: int) -> tuple[Lesson, Conditions]:
        shape = tuple(batch.clean_BCTHW.shape)
        text_BLD = self._text(batch.ids_BL)
        if self._config.stage == "guidance":
            draw = draw_step(seed, step, shape, self._config.objective, self._device)
            conditions = told_of(text_BLD, batch, draw)
            return guidance_lesson(self._guided(conditions, batch), batch, draw), conditions
        draw, way = draw_walk(seed, step, shape, self._config, self._device)
        conditions = told_of(text_BLD, batch, draw)
        return steps_lesson(self._guided(conditions, batch), batch, draw, way), conditions

    def _guided(self, conditions: Conditions, batch: Batch) -> Velocity:
        """The teacher as the product asks it: guidance takes the text away and leaves all else as it is."""
        without = replace(conditions, text_BLD=torch.zeros_like(conditions.text_BLD))
        return guided(
            velocity_of(self._teacher, conditions, batch),
            velocity_of(self._teacher, without, batch),
            self._config.guidance,
            self._config.guidance_floor,
        )
