"""Saves inside a segment: interrupted after any step, a film goes on to the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kinora
from kinora.core.camera import CameraMove
from kinora.core.clip import Clip
from kinora.core.conditions import Brush, Condition, Continue, Keyframe, Moves, Reference, Stroke
from kinora.core.errors import Cancelled
from kinora.core.materials import Footage, Mask, Still
from kinora.core.request import Line, Request
from kinora.flow.solvers import SOLVERS
from kinora.pipeline import Pipeline, Progress
from kinora.pipeline.pipeline import load_pipeline
from kinora.pipeline.previews import Previews
from kinora.pipeline.saving import Saves
from kinora.presets import Sampling

STEPS = 4
LATE = 2
"""Events of a window that begins below the third level, 0.625: one of the steps not taken, one of the last step."""
SHORT = Request(prompt="a red ball rolls to the left", seconds=0.5, quality="draft")
TWO = replace(SHORT, seconds=5.5)
"""Two segments."""


@pytest.fixture(scope="module")
def pipeline(model_folder: Path) -> Pipeline:
    return sampled(kinora.load(str(model_folder), device="cpu"))


def sampled(pipeline: Pipeline, **fields: Any) -> Pipeline:
    """The pipeline with few steps, all of which are taken, and another way to take them."""
    sampling = {"draft": replace(Sampling(steps=STEPS, guidance=6.0), **fields)}
    return Pipeline(replace(pipeline.model, preset=replace(pipeline.model.preset, sampling=sampling, hold=1.0)))


def held(pipeline: Pipeline) -> Pipeline:
    """The same with windows that stay near the picture they go on from: the last of their four steps ends below 0.5."""
    few = sampled(pipeline)
    return Pipeline(replace(few.model, preset=replace(few.model.preset, hold=0.5)))


def picture(seed: int) -> Still:
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Still.of(np.kron(coarse, np.ones((16, 16, 1), dtype=np.uint8)), name=f"{seed}.png")


@dataclass
class Kept:
    """A place for saves and chunks, and the hand that pulls the plug."""

    every: int = 1
    left: int | None = None
    """Steps until the power goes."""
    save: bytes | None = None
    memory: bytes | None = None
    saves: int = 0
    frames: list[np.ndarray] = field(default_factory=list)
    steps: int = 0
    now: Callable[[], bool] = lambda: False

    def keep(self, save: bytes) -> None:
        self.save = save
        self.saves += 1

    def progress(self, progress: Progress) -> None:
        if progress.stage == "imagine" and progress.seconds_left is not None:
            self.steps += 1
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise Cancelled("the power went")

    def film(self, pipeline: Pipeline, request: Request) -> np.ndarray:
        """All frames; what was made before an interruption stays."""
        saves = Saves(every=self.every, keep=self.keep, found=self.save, now=self.now)
        for chunk in pipeline.stream(request, self.memory, on_progress=self.progress, saves=saves):
            self.frames.append(chunk.frames_FHWC)
            self.memory = chunk.memory
        return np.concatenate(self.frames)


def in_pieces(pipeline: Pipeline, request: Request, left: int, every: int = 1) -> tuple[np.ndarray, Kept]:
    """A film whose power goes after so many steps, once."""
    kept = Kept(every=every, left=left)
    with pytest.raises(Cancelled):
        kept.film(pipeline, request)
    kept.left, kept.steps = None, 0
    return kept.film(pipeline, request), kept


def check_every_step(pipeline: Pipeline, request: Request, steps: int) -> None:
    whole = Kept(every=0)
    expected = whole.film(pipeline, request)
    assert whole.saves == 0
    assert whole.steps == steps
    for left in range(1, steps):
        found, kept = in_pieces(pipeline, request, left)
        assert (found == expected).all(), left
        assert kept.steps <= steps - left + 2, "nothing is made twice"  # and each skipped walk is told once


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_segments_with_every_solver(pipeline: Pipeline, solver: str) -> None:
    check_every_step(sampled(pipeline, solver=solver), TWO, 2 * STEPS)


def test_where_the_second_segment_begins_late(pipeline: Pipeline) -> None:
    check_every_step(held(pipeline), TWO, STEPS + LATE)


def test_without_guidance(pipeline: Pipeline) -> None:
    check_every_step(sampled(pipeline, guidance=1.0), SHORT, STEPS)


@pytest.mark.parametrize("solver", ["ab2", "unipc"])
def test_with_reused_steps(pipeline: Pipeline, solver: str) -> None:
    many = sampled(pipeline, steps=9, solver=solver)
    notes: list[str] = []
    request = replace(SHORT, reuse=0.5)
    list(many.stream(request, on_note=notes.append))
    assert "reused" in notes[0]
    assert " 0 reused" not in notes[0]
    check_every_step(many, request, 9)


BRUSH = Brush(strokes=(Stroke(mask=Mask.of(np.eye(64, dtype=np.bool_)), points=((0.2, 0.2), (0.7, 0.7))),))
FOOTAGE = Footage.of(
    Clip(frames_FHWC=np.random.default_rng(5).integers(0, 255, (30, 64, 64, 3), np.uint8), frame_rate=16.0)
)


@pytest.mark.parametrize(
    ("conditions", "steps"),
    [
        ((Keyframe(still=picture(1)), Keyframe(still=picture(2), at=None)), STEPS),
        ((Reference(still=picture(1)),), STEPS),
        ((Moves(move=CameraMove(pan=2.0)),), STEPS + LATE),  # a picture is imagined first
        ((Moves(move=CameraMove(zoom=2.0)), Reference(still=picture(3))), STEPS + LATE),
        ((Keyframe(still=picture(1)), BRUSH), LATE),
        ((Continue(footage=FOOTAGE),), STEPS),
        ((Continue(footage=FOOTAGE, before=True),), STEPS),
    ],
    ids=["keyframes", "reference", "camera", "camera and reference", "brush", "onward", "backward"],
)
def test_with_conditions(pipeline: Pipeline, conditions: tuple[Condition, ...], steps: int) -> None:
    check_every_step(pipeline, replace(SHORT, conditions=conditions), steps)


def test_under_a_script(pipeline: Pipeline) -> None:
    check_every_step(
        pipeline, replace(SHORT, seconds=1.0, script=(Line(at=0.5, prompt="a blue cube falls"),)), 2 * STEPS
    )


@pytest.mark.parametrize("name", ["wan2.2-t2v-a14b", "wan2.1-i2v-14b-480p"])
def test_open_weights(wan_model: Callable[..., Path], name: str) -> None:
    """Two experts, each with a history of its own where steps are reused; channels beside the noise."""
    base = load_pipeline(str(wan_model(name)), device="cpu")
    table = {quality: replace(sampling, steps=6, shift=5.0) for quality, sampling in base.model.preset.sampling.items()}
    few = Pipeline(replace(base.model, preset=replace(base.model.preset, sampling=table)))
    shown = (Keyframe(still=picture(1)),) if few.model.preset.needs else ()
    request = Request(prompt="a red ball", seconds=0.25, size=(64, 64), reuse=0.5, conditions=shown)
    whole = Kept(every=0).film(few, request)
    for left in (2, 5):
        found, _ = in_pieces(few, request, left)
        assert (found == whole).all(), left


def test_pictures(pipeline: Pipeline) -> None:
    whole = pipeline.image(SHORT, n=2)
    for left in range(1, 2 * STEPS):
        kept, done = Kept(left=left), {}

        def made(index: int, rgb_HW3: np.ndarray, done: dict[int, np.ndarray] = done) -> None:
            done[index] = rgb_HW3

        saves = Saves(every=1, keep=kept.keep)
        with pytest.raises(Cancelled):
            pipeline.image(SHORT, n=2, on_progress=kept.progress, on_picture=made, saves=saves)
        begun = len(done)
        saves = Saves(every=1, keep=kept.keep, found=kept.save)
        kept.left, kept.steps = None, 0
        rest = pipeline.image(
            replace(SHORT, seed=SHORT.seed + begun), n=2 - begun, on_progress=kept.progress, saves=saves
        )
        assert all((a == b).all() for a, b in zip([*done.values(), *rest], whole, strict=True)), left
        assert kept.steps <= 2 * STEPS - left + 1


def test_saves_come_every_few_steps_and_at_the_end(pipeline: Pipeline) -> None:
    many = sampled(pipeline, steps=10)
    for every, saves in ((1, 10), (3, 4), (5, 2), (100, 1), (0, 0)):
        kept = Kept(every=every)
        kept.film(many, SHORT)
        assert kept.saves == saves, every


def test_killed_between_saves_it_repeats_a_few_steps(pipeline: Pipeline) -> None:
    many = sampled(pipeline, steps=10)
    whole = Kept(every=0).film(many, SHORT)
    found, kept = in_pieces(many, SHORT, left=8, every=3)
    assert (found == whole).all()
    assert kept.steps == 4 + 1  # from the sixth on, and the skipped ones told once


def test_a_save_is_made_when_the_end_is_near(pipeline: Pipeline) -> None:
    whole = Kept(every=0).film(pipeline, SHORT)
    kept = Kept(every=0, left=3)
    kept.now = lambda: kept.left == 1
    with pytest.raises(Cancelled):
        kept.film(pipeline, SHORT)
    assert kept.saves == 1
    kept.left, kept.steps = None, 0
    assert (kept.film(pipeline, SHORT) == whole).all()
    assert kept.steps == STEPS - 3 + 1


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"prompt": "a blue cube falls"},
        {"negative": "grass"},
        {"seconds": 0.75},
        {"aspect": "16:9"},
        {"reuse": 0.3},
        {"conditions": (Keyframe(still=picture(1)),)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_request_s_save_is_passed_over(pipeline: Pipeline, other: dict[str, Any]) -> None:
    request = replace(SHORT, **other)
    expected = Kept(every=0).film(pipeline, request)
    kept = Kept(left=2)
    with pytest.raises(Cancelled):
        kept.film(pipeline, SHORT)
    kept.left, kept.steps = None, 0
    assert (kept.film(pipeline, request) == expected).all()
    assert kept.steps == STEPS


def test_another_sampling_s_save_is_passed_over(pipeline: Pipeline) -> None:
    kept = Kept(left=2)
    with pytest.raises(Cancelled):
        kept.film(pipeline, SHORT)
    other = sampled(pipeline, solver="unipc")
    expected = Kept(every=0).film(other, SHORT)
    kept.left = None
    assert (kept.film(other, SHORT) == expected).all()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x08" + bytes(200)])
def test_a_damaged_save_is_passed_over(pipeline: Pipeline, data: bytes) -> None:
    kept = Kept(save=data)
    assert (kept.film(pipeline, SHORT) == Kept(every=0).film(pipeline, SHORT)).all()


def test_a_save_of_a_finished_segment_does_not_disturb_the_next(pipeline: Pipeline) -> None:
    """What is kept of the first segment is still there when the second begins."""
    whole = Kept(every=0).film(pipeline, TWO)
    for every in (3, 4):
        for left in (STEPS, STEPS + 1, 2 * STEPS - 1):
            found, _ = in_pieces(pipeline, TWO, left, every=every)
            assert (found == whole).all()


def test_progress_goes_on_and_nothing_is_told_of_steps_that_took_no_time(pipeline: Pipeline) -> None:
    kept = Kept(left=3)
    with pytest.raises(Cancelled):
        kept.film(pipeline, SHORT)
    heard: list[Progress] = []
    saves = Saves(every=1, keep=kept.keep, found=kept.save)
    list(pipeline.stream(SHORT, on_progress=heard.append, saves=saves))
    imagined = [event.done for event in heard if event.stage == "imagine"]
    assert imagined == [4, 5]  # one read, three skipped; one more
    assert heard[-1].done == heard[-1].total
    assert heard[-1].seconds_left == 0


def test_it_begins_lower_when_told(wan_model: Callable[..., Path]) -> None:
    pipeline = load_pipeline(str(wan_model("wan2.2-ti2v-5b")), device="cpu")
    request = Request(prompt="a red ball", seconds=0.25, size=(64, 64), quality="draft")
    rungs = pipeline.rungs(pipeline.plan(request))
    assert len(rungs) > 1
    for skip in (0, 1, 99):
        next(pipeline.stream(request, skip_rungs=skip))
        assert pipeline._resident is not None
        assert pipeline._resident.rung.words == rungs[min(skip, len(rungs) - 1)].words
        pipeline.close()


def test_previews_come_every_few_steps_and_change_no_bit(pipeline: Pipeline) -> None:
    many = sampled(pipeline, steps=10)
    expected = Kept(every=0).film(many, SHORT)
    seen: list[np.ndarray] = []
    chunks = list(many.stream(SHORT, previews=Previews(every=3, show=seen.append)))
    assert (chunks[0].frames_FHWC == expected).all()
    assert [picture.shape for picture in seen] == [(64, 64, 3)] * 3
    middle = expected[len(expected) // 2].astype(float)
    distances = [float(np.abs(picture - middle).mean()) for picture in seen]
    assert distances[-1] < distances[0], "what is seen comes nearer to the film"
