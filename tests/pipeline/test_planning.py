"""Plans: arithmetic without a model in memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from kinora.core.errors import InputError, ShapeError
from kinora.core.request import QUALITIES, Request
from kinora.core.shapes import Compression, LatentShape, PixelShape
from kinora.pipeline.planning import ModelFacts, plan_film, plan_image
from kinora.presets import PRESETS, preset_for, tiny

FACTS = ModelFacts(
    name="tiny",
    sizes={"1:1": (256, 256), "16:9": (320, 192)},
    frame_rate=16.0,
    compression=Compression(),
    patch=2,
    width=320,
    layers=10,
    ffn_width=1280,
    parameter_bytes=40_000_000,
)


def test_five_seconds_are_81_frames_and_1344_tokens() -> None:
    plan = plan_film(Request(prompt="x"), FACTS, tiny())
    assert plan.pixels == PixelShape(frames=81, height=256, width=256)
    assert plan.latent == LatentShape(frames=21, height=16, width=16)
    assert plan.tokens == 1344
    assert len(plan.segments) == 1


def test_wide_pictures_are_wider_than_high() -> None:
    plan = plan_film(Request(prompt="x", aspect="16:9"), FACTS, tiny())
    assert (plan.pixels.width, plan.pixels.height) == (320, 192)
    assert plan.tokens == 21 * 6 * 10


def test_an_aspect_without_a_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="no 9:16"):
        plan_film(Request(prompt="x", aspect="9:16"), FACTS, tiny())


def test_a_longer_film_keeps_the_window_full_and_costs_more() -> None:
    short, long = (plan_film(Request(prompt="x", seconds=seconds), FACTS, tiny()) for seconds in (5.0, 10.0))
    assert long.pixels.frames == 161
    assert long.tokens == short.tokens
    assert long.forwards == 3 * short.forwards
    assert long.seconds_expected > 2 * short.seconds_expected


def test_the_cost_is_the_arithmetic_of_the_layers() -> None:
    tokens, width, layers, ffn = 100, 320, 10, 1280
    matrices = 2 * tokens * layers * (4 * width**2 + 2 * width**2 + 2 * width * ffn)
    attention = layers * 2 * (2 * tokens * tokens * width)
    assert FACTS.forward_operations(tokens) == matrices + attention


def test_quality_buys_steps() -> None:
    steps = [plan_film(Request(prompt="x", quality=quality), FACTS, tiny()).steps for quality in QUALITIES]
    assert steps == sorted(set(steps))


def test_without_guidance_half_the_work() -> None:
    preset = tiny()
    plain = replace(preset, sampling={"standard": replace(preset.sampling["standard"], guidance=1.0)})
    request = Request(prompt="x")
    assert 2 * plan_film(request, FACTS, plain).forwards == plan_film(request, FACTS, preset).forwards


def test_a_picture_is_one_latent_frame() -> None:
    plan = plan_image(Request(prompt="x", seconds=30.0), FACTS, tiny())
    assert plan.latent.frames == plan.pixels.frames == 1
    assert plan.tokens == 64


def test_every_preset_knows_every_quality() -> None:
    for name, build in PRESETS.items():
        preset = build()
        assert preset.name == name
        assert tuple(preset.sampling) == QUALITIES
        assert preset.history < preset.window - 1
    with pytest.raises(InputError, match="draft"):
        tiny().sampling_for("best")
    assert preset_for("my own model") == tiny()


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.util, pathlib, kinora\n"
        "from kinora.presets import tiny\n"
        "path = pathlib.Path(kinora.__file__).parent / 'pipeline' / 'planning.py'\n"
        "spec = importlib.util.spec_from_file_location('planning', path)\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['planning'] = module\n"
        "spec.loader.exec_module(module)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
