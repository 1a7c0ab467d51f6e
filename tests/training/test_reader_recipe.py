"""The reader's recipe, a few steps of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinora.core.errors import InputError
from kinora.recipes.reader import reader_recipe
from kinora.training.library import Library
from kinora.training.parts import load_part
from kinora.training.run import RunConfig
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader

SMALL = ReaderConfig(size=32, stem_width=8, width=24, layers=1, decoder_layers=1, heads=2, moments=3)


def quiet(_: str) -> None:
    """Says nothing."""


def test_a_reader_is_trained_and_written(library: Library, tmp_path: Path) -> None:
    out = tmp_path / "reader.safetensors"
    config = RunConfig(steps=3, log_steps=1)
    assert reader_recipe(out, tmp_path / "run", config, library=library, reader=SMALL, batch=4, say=quiet)
    part = load_part(out, "reader")
    reader = Reader(ReaderConfig(**part.config))
    reader.load_state_dict(part.tensors)
    assert reader.config == SMALL
    assert part.record["steps"] == 3
    assert (library.folder / "shard-00000.truth.npz").exists()


def test_a_reader_needs_clips(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole shard yet"):
        reader_recipe(
            tmp_path / "x.safetensors", tmp_path / "run", RunConfig(steps=1), library=Library(library.folder, shards=0),
            reader=SMALL, say=quiet,
        )  # fmt: skip
