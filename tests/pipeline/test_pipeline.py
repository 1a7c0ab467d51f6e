"""From a sentence to frames, with a real (if ignorant) model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kinora
from kinora import Request
from kinora.codec import frames_from_video
from kinora.core.errors import Cancelled, PromptError, WeightsError
from kinora.flow.state import LatentState
from kinora.pipeline import Pipeline, Progress
from kinora.pipeline import pipeline as pipeline_module
from kinora.pipeline.imagining import Imagining

DRAFT = Request(prompt="a red ball rolls to the left", seconds=1.0, quality="draft")


@pytest.fixture(scope="module")
def pipeline(model_folder: Path) -> Pipeline:
    return kinora.load(str(model_folder), device="cpu")


def test_a_sentence_becomes_a_clip(pipeline: Pipeline) -> None:
    clip = pipeline.generate("a red ball")
    assert (clip.shape.frames, clip.shape.height, clip.shape.width, clip.frame_rate) == (81, 64, 64, 16.0)


@pytest.mark.parametrize(("aspect", "size"), [("1:1", (64, 64)), ("16:9", (64, 96)), ("9:16", (96, 64))])
def test_the_clip_is_what_the_plan_says(pipeline: Pipeline, aspect: str, size: tuple[int, int]) -> None:
    request = replace(DRAFT, aspect=aspect, seconds=0.5)
    clip = pipeline.generate(request)
    assert clip.shape == pipeline.plan(request).pixels
    assert (clip.shape.height, clip.shape.width) == size


def test_same_seed_same_frames_and_another_seed_others(pipeline: Pipeline) -> None:
    first, again, other = (pipeline.generate(replace(DRAFT, seed=seed)).frames_FHWC for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).mean() > 0.5


def test_prompt_negative_and_quality_all_matter(pipeline: Pipeline) -> None:
    changes = ({}, {"prompt": "a blue cube falls"}, {"negative": "grass"}, {"quality": "standard"})
    films = [pipeline.generate(replace(DRAFT, **change)).frames_FHWC for change in changes]
    for film in films[1:]:
        assert (film != films[0]).mean() > 0.01


def test_an_empty_negative_is_no_text_at_all(pipeline: Pipeline) -> None:
    plan = pipeline.plan(DRAFT)
    resident = pipeline._placed(pipeline.rungs(plan)[0])
    ((with_text_BLD, without_BLD),) = pipeline._read(DRAFT, resident, pipeline_module._teller(plan, 1, None))
    assert with_text_BLD.abs().sum() > 0
    assert without_BLD.abs().sum() == 0


def test_frames_are_the_latents_decoded_as_one_clip(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """No seam: whatever the segments, the film is what the codec makes of all latents in one go."""
    made: list[torch.Tensor] = []
    original = Imagining.latents

    def keep(self: Imagining, start: LatentState, *told: Any) -> torch.Tensor:
        latent_BCTHW = original(self, start, *told)
        made.append(latent_BCTHW)
        return latent_BCTHW

    monkeypatch.setattr(Imagining, "latents", keep)
    request = replace(DRAFT, seconds=10.0)
    free = Pipeline(replace(pipeline.model, preset=replace(pipeline.model.preset, hold=1.0)))
    clip = free.generate(request)
    segments = free.plan(request).segments
    assert len(made) == len(segments) == 3
    whole = torch.cat([latent[:, :, -part.new :] for latent, part in zip(made, segments, strict=True)], dim=2)
    with torch.no_grad():
        expected = frames_from_video(pipeline.model.codec.decode(whole))[0].numpy()
    assert clip.shape.frames == 161
    assert np.abs(clip.frames_FHWC.astype(int) - expected.astype(int)).max() <= 1


def test_a_continuation_is_shown_what_exists(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    original = Imagining.latents

    def keep(self: Imagining, start: LatentState, *told: Any) -> torch.Tensor:
        latent_BCTHW = original(self, start, *told)
        starts.append((start, latent_BCTHW))
        return latent_BCTHW

    monkeypatch.setattr(Imagining, "latents", keep)
    clip = pipeline.generate(replace(DRAFT, seconds=10.0))
    (_, first), (second, _), _ = starts
    assert (second.clean_BCTHW[:, :, 1:11] == first[:, :, 11:21]).all(), "ten latent frames of history"
    video_BCFHW = torch.from_numpy(clip.frames_FHWC[None, 40:41]).permute(0, 4, 1, 2, 3) / 127.5 - 1.0
    with torch.no_grad():
        anchor = pipeline.model.codec.encode(video_BCFHW)
    assert torch.allclose(second.clean_BCTHW[:, :, :1], anchor, atol=1e-4), "the picture just before it"
    assert second.position_BT[0].tolist() == list(range(21))
    cap_T = second.cap_BTHW[0, :, 0, 0]
    assert torch.allclose(cap_T[:11], torch.tensor(pipeline.model.preset.history_cap))
    assert torch.allclose(cap_T[15:], torch.tensor(pipeline.model.preset.hold)), "free, but for what it is held to"
    assert (cap_T[11:15].diff() > 0).all(), "and that is let go bit by bit"
    assert (second.noise_BCTHW != starts[0][0].noise_BCTHW).all(), "each segment has noise of its own"


def test_progress_tells_every_stage_to_its_end(pipeline: Pipeline) -> None:
    heard: list[Progress] = []
    pipeline.generate(DRAFT, on_progress=heard.append)
    done = [event.done for event in heard]
    assert done == sorted(set(done)), "every event tells of more"
    assert (done[0], done[-1]) == (0, heard[-1].total)
    assert list(dict.fromkeys(event.stage for event in heard)) == ["read", "imagine", "draw"]
    assert heard[-1].seconds_left == 0.0


def test_a_listener_can_stop_the_work(pipeline: Pipeline) -> None:
    heard: list[Progress] = []

    def stop(event: Progress) -> None:
        heard.append(event)
        if event.stage == "imagine":
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        pipeline.generate(DRAFT, on_progress=stop)
    assert heard[-1].done == 2


def test_pictures_are_the_same_alone_and_together(pipeline: Pipeline) -> None:
    together = pipeline.image(replace(DRAFT, seed=8), n=3)
    assert [picture.shape for picture in together] == [(64, 64, 3)] * 3
    (alone,) = pipeline.image(replace(DRAFT, seed=10))
    assert (together[2] == alone).all()
    assert (together[0] != together[1]).any()


def test_the_last_seed_counts_on_from_zero(pipeline: Pipeline) -> None:
    last, zero = pipeline.image(replace(DRAFT, seed=2**31 - 1), n=2)
    assert (zero == pipeline.image(replace(DRAFT, seed=0))[0]).all()
    assert (last != zero).any()


def test_a_prompt_of_too_many_tokens_is_refused_before_the_work(pipeline: Pipeline) -> None:
    def nobody(_event: Progress) -> None:
        raise AssertionError("work began")

    with pytest.raises(PromptError, match="tokens"):
        pipeline.generate("red " * 60, on_progress=nobody)


def test_unknown_words_are_told(pipeline: Pipeline) -> None:
    report = pipeline.check("a red zebra rolls")
    assert report.unknown == ("zebra",)
    assert "red" in report.known


def test_a_recipe_holds_everything_but_the_device(pipeline: Pipeline) -> None:
    recipe = pipeline.recipe(DRAFT, kind="film")
    assert (recipe.model, recipe.request, recipe.kinora) == ("small", DRAFT, kinora.__version__)
    assert len(recipe.weights) == 64


def test_the_random_state_of_the_caller_is_left_alone(pipeline: Pipeline) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    pipeline.generate(DRAFT)
    assert (torch.random.get_rng_state() == before).all()


def test_weights_that_give_no_numbers_are_told(model_folder: Path) -> None:
    spoiled = kinora.load(str(model_folder), device="cpu")
    with torch.no_grad():
        spoiled.model.transformer.head.head.weight.fill_(float("nan"))
    with pytest.raises(WeightsError, match="no numbers"):
        spoiled.generate(DRAFT)


def test_bfloat16_gives_nearly_the_same_film(pipeline: Pipeline) -> None:
    half = Pipeline(replace(pipeline.model, dtype=torch.bfloat16))
    request = replace(DRAFT, seconds=0.25)
    exact, near = (made.generate(request).frames_FHWC.astype(int) for made in (pipeline, half))
    error = np.abs(exact - near).mean()
    assert 0 < error < 8
