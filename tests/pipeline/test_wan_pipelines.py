"""Whole films of published models, ten steps from the same noise, beside what diffusers makes of the same files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from kinora.core.conditions import Keyframe
from kinora.core.materials import Still
from kinora.core.request import Request
from kinora.flow.schedule import diffusers_schedule
from kinora.flow.state import LatentState
from kinora.pipeline import Pipeline, load_pipeline
from kinora.pipeline import imagining as imagining_module
from kinora.pipeline.imagining import Imagining
from kinora.presets.preset import Preset
from kinora.presets.recognise import recognise
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.manifest import MANIFEST_NAME, Manifest

STEPS = 10
PROMPT = "a red ball rolls on sand 红色的球"
SMALL = {"1:1": (64, 64), "16:9": (64, 96), "9:16": (96, 64)}
WithWeights = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """diffusers and transformers warn of their own futures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def picture(seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)


def in_store(folder: Path, published: Path, name: str) -> Path:
    """A manifest for files on disk, of a model that draws small pictures."""
    found = recognise(published, called=name)
    model = OPEN_MODELS[name]
    manifest = Manifest(
        name=name, world="", frame_rate=model.frame_rate, sizes=SMALL, parts=found.parts, family="wan",
        preset=found.preset, home=str(found.home), files=found.files,
    )  # fmt: skip
    folder.mkdir()
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return folder


def ten_steps(preset: Preset) -> Preset:
    return replace(preset, sampling={"draft": replace(preset.sampling["draft"], steps=STEPS)})


def asked_for(preset: Preset, *, first: bool) -> Request:
    conditions: tuple[Keyframe, ...] = ()
    if first:
        conditions = (Keyframe(still=Still.of(picture(1))),)
    if "a last picture" in preset.needs:
        conditions = (*conditions, Keyframe(still=Still.of(picture(2)), at=None))
    return Request(prompt=PROMPT, seconds=0.5, quality="draft", seed=3, conditions=conditions)


def theirs(folder: Path, preset: Preset, noise: torch.Tensor, image_BLD: torch.Tensor | None, *, first: bool) -> Any:
    """The latents that diffusers' pipeline makes."""
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline
    from diffusers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pipeline = (WanImageToVideoPipeline if first else WanPipeline).from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    sampling = preset.sampling["draft"]
    pipeline.scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=sampling.shift
    )
    told: dict[str, Any] = {}
    if first:
        told["image"] = Image.fromarray(picture(1))
        if "a last picture" in preset.needs:
            told["last_image"] = Image.fromarray(picture(2))
        if image_BLD is not None:
            # diffusers cuts the middle out of a picture where Wan squeezes it; the rest is to be compared.
            pictures = 1 + ("last_image" in told)
            tokens_BLD = image_BLD.view(pictures, -1, image_BLD.shape[2])
            pipeline.encode_image = lambda *_: tokens_BLD
    if sampling.low_guidance is not None:
        told["guidance_scale_2"] = sampling.low_guidance
    frames = 1 + 4 * (noise.shape[2] - 1)
    return pipeline(
        prompt=PROMPT, negative_prompt=preset.negative, height=64, width=64, num_frames=frames, latents=noise.clone(),
        num_inference_steps=STEPS, guidance_scale=sampling.guidance, output_type="latent", **told,
    ).frames  # fmt: skip


def ours(pipeline: Pipeline, request: Request, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The latents of a film, the noise it began with, and the image tokens it was shown."""
    seen: list[tuple[Any, ...]] = []
    original = Imagining.latents

    def keep(self: Imagining, start: LatentState, conditions: Any, walk: Any) -> torch.Tensor:
        latent_BCTHW = original(self, start, conditions, walk)
        seen.append((latent_BCTHW.clone(), start.noise_BCTHW.clone(), conditions.image_BLD))
        return latent_BCTHW

    monkeypatch.setattr(Imagining, "latents", keep)
    monkeypatch.setattr(imagining_module, "wan_schedule", diffusers_schedule)
    pipeline.generate(request)
    return seen[0]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("wan2.1-t2v-1.3b", False),
        ("wan2.1-i2v-14b-480p", True),
        ("wan2.1-flf2v-14b", True),
        ("wan2.2-ti2v-5b", False),
        ("wan2.2-ti2v-5b", True),
        ("wan2.2-t2v-a14b", False),
        ("wan2.2-i2v-a14b", True),
    ],
)
def test_a_film_is_the_one_that_diffusers_makes(
    name: str, first: bool, write_wan: WithWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = write_wan(tmp_path / "published", name, "diffusers")
    model = load_pipeline(str(in_store(tmp_path / "model", published, name)), device="cpu").model
    preset = ten_steps(model.preset)
    pipeline = Pipeline(replace(model, preset=preset))
    latent_BCTHW, noise, image_BLD = ours(pipeline, asked_for(preset, first=first), monkeypatch)
    expected = theirs(published, preset, noise, image_BLD, first=first)
    error = (latent_BCTHW - expected).norm() / expected.norm()
    assert float(error) < 1e-4, f"relative error {float(error):.1e}"
    assert float(latent_BCTHW.std()) > 0.1


def test_boundary_of_the_diffusers_files_is_the_preset_s(write_wan: WithWeights, tmp_path: Path) -> None:
    for name in ("wan2.2-t2v-a14b", "wan2.2-i2v-a14b"):
        published = write_wan(tmp_path / name, name, "diffusers")
        told = json.loads((published / "model_index.json").read_text())["boundary_ratio"]
        assert told == OPEN_MODELS[name].preset.boundary
