"""Plans: arithmetic without a model in memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.conditions import Continue, Keyframe
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Footage, Still
from kinora.core.plan import Plan
from kinora.core.request import QUALITIES, Request
from kinora.core.shapes import Compression, LatentShape, PixelShape
from kinora.pipeline.planning import ModelFacts, plan_film, plan_image
from kinora.presets import PRESETS, preset_for, tiny
from kinora.presets.wan import OPEN_MODELS

FACTS = ModelFacts(
    name="tiny",
    sizes={"1:1": (256, 256), "16:9": (320, 192)},
    frame_rate=16.0,
    compression=Compression(),
    patch=2,
    width=320,
    layers=10,
    ffn_width=1280,
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
    free = replace(tiny(), hold=1.0)
    short, long = (plan_film(Request(prompt="x", seconds=seconds), FACTS, free) for seconds in (5.0, 10.0))
    assert long.pixels.frames == 161
    assert long.tokens == short.tokens
    assert long.forwards == 3 * short.forwards
    assert long.seconds_expected > 2 * short.seconds_expected


def test_windows_that_hold_to_a_picture_take_the_steps_below_its_level_alone() -> None:
    """Of 16 steps at shift 5 five begin at 0.92 or above, with two calls each; three end below level 0.5."""
    still = Keyframe(still=Still.of(np.zeros((8, 8, 3), np.uint8), name="black.png"))
    first = plan_film(Request(prompt="x"), FACTS, tiny()).forwards
    calls = {
        "longer": plan_film(Request(prompt="x", seconds=10.0), FACTS, tiny()).forwards - first,
        "pictured": plan_film(Request(prompt="x", conditions=(still,)), FACTS, tiny()).forwards,
    }
    assert first == 2 * 5 + 11
    assert calls == {"longer": 2 * 3, "pictured": 3}


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
    guided, plain = (
        replace(preset, sampling={"standard": replace(preset.sampling["standard"], guidance=scale, guidance_floor=0.0)})
        for scale in (6.0, 1.0)
    )
    request = Request(prompt="x")
    assert 2 * plan_film(request, FACTS, plain).forwards == plan_film(request, FACTS, guided).forwards


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


# Published models

WAN = replace(
    FACTS, name="wan", sizes={"1:1": (624, 624)}, compression=Compression(time=4, space=8), width=1536, layers=30,
    ffn_width=8960, most_pixels=1280 * 960,
)  # fmt: skip
FIRST, LAST = (Keyframe(still=Still.of(np.zeros((8, 8, 3), np.uint8)), at=at) for at in (0.0, None))


def planned(name: str, **asked: Any) -> Plan:
    return plan_film(Request(prompt="x", **asked), WAN, OPEN_MODELS[name].preset)


def test_a_model_that_draws_any_size_is_asked_for_one() -> None:
    pixels = planned("wan2.1-t2v-1.3b", size=(832, 480)).pixels
    assert (pixels.width, pixels.height) == (832, 480)


@pytest.mark.parametrize(
    ("facts", "size", "says"),
    [
        (WAN, (830, 480), r"multiples of 16; 830x480 is not one. Near it is 832x480"),
        (WAN, (1600, 1600), r"at most 1228800 pixels; 1600x1600 are 2560000"),
        (FACTS, (64, 64), r"tiny draws pictures of 256x256, 320x192, not of 64x64"),
    ],
)
def test_a_size_that_cannot_be_is_refused(facts: ModelFacts, size: tuple[int, int], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        plan_film(Request(prompt="x", size=size), facts, tiny())


def test_the_bundled_model_takes_its_own_sizes_by_number_too() -> None:
    assert plan_film(Request(prompt="x", size=(320, 192)), FACTS, tiny()).pixels.width == 320


@pytest.mark.parametrize(
    ("name", "conditions", "says"),
    [
        ("wan2.1-t2v-1.3b", (FIRST,), r"was not made to follow a first picture; it follows prompts alone"),
        ("wan2.2-ti2v-5b", (FIRST, LAST), r"to follow a last picture; it follows continuation, a first picture"),
        ("wan2.1-i2v-14b-480p", (), r"needs a first picture; give --image"),
        ("wan2.1-flf2v-14b", (FIRST,), r"also needs a last picture; give --end-image"),
        ("wan2.1-flf2v-14b", (), r"give --image and --end-image"),
    ],
)
def test_open_weights_obey_only_what_they_were_trained_for(name: str, conditions: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        planned(name, conditions=conditions)


def test_what_an_image_model_needs_may_be_the_end_of_a_film() -> None:
    old = Footage.of(Clip(frames_FHWC=np.zeros((21, 624, 624, 3), np.uint8), frame_rate=16.0))
    plan = planned("wan2.1-i2v-14b-480p", seconds=10.0, conditions=(Continue(footage=old),))
    assert all((segment.known, segment.anchors) == (0, 1) for segment in plan.segments)
    assert sum(segment.new for segment in plan.segments) == plan.latent.frames
    with pytest.raises(InputError, match="cannot make what came before"):
        planned("wan2.1-i2v-14b-480p", conditions=(Continue(footage=old, before=True),))


def test_a_model_that_cannot_go_on_says_how_long_its_films_are() -> None:
    assert len(planned("wan2.1-t2v-1.3b", seconds=5.0).segments) == 1
    with pytest.raises(InputError, match=r"at most 5.06 s"):
        planned("wan2.1-t2v-1.3b", seconds=6.0)
    longer = planned("wan2.2-ti2v-5b", seconds=20.0, conditions=(FIRST,))
    assert [segment.known for segment in longer.segments] == [0] * len(longer.segments)
    assert max(segment.new + segment.anchors for segment in longer.segments) <= 31
