"""What tests of several packages share: a complete model with random weights, saved the way real ones are."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# The same examples every time, and no stopwatch on each: the machine may be busy with other things.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

VOCABULARY = ["a", "red", "blue", "ball", "cube", "rolls", "falls", "left", "right", "to", "the", "on", "grass"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that makes 64 x 64, 96 x 64 and 64 x 96 films of noise in a blink."""
    import torch

    from kinora.codec import Codec, CodecConfig
    from kinora.control.blocking import BLOCKING_CHANNELS
    from kinora.language.encoder import TextEncoder, TextEncoderConfig
    from kinora.language.tokenizer import SPECIAL, Tokenizer
    from kinora.transformer.config import TransformerConfig
    from kinora.transformer.model import Transformer
    from kinora.weights.manifest import Manifest
    from kinora.weights.store import save_model
    from kinora.world.scene import WORLD_VERSION

    folder = tmp_path_factory.mktemp("models") / "small"
    tokenizer = Tokenizer([*SPECIAL, *VOCABULARY])
    codec_config = CodecConfig(
        channels=8, trunk_width=8, trunk_blocks=1, picture_features=4, picture_width=8, picture_blocks=1
    )
    text_config = TextEncoderConfig(vocabulary=len(tokenizer), width=16, layers=1, heads=2, ffn_width=32, length=24)
    transformer_config = TransformerConfig(
        width=32, layers=2, heads=2, ffn_width=64, channels=8, text_width=16, text_length=24, frequency_width=32,
        pose_width=12, mouth_width=48, control_channels=BLOCKING_CHANNELS,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        modules = {
            "codec": Codec(codec_config),
            "transformer": Transformer(transformer_config),
            "text": TextEncoder(text_config),
        }
        # A fresh transformer's head is zero: every prompt and every step would look the same.
        torch.nn.init.normal_(modules["transformer"].head.head.weight, std=0.5)
        torch.nn.init.normal_(modules["transformer"].text_embedding[2].weight, std=0.5)
    tensors = {f"{name}.{key}": value for name, part in modules.items() for key, value in part.state_dict().items()}
    manifest = Manifest(
        name="small",
        world=WORLD_VERSION,
        frame_rate=16.0,
        sizes={"1:1": (64, 64), "16:9": (64, 96), "9:16": (96, 64)},
        parts={
            "codec": codec_config.to_dict(),
            "transformer": asdict(transformer_config),
            "text": asdict(text_config),
        },
    )
    save_model(folder, tensors, manifest, texts={"vocabulary.json": tokenizer.to_json()})
    return folder


@pytest.fixture(scope="session")
def wan_files() -> ModuleType:
    """tests/presets/wan_files.py: published models in miniature, with random weights."""
    spec = importlib.util.spec_from_file_location("wan_files", Path(__file__).parent / "presets" / "wan_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write_wan(wan_files: ModuleType) -> Callable[..., Path]:
    """`write_wan(folder, name, layout="wan" | "diffusers" | "comfy", already_converted=False)`: a published model's
    files as they are downloaded.
    """
    return wan_files.write_wan


@pytest.fixture(scope="session")
def wan_model(wan_files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`wan_model(name, layout="diffusers")`: a folder that holds that model and its manifest, ready to be loaded."""
    made: dict[tuple[str, str], Path] = {}

    def make(name: str, layout: str = "diffusers") -> Path:
        if (name, layout) not in made:
            folder = tmp_path_factory.mktemp("wan") / name
            made[name, layout] = wan_files.write_wan_model(folder, name, layout)
        return made[name, layout]

    return make
