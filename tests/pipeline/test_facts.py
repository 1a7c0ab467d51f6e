"""What planning needs of a model comes from its manifest alone, and without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import kinora.pipeline
from kinora.core.errors import WeightsError
from kinora.pipeline.facts import facts_of
from kinora.pipeline.model import load_model
from kinora.weights.manifest import read_manifest

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import kinora.pipeline.planning
from kinora.pipeline.facts import facts_of
from kinora.presets import find_model
from kinora.weights.manifest import read_manifest
print(facts_of(read_manifest(find_model("tiny"))).sizes["1:1"])
try:
    kinora.pipeline.Pipeline
except ImportError:
    print("needs torch")
"""


def test_a_bundled_model_s_facts(model_folder: Path) -> None:
    model = load_model(model_folder, device="cpu")
    facts = facts_of(read_manifest(model_folder))
    assert facts == model.facts
    assert facts.compression == model.codec.config.compression
    assert facts.most_pixels == 0


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b"])
def test_open_weights_facts(wan_model: Callable[..., Path], name: str) -> None:
    folder = wan_model(name)
    model = load_model(folder, device="cpu")
    facts = facts_of(read_manifest(folder), "cpu")
    assert facts == model.facts
    assert facts.compression == model.codec.config.compression
    assert facts.width == model.transformer.config.width
    assert facts.most_pixels > 0


def test_a_manifest_of_another_version_is_refused(model_folder: Path) -> None:
    manifest = read_manifest(model_folder)
    for parts in (
        {},
        {**manifest.parts, "codec": {"kind": "wan99"}},
        {**manifest.parts, "codec": {}},
        {**manifest.parts, "transformer": {**manifest.parts["transformer"], "wings": 2}},
    ):
        with pytest.raises(WeightsError, match=r"small|wan99"):
            facts_of(replace(manifest, parts=parts))


def test_planning_needs_no_torch() -> None:
    found = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert found.stderr == ""
    assert found.stdout.splitlines() == ["(256, 256)", "needs torch"]


def test_the_package_offers_the_same_as_ever() -> None:
    assert kinora.pipeline.__all__ == ["Model", "OnProgress", "Pipeline", "Progress", "load_model", "load_pipeline"]
    for name in kinora.pipeline.__all__:
        assert getattr(kinora.pipeline, name) is not None
    with pytest.raises(AttributeError, match="Film"):
        kinora.pipeline.Film  # noqa: B018
