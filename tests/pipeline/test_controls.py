"""Conditions through the whole pipeline, with a real (if ignorant) model: what is known stays, what is free changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kinora
from kinora import Clip, Request
from kinora.codec import video_from_frames
from kinora.core.camera import CameraMove
from kinora.core.conditions import (
    Brush,
    Continue,
    Face,
    Keyframe,
    Moves,
    Reference,
    Region,
    Speech,
    Stroke,
)
from kinora.core.errors import InputError, WeightsError
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.request import Line
from kinora.core.visemes import VisemeTrack
from kinora.core.wording import plain_prompt
from kinora.flow.state import LatentState
from kinora.pipeline import Pipeline
from kinora.pipeline.given import Given, Span
from kinora.pipeline.imagining import Imagining

DRAFT = Request(prompt="a red ball rolls to the left", seconds=1.0, quality="draft")


@pytest.fixture(scope="module")
def pipeline(model_folder: Path) -> Pipeline:
    return kinora.load(str(model_folder), device="cpu")


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Soft random colours."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((height // 4, width // 4, 1), dtype=np.uint8))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def keyframe(seed: int, at: float | None = 0.0) -> Keyframe:
    return Keyframe(still=Still.of(picture(seed), f"{seed}.png"), at=at)


def footage(frames: int, seed: int = 3) -> Footage:
    shift = [np.roll(picture(seed), f, axis=1) for f in range(frames)]
    return Footage.of(Clip(frames_FHWC=np.stack(shift), frame_rate=16.0), "old.mp4")


def test_first_last_and_middle_pictures_are_met(pipeline: Pipeline) -> None:
    request = replace(DRAFT, seconds=2.0, conditions=(keyframe(1), keyframe(2, at=1.0), keyframe(3, at=None)))
    frames = pipeline.generate(request).frames_FHWC
    for index, seed in ((0, 1), (16, 2), (32, 3)):
        assert difference(frames[index], picture(seed)) < 6, index
    assert difference(frames[8], frames[0]) > 8
    assert difference(frames[8], frames[16]) > 8


def test_a_picture_of_another_shape_is_cropped_or_padded(pipeline: Pipeline) -> None:
    wide = np.concatenate([np.zeros((64, 64, 3), np.uint8), picture(4), np.zeros((64, 64, 3), np.uint8)], axis=1)
    cropped, padded = (
        pipeline.generate(
            replace(DRAFT, seconds=0.25, conditions=(Keyframe(still=Still.of(wide), fit=fit),))
        ).frames_FHWC[0]
        for fit in ("crop", "pad")
    )
    assert difference(cropped, picture(4)) < 4
    assert difference(padded, cropped) > 8


def test_a_static_brush_keeps_its_cells_and_a_stroke_carries_its_own(pipeline: Pipeline) -> None:
    inside, still = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    inside[16:32, 0:16] = True
    still[48:] = True
    stroke = Stroke(mask=Mask.of(inside), points=((0.125, 0.375), (0.875, 0.375)))
    brush = Brush(strokes=(stroke,), static=Mask.of(still))
    rgb = picture(5)
    rgb[16:32, 0:16] = 255
    frames = pipeline.generate(
        replace(DRAFT, seconds=2.0, conditions=(Keyframe(still=Still.of(rgb)), brush))
    ).frames_FHWC
    assert np.abs(frames[-1, 48:].astype(int) - rgb[48:]).max() <= 2, "not even the codec has touched it"
    request = replace(DRAFT, seconds=2.0, conditions=(Keyframe(still=Still.of(rgb)),))
    free = pipeline.generate(request).frames_FHWC
    arrived, elsewhere = (made[-4:, 18:30, 50:62].astype(float).mean() for made in (frames, free))
    assert arrived > elsewhere, "the white square is dragged to the right rim"


def test_a_camera_without_a_picture_imagines_one_first(pipeline: Pipeline) -> None:
    request = replace(DRAFT, conditions=(Moves(move=CameraMove(pan=5.0)),))
    plan = pipeline.plan(request)
    assert plan.picture_first
    assert "pan=5" in str(plan)
    assert pipeline.generate(request).shape == plan.pixels
    picture = pipeline.model.preset.sampling_for("draft").calls("picture")
    assert plan.forwards == pipeline.plan(DRAFT).forwards + picture


def test_a_camera_moves_the_picture_the_way_it_was_told(pipeline: Pipeline) -> None:
    """Whatever the model makes of it, what it starts from lies where the camera now sees it."""
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, 24:40] = 255
    centres = []
    for pan in (-8.0, 8.0):
        request = replace(
            DRAFT, seconds=2.0, conditions=(Keyframe(still=Still.of(rgb)), Moves(move=CameraMove(pan=pan)))
        )
        light = pipeline.generate(request).frames_FHWC[-4:].astype(float).mean(axis=(0, 1, 3))
        centres.append((light * np.arange(64)).sum() / light.sum())
    assert centres[0] > centres[1] + 2, "a camera that turns left sees things move right"


def test_everything_outside_a_region_stays_to_the_pixel(pipeline: Pipeline) -> None:
    inside = np.zeros((64, 64), bool)
    inside[16:48, 16:48] = True
    old = footage(38)
    clip = pipeline.generate(replace(DRAFT, conditions=(Region(footage=old, mask=Mask.of(inside)),)))
    assert clip.shape.frames == 38
    assert (clip.frames_FHWC[:, ~inside] == old.clip.frames_FHWC[:, ~inside]).all()
    assert difference(clip.frames_FHWC[:, 24:40, 24:40], old.clip.frames_FHWC[:, 24:40, 24:40]) > 5


def test_a_long_region_keeps_its_surroundings_through_every_segment(pipeline: Pipeline) -> None:
    inside = np.zeros((64, 64), bool)
    inside[:32] = True
    old = footage(101)
    request = replace(DRAFT, conditions=(Region(footage=old, mask=Mask.of(inside)),))
    assert len(pipeline.plan(request).segments) > 1
    clip = pipeline.generate(request)
    assert clip.shape.frames == 101
    assert (clip.frames_FHWC[:, 32:] == old.clip.frames_FHWC[:, 32:]).all()


def speech(seconds: float, old: Footage | None = None) -> Speech:
    mouth = np.zeros((int(16 * seconds), 4), np.float32)
    mouth[::2, 0] = 0.9
    voice = Voice.of(VisemeTrack(mouth_F4=mouth, frame_rate=16.0))
    return Speech(voice=voice, face=Face(track=((0.0, 0.5, 0.4, 0.12),)), footage=old)


def test_speech_changes_only_the_mouth_of_footage(pipeline: Pipeline) -> None:
    old = footage(33)
    clip = pipeline.generate(replace(DRAFT, conditions=(speech(2.0, old),)))
    changed = (clip.frames_FHWC != old.clip.frames_FHWC).any(axis=(0, 3))
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows.size
    assert rows.min() >= 6
    assert rows.max() <= 52, "the mouth's box and a cell around it"
    assert columns.min() >= 6
    assert columns.max() <= 58


def test_a_track_matters_in_a_new_film(pipeline: Pipeline) -> None:
    spoken, quiet = (
        pipeline.generate(replace(DRAFT, conditions=conditions)).frames_FHWC
        for conditions in ((keyframe(6), speech(1.0)), (keyframe(6),))
    )
    assert (spoken[1:] != quiet[1:]).any()


def test_references_change_the_film_and_leave_its_length(pipeline: Pipeline) -> None:
    named = Reference(still=Still.of(picture(7)), name="mia")
    request = replace(DRAFT, prompt="@mia falls on the grass", conditions=(named,))
    clip = pipeline.generate(request)
    assert clip.shape == pipeline.plan(request).pixels
    other = replace(request, conditions=(replace(named, still=Still.of(picture(8))),))
    assert (pipeline.generate(other).frames_FHWC != clip.frames_FHWC).any()
    assert pipeline.plan(request).tokens == pipeline.plan(DRAFT).tokens + 4


@pytest.mark.parametrize(("prompt", "told"), [("@mia falls", "a person falls"), ("@mia在草地上跳", "一个人在草地上跳")])
def test_a_name_is_told_as_a_person(prompt: str, told: str) -> None:
    named = Reference(still=Still.of(picture(7)), name="mia")
    request = replace(DRAFT, prompt=prompt, conditions=(named,))
    assert plain_prompt(request.prompt, request) == told


def test_a_film_goes_on_from_footage_without_a_jump_in_what_is_known(pipeline: Pipeline) -> None:
    old = footage(50)
    request = replace(DRAFT, seconds=6.0, conditions=(Continue(footage=old),))
    plan = pipeline.plan(request)
    assert not plan.segments[0].alone
    clip = pipeline.generate(request)
    assert clip.shape.frames == plan.pixels.frames == 96


def test_a_film_grows_backward(pipeline: Pipeline) -> None:
    request = replace(DRAFT, seconds=6.0, conditions=(Continue(footage=footage(50), before=True),))
    plan = pipeline.plan(request)
    assert plan.backward
    assert len(plan.segments) == 2
    clip = pipeline.generate(request)
    assert clip.shape.frames == plan.pixels.frames
    assert abs(clip.seconds - 6.0) < 0.5
    pieces = [chunk.frames_FHWC for chunk in pipeline.stream(request)]
    assert (np.concatenate(pieces[::-1]) == clip.frames_FHWC).all()


@pytest.mark.parametrize(
    "conditions",
    [
        (),
        (Moves(move=CameraMove(roll=4.0)),),
        (Continue(footage=footage(30)),),
        (Continue(footage=footage(30), before=True),),
    ],
    ids=["new", "camera", "after", "before"],
)
def test_a_film_goes_on_from_its_memory_to_the_bit(pipeline: Pipeline, conditions: tuple) -> None:
    request = replace(DRAFT, seconds=12.0, conditions=conditions)
    whole = list(pipeline.stream(request))
    assert len(whole) >= 3
    for cut in range(len(whole) - 1):
        again = list(pipeline.stream(request, whole[cut].memory))
        assert len(again) == len(whole) - cut - 1
        for made, expected in zip(again, whole[cut + 1 :], strict=True):
            assert (made.frames_FHWC == expected.frames_FHWC).all()
            assert made.memory == expected.memory


def test_a_memory_does_not_grow_with_the_film(pipeline: Pipeline) -> None:
    sizes = [len(chunk.memory) for chunk in pipeline.stream(replace(DRAFT, seconds=25.0))]
    assert len(sizes) > 5
    assert max(sizes) <= 1.01 * sizes[1]


def test_a_damaged_memory_is_told(pipeline: Pipeline) -> None:
    memory = next(pipeline.stream(replace(DRAFT, seconds=6.0))).memory
    with pytest.raises(InputError, match="damaged"):
        list(pipeline.stream(replace(DRAFT, seconds=6.0), memory[: len(memory) // 2]))


def test_a_script_changes_the_prompt_where_it_says(pipeline: Pipeline) -> None:
    plain = replace(DRAFT, seconds=6.0)
    told = replace(plain, script=(Line(at=3.0, prompt="a blue cube falls"),))
    plan = pipeline.plan(told)
    assert [segment.prompt for segment in plan.segments] == [0, 1]
    steady = replace(told, script=(Line(at=3.0, prompt=DRAFT.prompt),))
    other, same = (pipeline.generate(request).frames_FHWC for request in (told, steady))
    assert (other[:45] == same[:45]).all(), "nothing changes before the line"
    assert (other[45:] != same[45:]).any()


def test_what_a_model_was_not_taught_is_refused_by_name(pipeline: Pipeline) -> None:
    plain = replace(pipeline.model.preset, obeys=frozenset({"keyframes"}))
    limited = Pipeline(replace(pipeline.model, preset=plain))
    with pytest.raises(InputError, match=r"not made to follow camera moves; it follows keyframes"):
        limited.plan(replace(DRAFT, conditions=(Moves(move=CameraMove(pan=1.0)),)))
    assert limited.generate(replace(DRAFT, seconds=0.25, conditions=(keyframe(1),))).shape.frames == 5


def test_footage_of_another_rate_or_too_short_is_refused(pipeline: Pipeline) -> None:
    fast = Footage.of(replace(footage(20).clip, frame_rate=30.0), "fast.mp4")
    with pytest.raises(InputError, match=r"fast.mp4 has 30 frames a second"):
        pipeline.plan(replace(DRAFT, conditions=(Continue(footage=fast),)))
    with pytest.raises(InputError, match=r"has 3 frames; 5 are needed"):
        pipeline.plan(replace(DRAFT, conditions=(Continue(footage=footage(3)),)))
    with pytest.raises(InputError, match="grows backward takes no camera moves"):
        conditions = (Continue(footage=footage(30), before=True), Moves(move=CameraMove(pan=1.0)))
        pipeline.plan(replace(DRAFT, conditions=conditions))


def test_conditions_compose(pipeline: Pipeline) -> None:
    inside = np.zeros((64, 64), bool)
    inside[0:16, 0:16] = True
    brush = Brush(strokes=(Stroke(mask=Mask.of(inside), points=((0.1, 0.1), (0.5, 0.1))),))
    conditions = (keyframe(9), brush, Moves(move=CameraMove(zoom=-4.0)), speech(1.0))
    request = replace(DRAFT, conditions=conditions)
    every = pipeline.generate(request).frames_FHWC
    for index in range(1, len(conditions)):
        fewer = conditions[:index] + conditions[index + 1 :]
        assert (pipeline.generate(replace(request, conditions=fewer)).frames_FHWC != every).any()


def test_numbers_that_are_none_are_still_told(pipeline: Pipeline, model_folder: Path) -> None:
    spoiled = kinora.load(str(model_folder), device="cpu")
    with torch.no_grad():
        spoiled.model.transformer.head.head.weight.fill_(float("nan"))
    with pytest.raises(WeightsError):
        list(spoiled.stream(DRAFT))


def test_footage_is_laid_whole_into_another_shape(pipeline: Pipeline) -> None:
    """Outpainting: a mask of the film's own size over footage of another."""
    old = footage(21)
    outside = np.ones((64, 96), bool)
    outside[:, 16:80] = False
    region = Region(footage=old, mask=Mask.of(outside))
    clip = pipeline.generate(replace(DRAFT, aspect="16:9", conditions=(region,)))
    assert clip.shape.width == 96
    assert (clip.frames_FHWC[:, :, 16:80] == old.clip.frames_FHWC).all()


def test_a_long_film_may_be_anchored_in_its_first_picture(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[LatentState] = []
    original = Imagining.latents

    def keep(self: Imagining, start: LatentState, *told: Any) -> torch.Tensor:
        starts.append(start)
        return original(self, start, *told)

    monkeypatch.setattr(Imagining, "latents", keep)
    anchored = Pipeline(replace(pipeline.model, preset=replace(pipeline.model.preset, anchor_gap=4)))
    request = replace(DRAFT, seconds=9.0, script=(Line(at=6.0, prompt="a blue cube falls"),))
    clip = anchored.generate(request)
    first, second, changed, after = starts
    assert second.position_BT[0, :2].tolist() == [0.0, 5.0]
    assert second.position_BT.max() <= 20
    with torch.no_grad():
        frame = pipeline.model.codec.encode(video_from_frames(torch.from_numpy(clip.frames_FHWC[None, :1])))
    assert torch.allclose(second.clean_BCTHW[:, :, :1], frame, atol=1e-4), "the film's first picture"
    assert torch.allclose(changed.clean_BCTHW[:, :, :1], frame, atol=1e-4), "still, as the new prompt begins"
    assert not torch.allclose(after.clean_BCTHW[:, :, :1], frame, atol=1e-4), "then one that the new prompt made"
    assert first.position_BT[0].tolist() == list(range(21))
    moving = replace(DRAFT, seconds=9.0, conditions=(Moves(move=CameraMove(pan=2.0)),))
    assert all(segment.gap == 0 for segment in anchored.plan(moving).segments)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"seconds": 0.9, "conditions": (keyframe(1, at=0.65), keyframe(2, at=None))},
            r"at 0.65 s and at the end fall into one step of 0.25 s",
        ),
        ({"script": (Line(at=0.5, prompt="a"), Line(at=0.6, prompt="b"))}, r"prompt at 0.6 s has no time of its own"),
        ({"script": (Line(at=0.01, prompt="a"),)}, r"prompt at 0.01 s has no time of its own"),
    ],
    ids=["keyframes", "lines", "at once"],
)
def test_what_would_fall_into_one_step_is_refused(pipeline: Pipeline, changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        pipeline.plan(replace(DRAFT, **changes))


def test_a_mask_that_is_cropped_away_is_told_before_the_work(pipeline: Pipeline) -> None:
    wide = np.concatenate([picture(1), picture(2), picture(3)], axis=1)
    inside = np.zeros(wide.shape[:2], bool)
    inside[10:40, 4:30] = True
    brush = Brush(strokes=(Stroke(mask=Mask.of(inside, "left.png"), points=((0.1, 0.5), (0.2, 0.5))),))
    conditions = (Keyframe(still=Still.of(wide)), brush)
    with pytest.raises(InputError, match=r"Nothing of left.png is left in a film of 64 x 64"):
        pipeline.plan(replace(DRAFT, conditions=conditions))
    padded = (Keyframe(still=Still.of(wide), fit="pad"), brush)
    assert pipeline.plan(replace(DRAFT, conditions=padded)).segments


def test_a_region_of_another_size_is_refused(pipeline: Pipeline) -> None:
    region = Region(footage=footage(21), mask=Mask.of(np.ones((32, 40), bool), "m.png"))
    with pytest.raises(InputError, match=r"m.png is 40 x 32; .* 64 x 64, or the film's, 64 x 64"):
        pipeline.plan(replace(DRAFT, conditions=(region,)))


def test_growing_backward_adds_about_what_was_asked(pipeline: Pipeline) -> None:
    for seconds in (1.0, 5.0, 10.0, 30.0):
        request = replace(DRAFT, seconds=seconds, conditions=(Continue(footage=footage(50), before=True),))
        assert abs(pipeline.plan(request).pixels.frames / 16.0 - seconds) < 0.3


def test_what_begins_to_show_something_else_is_not_held(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[LatentState] = []
    original = Imagining.latents

    def keep(self: Imagining, start: LatentState, *told: Any) -> torch.Tensor:
        starts.append(start)
        return original(self, start, *told)

    monkeypatch.setattr(Imagining, "latents", keep)
    held = pipeline.model.preset.hold
    assert held < 1
    request = replace(DRAFT, seconds=11.0, script=(Line(at=6.0, prompt="a blue cube falls"),))
    pipeline.generate(request)
    assert [bool(start.cap_BTHW[0, -1].max() < 1) for start in starts] == [False, True, False, True]
    for told, level in ((DRAFT.prompt, held), ("", held), ("a blue cube", 1.0)):
        starts.clear()
        pipeline.generate(replace(DRAFT, seconds=3.0, conditions=(Continue(footage=footage(30), told=told),)))
        assert float(starts[0].cap_BTHW[0, -1].max()) == pytest.approx(level), told


def test_between_two_pictures_the_film_starts_from_their_dissolve(pipeline: Pipeline) -> None:
    black, white = (Still.of(np.full((64, 64, 3), level, np.uint8)) for level in (0, 200))
    request = replace(DRAFT, seconds=2.0, conditions=(Keyframe(still=black), Keyframe(still=white, at=None)))
    plan = pipeline.plan(request)
    given = Given(plan, 4, hold=0.5)
    guide = given.guide(Span.of(plan.segments[0], plan, 4), given.pictures[0])
    assert guide is not None
    levels = guide.frames_FHW3.mean(axis=(1, 2, 3))
    assert levels[0] == 0
    assert levels[-1] == 200
    assert (np.diff(levels) > 0).all()
