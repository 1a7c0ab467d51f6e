"""A few moments before all of them: what they see, what they leave, and that a film made so keeps every promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import interrupted
from torch import Tensor

import kinora
from kinora.core.clip import Clip
from kinora.core.conditions import Continue, Keyframe, Reference
from kinora.core.materials import Footage, Still
from kinora.core.request import Request
from kinora.flow.state import initial_state
from kinora.pipeline import Pipeline, Progress
from kinora.pipeline.sketching import Sketch
from kinora.presets import Sampling
from kinora.transformer.conditions import Conditions, Prepared
from kinora.transformer.model import Transformer

STEPS = 3
MOVES = 1
"""Of three steps at shift 5, those that end below the sketch's cap of 0.7."""
FILM = Request(prompt="a red ball rolls to the left", seconds=3.0, quality="draft")
STILL = Still.of(np.full((64, 64, 3), 90, np.uint8), name="grey.png")


@pytest.fixture(scope="module")
def load(model_folder: Path) -> Callable[..., Pipeline]:
    loaded = kinora.load(str(model_folder), device="cpu")

    def sampled(**fields: float) -> Pipeline:
        sampling = {"draft": replace(Sampling(steps=STEPS, guidance=6.0), **fields)}
        return Pipeline(replace(loaded.model, preset=replace(loaded.model.preset, sampling=sampling)))

    return sampled


def test_moments_lie_evenly_from_first_to_last():
    assert Sketch.of(21, 5, 0.7).places == (0, 5, 10, 15, 20)
    assert Sketch.of(13, 5, 0.7).places == (0, 3, 6, 9, 12)


def test_a_sketch_sees_its_moments_and_what_stands_beside_the_window():
    state = initial_state((4, 9, 2, 2), seed=3).know([0], torch.ones(1, 4, 1, 2, 2))
    state = state.extend(torch.full((1, 4, 1, 2, 2), 2.0), [-7.0])
    sketch = Sketch.of(9, 3, 0.7)
    seen = sketch.state(state)
    assert seen.position_BT.tolist() == [[0.0, 4.0, 8.0, -7.0]]
    assert seen.cap_BTHW[0, :, 0, 0].tolist() == [0.0, 1.0, 1.0, 0.0]
    for row, frame in enumerate((0, 4, 8, 9)):
        assert torch.equal(seen.at(1.0)[:, :, row], state.at(1.0)[:, :, frame])
    pose_BT12 = torch.arange(10.0)[None, :, None].expand(1, 10, 12)
    text_BLD = torch.ones(1, 2, 3)
    told = sketch.conditions(Conditions(text_BLD=text_BLD, pose_BT12=pose_BT12))
    assert told.pose_BT12 is not None
    assert told.pose_BT12[0, :, 0].tolist() == [0.0, 4.0, 8.0, 9.0]
    assert told.text_BLD is text_BLD
    assert told.mouth_BTS is None


def test_every_frame_begins_near_its_moment_and_what_was_known_better_stays():
    state = initial_state((4, 9, 2, 2), seed=3).know([0], torch.full((1, 4, 1, 2, 2), 9.0))
    state = state.extend(torch.full((1, 4, 1, 2, 2), 2.0), [-7.0])
    moments_BCKHW = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1, 1).expand(1, 4, 3, 2, 2)
    follow = Sketch.of(9, 3, 0.6).follow(state, moments_BCKHW)
    assert follow.clean_BCTHW[0, 0, :, 0, 0].tolist() == [9.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 2.0]
    assert follow.cap_BTHW[0, :, 0, 0].tolist() == pytest.approx([0.0, *[0.6] * 8, 0.0])
    assert torch.equal(follow.noise_BCTHW, state.noise_BCTHW)


def test_only_free_films_of_some_length_are_sketched(load: Callable[..., Pipeline]):
    pipeline = load(sketch=5)
    footage = Footage.of(Clip(frames_FHWC=np.zeros((9, 64, 64, 3), np.uint8), frame_rate=16.0), name="old.mp4")
    sketched = {
        "free": pipeline.plan(FILM),
        "short": pipeline.plan(replace(FILM, seconds=0.5)),
        "pictured": pipeline.plan(replace(FILM, conditions=(Keyframe(still=STILL),))),
        "of somebody": pipeline.plan(replace(FILM, conditions=(Reference(still=STILL),))),
        "going on": pipeline.plan(replace(FILM, conditions=(Continue(footage=footage),))),
    }
    assert {name for name, plan in sketched.items() if plan.sketch == 5} == {"free", "of somebody"}
    assert load().plan(FILM).sketch == 0


@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        ({}, 2 * STEPS),
        ({"sketch": 5}, 2 * STEPS + 2 * MOVES),
        ({"sketch": 5, "sketch_steps": 7}, 2 * 7 + 2 * MOVES),
        # Levels of the sketch: 1, 0.857, 0.6; of the rest: 0.7.
        ({"sketch": 5, "guidance_floor": 0.75}, 5 + MOVES),
        ({"sketch": 5, "guidance_floor": 0.9}, 4 + MOVES),
        ({"guidance": 1.0, "guidance_floor": 0.75}, STEPS),
    ],
)
def test_the_model_is_asked_as_often_as_planned(
    load: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch, fields: dict[str, float], calls: int
):
    pipeline, asked = load(**fields), []
    walk = Transformer.forward

    def counted(transformer: Transformer, *told: Tensor | Conditions | Prepared) -> Tensor:
        velocity = walk(transformer, *told)
        asked.append(len(velocity))
        return velocity

    monkeypatch.setattr(Transformer, "forward", counted)
    pipeline.generate(FILM)
    assert sum(asked) == pipeline.plan(FILM).forwards == calls


def test_a_film_follows_its_sketch(load: Callable[..., Pipeline]):
    told: list[Progress] = []
    sketched = load(sketch=5, sketch_cap=0.0).generate(FILM, on_progress=told.append).frames_FHWC
    free = load().generate(FILM).frames_FHWC
    assert sketched.shape == free.shape
    assert not np.array_equal(sketched, free)
    # Nothing is added to moments that are known exactly, so frames between two of them are still.
    moved = np.abs(np.diff(sketched.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert moved.max() > 0
    assert (np.sort(moved)[: len(moved) // 2] < 0.2 * moved.max()).all()
    last = [progress for progress in told if progress.stage == "imagine"][-1]
    assert last.seconds_left is not None


@pytest.mark.parametrize("left", range(1, 2 * STEPS + 1))
def test_interrupted_in_sketch_or_film_it_goes_on_to_the_same_bytes(load: Callable[..., Pipeline], left: int):
    """With noise renewed on the way, and the sketch in steps of its own."""
    first = 2 * STEPS - MOVES
    pipeline = load(sketch=5, sketch_steps=first, renewal=1.0)
    whole = pipeline.generate(FILM).frames_FHWC
    again, steps = interrupted(pipeline, FILM, left)
    assert np.array_equal(again, whole)
    assert steps <= first + MOVES - left + 4, "nothing is made twice"
