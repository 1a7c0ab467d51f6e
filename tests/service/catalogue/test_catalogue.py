"""Models of a service: cards from manifests, names people ask for, plans without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinora.core.conditions import Keyframe
from kinora.core.errors import InputError, ShapeError, WeightsError
from kinora.core.materials import Still
from kinora.core.request import Request
from kinora.presets.places import MODELS_VARIABLE
from kinora.service.catalogue import STUB, Catalogue
from kinora.service.errors import Missing

IN_A_PROCESS_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from kinora.core.request import Request
from kinora.service.catalogue import Catalogue
from kinora.service.prices import price
catalogue = Catalogue(("tiny", "stub"))
plan = catalogue.plan(Request(prompt="a ball"), catalogue.default)
print(plan.pixels.frames, price("text_to_video", catalogue.default, plan, "standard"))
"""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(("tiny", "stub"))


def test_a_card_says_what_the_manifest_says(catalogue: Catalogue) -> None:
    card = catalogue.card("tiny")
    assert card.sizes == {"1:1": (256, 256), "16:9": (320, 192), "9:16": (192, 320)}
    assert card.frame_rate == 16.0
    assert card.qualities == ("draft", "standard", "pro")
    assert "continuation" in card.obeys
    assert card.needs == ()
    assert card.window_seconds == pytest.approx(81 / 16)
    assert card.most_seconds == 600.0
    assert len(card.version) == 64


def test_the_plan_is_the_pipeline_s_own(catalogue: Catalogue) -> None:
    from kinora.pipeline import load_pipeline

    request = Request(prompt="a red ball rolls", seconds=7.0, quality="draft")
    card = catalogue.card("tiny")
    own = load_pipeline("tiny", device="cpu")
    assert own.facts == card.facts
    assert catalogue.plan(request, card) == own.plan(request)


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.1-i2v-14b-480p", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b"])
def test_open_weights_have_cards_of_the_same_facts_as_the_model(
    wan_model: Callable[..., Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kinora.pipeline.model import load_model

    folder = wan_model(name)
    (tmp_path / name).symlink_to(folder)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    card = Catalogue((name,)).default
    model = load_model(folder, device="cpu")
    assert card.facts == model.facts
    assert card.facts.compression == model.codec.config.compression
    assert card.preset == model.preset
    assert card.most_seconds == (600.0 if "continuation" in card.obeys else card.window_seconds)


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "  ",
        "kling-v1-6",
        "kling-v2-master",
        "Kling-V1",
        "kolors-v2-1",
        "sora-2",
        "gpt-image-1",
        "dall-e-3",
        "veo-3",
    ],
)
def test_names_of_vendors_mean_the_default(catalogue: Catalogue, asked: str) -> None:
    assert catalogue.resolve(asked).name == "tiny"


def test_a_served_name_goes_first(catalogue: Catalogue) -> None:
    assert catalogue.resolve("stub") is STUB
    assert catalogue.resolve("tiny").name == "tiny"


def test_another_name_is_missing_and_the_served_ones_are_told(catalogue: Catalogue) -> None:
    with pytest.raises(Missing, match=r"no model 'huge' here; this service has tiny, stub"):
        catalogue.resolve("huge")
    with pytest.raises(Missing):
        catalogue.card("kling-v1")


def test_models_that_are_not_there_are_told_when_the_service_starts(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model"):
        Catalogue(("nowhere",))
    with pytest.raises(WeightsError, match="needs a model"):
        Catalogue(())


def test_a_manifest_without_a_transformer_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(model_folder, folder)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"transformer": {', '"other": {'))
    with pytest.raises(WeightsError, match="transformer"):
        Catalogue((str(folder),))


def test_plans_refuse_what_the_model_cannot(catalogue: Catalogue) -> None:
    with pytest.raises(ShapeError):
        catalogue.plan(Request(prompt="a ball", size=(100, 100)), catalogue.default)
    picture = Keyframe(still=Still.unseen("a.png", "0" * 64), at=0.0)
    with pytest.raises(InputError, match="references only"):
        catalogue.plan(Request(prompt="a ball", conditions=(picture,)), catalogue.default, images=1)


def test_the_stub_s_films_are_as_long_as_asked_for(catalogue: Catalogue) -> None:
    for seconds in (1.0, 5.0, 10.0, 600.0):
        plan = catalogue.plan(Request(prompt="a ball", seconds=seconds), STUB)
        assert plan.pixels.seconds(plan.frame_rate) == pytest.approx(seconds, abs=0.5)
        assert len(plan.segments) == 1
    assert replace(STUB, name="x") != STUB


def test_it_plans_and_prices_without_torch() -> None:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_PROCESS_WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert found.stderr == ""
    assert found.stdout.split() == ["81", "30"]
