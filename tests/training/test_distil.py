"""Distillation against answers that are known: a straight velocity field, a linear one, a teacher taught by itself."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.guidance import guided
from kinora.flow.schedule import schedule
from kinora.flow.solvers import sample
from kinora.flow.state import LatentState
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import Tokenizer
from kinora.training.batches import Batch, ClipBatches
from kinora.training.distil import (
    DistilConfig,
    DistilJob,
    Walk,
    draw_caps,
    draw_walk,
    guidance_lesson,
    interval_levels,
    steps_lesson,
    walk,
)
from kinora.training.generator import GeneratorStage
from kinora.training.latents import LatentSet
from kinora.training.library import Library
from kinora.training.objective import Draw, ObjectiveConfig, draw_step
from kinora.training.plan import Stage
from kinora.training.tasks import TASKS, TaskMix
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer

SHAPE = (4, 3, 2, 4, 4)
STEPS = DistilConfig(stage="steps", guidance=1.0, shift=5.0, image_shift=1.5, steps=6, small_steps=4)


def only(task: str, **changes: float) -> ObjectiveConfig:
    """An objective of one task."""
    mix = TaskMix(**{name: float(name == task) for name in TASKS})
    return ObjectiveConfig(mix=mix, drop_text=0.0, **changes)


def batch_of(clean_BCTHW: Tensor) -> Batch:
    batch, _, frames, height, width = clean_BCTHW.shape
    return Batch(
        clean_BCTHW=clean_BCTHW, position_BT=torch.arange(frames).float().expand(batch, -1),
        ids_BL=torch.ones(batch, 5, dtype=torch.long), pose_BT12=torch.zeros(batch, frames, 12),
        mouth_BTS=torch.zeros(batch, frames, 48), face_BTHW=torch.zeros(batch, frames, height, width),
    )  # fmt: skip


def clean(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def growing(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
    """dx / dsigma = x, so x at sigma is x_0 exp(sigma)."""
    return x_BCTHW


# Guidance


def test_the_guided_velocity_is_the_target() -> None:
    """With v_c = 3 x and v_u = x, scale 6 gives x + 6 (3 x - x) = 13 x."""
    teacher = guided(lambda x, s, p: 3.0 * x, lambda x, s, p: x, 6.0)
    draw = draw_step(1, 0, SHAPE, only("text"), "cpu")
    lesson = guidance_lesson(teacher, batch_of(clean()), draw)
    torch.testing.assert_close(lesson.target_BCTHW, 13.0 * lesson.x_BCTHW)
    sigma = draw.sigma_BTHW[:, None]
    torch.testing.assert_close(lesson.x_BCTHW, (1 - sigma) * clean() + sigma * draw.noise_BCTHW)


# Steps


@pytest.mark.parametrize(("steps", "small", "shift"), [(6, 4, 5.0), (4, 1, 1.0), (1, 8, 3.0)])
def test_the_coarse_schedule_is_every_nth_level_of_the_fine_one(steps: int, small: int, shift: float) -> None:
    levels_IK = interval_levels(steps, small, shift)
    assert levels_IK.shape == (steps, small + 1)
    coarse = schedule(steps, shift)
    torch.testing.assert_close(levels_IK[:, 0], coarse[:-1])
    torch.testing.assert_close(levels_IK[:, -1], coarse[1:])
    assert (levels_IK.diff(dim=1) < 0).all()


def test_a_straight_field_is_taught_as_it_is() -> None:
    """Where the velocity is constant along the way, one step is as good as many."""
    constant = clean(3)
    draw, way = draw_walk(5, 0, SHAPE, dataclasses.replace(STEPS, objective=only("text")), "cpu")
    lesson = steps_lesson(lambda x, s, p: constant, batch_of(clean()), draw, way)
    torch.testing.assert_close(lesson.target_BCTHW, constant, atol=1e-4, rtol=1e-4)
    assert lesson.asked_BTHW.all()


def test_more_small_steps_come_closer_to_the_exact_way() -> None:
    """For dx / dsigma = x the mean velocity from a to b is x (exp(b - a) - 1) / (b - a); Euler's error is first
    order, so eight times the steps leave about an eighth.
    """
    errors = []
    for small in (2, 16, 128):
        config = dataclasses.replace(STEPS, steps=3, small_steps=small, objective=only("text"))
        draw, way = draw_walk(7, 0, SHAPE, config, "cpu")
        lesson = steps_lesson(growing, batch_of(clean()), draw, way)
        length = (way.levels_BK[:, -1] - way.levels_BK[:, 0])[:, None, None, None, None]
        exact = lesson.x_BCTHW * (length.exp() - 1.0) / length
        errors.append(float((lesson.target_BCTHW - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.3)
    assert errors[1] / errors[2] == pytest.approx(8.0, rel=0.3)


def test_walks_over_the_intervals_join_to_the_whole_walk() -> None:
    x = start = clean(4)
    cap_BTHW, position_BT = torch.ones(SHAPE[0], *SHAPE[2:]), torch.zeros(SHAPE[0], SHAPE[2])
    for levels_K in interval_levels(4, 8, 5.0):
        x = walk(growing, x, Walk(levels_BK=levels_K.expand(SHAPE[0], -1), cap_BTHW=cap_BTHW), position_BT)
    whole = Walk(levels_BK=schedule(32, 5.0).expand(SHAPE[0], -1), cap_BTHW=cap_BTHW)
    torch.testing.assert_close(x, walk(growing, start, whole, position_BT))
    assert float((x / start).mean()) == pytest.approx(math.exp(-1.0), rel=0.1)  # the exact way, within Euler's error


@pytest.mark.parametrize("task", ["text", "first", "continuation", "guide", "region"])
def test_the_teacher_walks_as_the_product_samples(task: str) -> None:
    """Caps and all: over the whole schedule it is `flow.sample` with Euler steps."""
    rng = np.random.default_rng(8)
    cap_BTHW = torch.from_numpy(draw_caps(rng, (SHAPE[0], *SHAPE[2:]), only(task))[0])
    noise, position = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)), torch.zeros(SHAPE[0], SHAPE[2])
    state = LatentState(noise_BCTHW=noise, clean_BCTHW=clean(), cap_BTHW=cap_BTHW, position_BT=position)
    sigmas = schedule(6, 5.0)

    def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        return torch.sin(x_BCTHW) + sigma_BTHW[:, None]

    way = Walk(levels_BK=sigmas.expand(SHAPE[0], -1), cap_BTHW=cap_BTHW)
    torch.testing.assert_close(walk(velocity, state.latent_BCTHW, way, position), sample(velocity, state, sigmas))


def test_cells_that_the_interval_does_not_move_are_not_asked_for() -> None:
    cap_BTHW = torch.ones(SHAPE[0], *SHAPE[2:])
    cap_BTHW[:, 0] = 0.3
    levels_BK = torch.tensor([1.0, 0.7, 0.5]).expand(SHAPE[0], -1)
    way = Walk(levels_BK=levels_BK, cap_BTHW=cap_BTHW)
    plain = draw_step(2, 0, SHAPE, only("text"), "cpu")
    draw = dataclasses.replace(plain, sigma_BTHW=way.sigma_at(0), asked_BTHW=torch.ones_like(cap_BTHW))
    lesson = steps_lesson(growing, batch_of(clean()), draw, way)
    assert not lesson.asked_BTHW[:, 0].any()
    assert lesson.asked_BTHW[:, 1].all()
    assert torch.isfinite(lesson.target_BCTHW).all()
    # A cell that is capped within the interval moves from its cap on, and counts.
    lower = Walk(levels_BK=torch.tensor([1.0, 0.2]).expand(SHAPE[0], -1), cap_BTHW=cap_BTHW)
    draw = dataclasses.replace(draw, sigma_BTHW=lower.sigma_at(0))
    lesson = steps_lesson(growing, batch_of(clean()), draw, lower)
    assert lesson.asked_BTHW.all()
    torch.testing.assert_close(lesson.target_BCTHW, lesson.x_BCTHW)


def test_every_interval_is_drawn_and_the_same_step_draws_the_same() -> None:
    shape = (240, 3, 2, 4, 4)
    draw, way = draw_walk(3, 9, shape, STEPS, "cpu")
    starts = interval_levels(6, 4, 5.0)[:, 0]
    counts = [(way.levels_BK[:, 0] == level).sum().item() for level in starts]
    assert sum(counts) == 240
    assert min(counts) > 15
    again, _ = draw_walk(3, 9, shape, STEPS, "cpu")
    assert torch.equal(draw.sigma_BTHW, again.sigma_BTHW)
    assert torch.equal(draw.noise_BCTHW, again.noise_BCTHW)
    assert float(draw.sigma_BTHW.max()) == 1.0


def test_pictures_walk_their_own_schedule() -> None:
    _, way = draw_walk(3, 1, (60, 3, 1, 4, 4), STEPS, "cpu")
    known = set(interval_levels(6, 4, 1.5)[:, 0].tolist())
    assert set(way.levels_BK[:, 0].tolist()) == known


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stage": "magic"}, "magic"),
        ({"steps": 0}, "0 steps"),
        ({"small_steps": 1}, "nothing to learn"),
    ],
)
def test_lessons_that_cannot_be_given_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        dataclasses.replace(STEPS, **changes)


# The job


def transformer(seed: int) -> Transformer:
    config = TransformerConfig(
        width=32,
        layers=2,
        heads=2,
        ffn_width=64,
        channels=8,
        text_width=32,
        text_length=64,
        pose_width=12,
        mouth_width=48,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Transformer(config)
        torch.nn.init.normal_(made.head.head.weight, std=0.2)
        torch.nn.init.normal_(made.text_embedding[2].weight, std=0.3)
    return made


@pytest.fixture
def feed(library: Library, latents: LatentSet, tokenizer: Tokenizer) -> ClipBatches:
    return ClipBatches(library, latents, tokenizer, text_length=64, device="cpu")


@pytest.fixture
def text(tokenizer: Tokenizer) -> TextEncoder:
    torch.manual_seed(0)
    config = TextEncoderConfig(vocabulary=len(tokenizer), width=32, layers=1, heads=2, ffn_width=64, length=64)
    return TextEncoder(config)


def job_of(feed: ClipBatches, text: TextEncoder, config: DistilConfig, *, student_seed: int = 5) -> DistilJob:
    stage = GeneratorStage(stage=Stage(name="video", share=1.0, size=4), batches=feed, latent_frames=3)
    return DistilJob(transformer(student_seed), transformer(5), text, [stage], config=config)


def test_a_student_equal_to_an_unguided_teacher_has_nothing_to_learn(feed: ClipBatches, text: TextEncoder) -> None:
    config = dataclasses.replace(STEPS, stage="guidance", objective=ObjectiveConfig(drop_text=0.0))
    assert float(job_of(feed, text, config).loss("video", 0, 0).detach()) == pytest.approx(0.0, abs=1e-9)
    assert float(job_of(feed, text, config, student_seed=6).loss("video", 0, 0).detach()) > 1e-3
    guided_config = dataclasses.replace(config, guidance=6.0)
    assert float(job_of(feed, text, guided_config).loss("video", 0, 0).detach()) > 1e-5


def test_only_the_student_learns(feed: ClipBatches, text: TextEncoder) -> None:
    job = job_of(feed, text, dataclasses.replace(STEPS, guidance=4.0))
    job.loss("video", 0, 1).backward()
    assert all(parameter.grad is not None for parameter in job.model.blocks.parameters())
    assert all(parameter.grad is None for parameter in (*job._teacher.parameters(), *text.parameters()))
    assert set(job.model.state_dict()) == set(transformer(5).state_dict())


def test_guidance_takes_the_text_away_and_leaves_the_camera(feed: ClipBatches, text: TextEncoder) -> None:
    """At guidance s the target is v_u + s (v_c - v_u), asked of the teacher itself with and without text."""
    objective = ObjectiveConfig(drop_text=0.0, drop_pose=0.0, drop_mouth=0.0)
    config = dataclasses.replace(STEPS, stage="guidance", guidance=3.0, objective=objective)
    job = job_of(feed, text, config)
    batch = feed.batch(0, 2, size=4, latent_frames=3)
    with torch.no_grad():
        lesson, conditions = job._lesson(batch, 0, 2)
        without = dataclasses.replace(conditions, text_BLD=torch.zeros_like(conditions.text_BLD))
        v_c, v_u = (
            transformer(5)(lesson.x_BCTHW, lesson.sigma_BTHW, batch.position_BT, told) for told in (conditions, without)
        )
    assert conditions.pose_BT12 is not None
    assert conditions.pose_BT12.any()
    assert not torch.allclose(v_c, v_u)
    torch.testing.assert_close(lesson.target_BCTHW, v_u + 3.0 * (v_c - v_u))


def test_references_stand_beside_both(feed: ClipBatches, text: TextEncoder) -> None:
    """They change what the teacher says, and are cut off the answer."""
    job = job_of(feed, text, STEPS)
    batch = feed.batch(0, 3, size=2, latent_frames=3)
    portrait = torch.randn(2, 8, 1, *batch.clean_BCTHW.shape[3:], generator=torch.Generator().manual_seed(2))
    beside = dataclasses.replace(batch, reference_BCRHW=portrait, reference_position_BR=torch.full((2, 1), -8.0))
    plain, told = (job._lesson(shown, 0, 3)[0] for shown in (batch, beside))
    assert told.target_BCTHW.shape == batch.clean_BCTHW.shape
    assert torch.equal(plain.x_BCTHW, told.x_BCTHW)
    assert not torch.allclose(plain.target_BCTHW, told.target_BCTHW)


def test_a_student_that_walks_as_finely_as_its_teacher_strays_nowhere(feed: ClipBatches, text: TextEncoder) -> None:
    config = dataclasses.replace(STEPS, stage="guidance", guidance=1.0)
    job = job_of(feed, text, config)
    assert job.strayed(job.model.state_dict(), seed=1, clips=2) == pytest.approx(0.0, abs=1e-6)
    coarse = job_of(feed, text, STEPS)
    assert coarse.strayed(coarse.model.state_dict(), seed=1, clips=2) > 1e-4


@pytest.mark.parametrize("stage", ["guidance", "steps"])
def test_lessons_bring_a_student_to_its_teacher(stage: str, feed: ClipBatches, text: TextEncoder) -> None:
    """It begins with half of what its teacher says, and has its last layer to mend that with."""
    objective = ObjectiveConfig(drop_text=0.0, references=0.0)
    config = dataclasses.replace(STEPS, stage=stage, guidance=2.0, steps=2, small_steps=2, objective=objective)
    job = job_of(feed, text, config)
    with torch.no_grad():
        job.model.head.head.weight.mul_(0.5)
    before = job.strayed(job.model.state_dict(), seed=1, clips=4)
    optimiser = torch.optim.Adam(job.model.head.parameters(), lr=0.02)
    for step in range(40):
        optimiser.zero_grad()
        job.loss("video", 0, step).backward()
        optimiser.step()
    assert job.strayed(job.model.state_dict(), seed=1, clips=4) < 0.4 * before


def test_a_draw_leaves_known_cells_out(feed: ClipBatches, text: TextEncoder) -> None:
    config = dataclasses.replace(STEPS, objective=only("first"))
    draw, way = draw_walk(0, 0, (4, 8, 3, 2, 2), config, "cpu")
    assert isinstance(draw, Draw)
    assert not draw.asked_BTHW[:, 0].any()
    assert (way.cap_BTHW[:, 1:] == 1).all()
