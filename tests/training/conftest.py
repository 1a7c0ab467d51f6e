"""A small real library, rendered once for all tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinora.codec import Codec, CodecConfig
from kinora.language.tokenizer import Tokenizer, build_vocabulary
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import Library, LibraryConfig
from kinora.training.rendering import render_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Twelve clips of 32 x 32, three latent frames each, in two shards."""
    folder = tmp_path_factory.mktemp("library")
    config = LibraryConfig(count=12, height=32, width=32, latent_frames=3, shard_clips=8)
    return render_library(folder, config)


@pytest.fixture(scope="session")
def codec() -> Codec:
    """A codec without learned correction, on cosines."""
    torch.manual_seed(0)
    return Codec(CodecConfig(channels=8, trunk_blocks=0, picture_blocks=0))


@pytest.fixture(scope="session")
def encoder(codec: Codec) -> FrameEncoder:
    return FrameEncoder(codec)


@pytest.fixture(scope="session")
def latents(library: Library, encoder: FrameEncoder) -> LatentSet:
    encode_library(library.folder, library.shards, encoder)
    return LatentSet(library.folder, library.shards, encoder.key)


@pytest.fixture(scope="session")
def tokenizer(library: Library) -> Tokenizer:
    return build_vocabulary(text for texts in library.captions() for text in texts)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
