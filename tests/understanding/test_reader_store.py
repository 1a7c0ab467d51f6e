"""A reader saved with a model comes back as it was."""

import dataclasses

import numpy as np
import pytest
import torch

from kinora.core.clip import Clip
from kinora.core.errors import WeightsError
from kinora.understanding.model import Reader
from kinora.understanding.store import load_reader
from kinora.weights.manifest import Manifest
from kinora.weights.store import save_model


def manifest(parts: dict) -> Manifest:
    return Manifest(name="m", world="1", frame_rate=16.0, sizes={"1:1": (64, 64)}, parts=parts)


def test_saved_and_loaded(tmp_path, toys):
    torch.manual_seed(3)
    reader = Reader(toys.config)
    tensors = {f"reader.{name}": tensor for name, tensor in reader.state_dict().items()}
    save_model(tmp_path / "m", tensors, manifest({"reader": dataclasses.asdict(toys.config)}))
    loaded = load_reader(tmp_path / "m")
    assert loaded.config == toys.config
    assert not loaded.training
    frames, *_ = toys.frames(np.random.default_rng(0))
    clip = Clip(frames_FHWC=frames, frame_rate=16.0)
    assert loaded.read(clip) == reader.eval().read(clip)


def test_a_model_without_one(tmp_path):
    save_model(tmp_path / "m", {"codec.a": torch.zeros(1)}, manifest({"codec": {}}))
    with pytest.raises(WeightsError, match="has no reader"):
        load_reader(tmp_path / "m")


def test_a_reader_of_another_version_is_named(tmp_path):
    """Settings that this version has no name for, as a folder of before has them."""
    save_model(tmp_path / "m", {"reader.a": torch.zeros(1)}, manifest({"reader": {"size": 128, "stem_width": 64}}))
    with pytest.raises(WeightsError, match=r"belongs to another version .*stem_width.*kinora train reader"):
        load_reader(tmp_path / "m")
