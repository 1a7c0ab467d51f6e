"""Models are found, checked to the bit, and refused with a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinora.core.errors import InputError, WeightsError
from kinora.pipeline.model import load_model, weights_hash
from kinora.pipeline.precision import compute_dtype
from kinora.presets import find_model


@pytest.fixture
def spoiled(model_folder: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], Path]:
    """`spoiled(change)`: a copy of the model that `change` has been at."""

    def spoil(change: Callable[[Path], None]) -> Path:
        folder = tmp_path / "spoiled"
        shutil.copytree(model_folder, folder)
        change(folder)
        return folder

    return spoil


Spoiled = Callable[[Callable[[Path], None]], Path]


def test_a_model_comes_back_whole_and_ready(model_folder: Path) -> None:
    model = load_model(model_folder, device="cpu")
    assert not model.transformer.training
    assert not any(tensor.requires_grad for tensor in model.transformer.parameters())
    assert model.facts.sizes == {"1:1": (64, 64), "16:9": (96, 64), "9:16": (64, 96)}
    counted = sum(part.numel() for part in model.transformer.parameters())
    assert model.parts.by_name["transformer"].parameters == counted
    assert torch.get_float32_matmul_precision() == "medium"


def test_a_flipped_bit_names_its_shard(spoiled: Spoiled) -> None:
    def flip(folder: Path) -> None:
        shard = next(folder.glob("*.safetensors"))
        content = bytearray(shard.read_bytes())
        content[-3] ^= 1
        shard.write_bytes(content)

    with pytest.raises(WeightsError, match=r"shard-000\.safetensors .* damaged"):
        load_model(spoiled(flip))


def test_a_missing_shard_is_named(spoiled: Spoiled) -> None:
    with pytest.raises(WeightsError, match=r"shard-000\.safetensors is missing"):
        load_model(spoiled(lambda folder: next(folder.glob("*.safetensors")).unlink()))


def test_a_damaged_vocabulary_is_named(spoiled: Spoiled) -> None:
    with pytest.raises(WeightsError, match=r"vocabulary\.json"):
        load_model(spoiled(lambda folder: (folder / "vocabulary.json").write_text("{}")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda parts: parts.pop("transformer"), "has no transformer"),
        (lambda parts: parts["text"].update(wings=2), "text .* another version"),
        (lambda parts: parts["transformer"].update(heads=3), "transformer .* another version"),
        (lambda parts: parts["codec"].pop("compression"), "codec .* another version"),
        (lambda parts: parts["transformer"].update(layers=3), "transformer.* another version"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    spoiled: Spoiled, change: Callable[[dict[str, dict[str, object]]], object], says: str
) -> None:
    def rewrite(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest["parts"])
        (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(WeightsError, match=says):
        load_model(spoiled(rewrite))


def test_the_hash_tells_models_apart(model_folder: Path) -> None:
    manifest = load_model(model_folder).manifest
    assert len(weights_hash(manifest)) == 64
    shorter = type(manifest).from_json(manifest.to_json().replace(manifest.shards[0].sha256, "0" * 64))
    assert weights_hash(shorter) != weights_hash(manifest)


@pytest.mark.parametrize("device", ["gpu0", "warp drive"])
def test_an_unknown_device_is_refused(model_folder: Path, device: str) -> None:
    with pytest.raises(InputError, match="no device"):
        load_model(model_folder, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(model_folder: Path) -> None:
    with pytest.raises(InputError, match="leave the device out"):
        load_model(model_folder, device="cuda")


def test_models_are_found_by_path_and_by_name(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(str(model_folder)) == model_folder
    monkeypatch.setenv("KINORA_MODELS", str(model_folder.parent))
    assert find_model("small") == model_folder
    monkeypatch.delenv("KINORA_MODELS")
    with pytest.raises(WeightsError, match=r"no model 'small'.*KINORA_MODELS"):
        find_model("small")
    with pytest.raises(WeightsError, match="no model"):
        find_model(str(model_folder.parent))


def test_emulated_bfloat16_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        assert compute_dtype("cpu") == dtype
