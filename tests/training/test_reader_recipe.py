"""The reader's recipe, a few steps of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kinora.core.errors import InputError
from kinora.core.slots import SLOTS
from kinora.recipes.reader import reader_recipe, take_reader
from kinora.training.library import Library
from kinora.training.parts import Part, load_part
from kinora.training.run import RunConfig
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader

SMALL = ReaderConfig(size=32, close=32, eye_widths=(8, 16), width=24, layers=1, decoder_layers=1, heads=2, moments=3)


def quiet(_: str) -> None:
    """Says nothing."""


def test_a_reader_is_trained_and_written(library: Library, tmp_path: Path) -> None:
    out = tmp_path / "reader.safetensors"
    config = RunConfig(steps=3, log_steps=1)
    assert reader_recipe(out, tmp_path / "run", config, libraries=[library], reader=SMALL, batch=4, say=quiet)
    part = load_part(out, "reader")
    reader = Reader(ReaderConfig(**part.config))
    reader.load_state_dict(part.tensors)
    assert reader.config == SMALL
    assert part.record["steps"] == 3
    assert (library.folder / "shard-00000.truth.npz").exists()


def test_a_reader_needs_clips(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole shard yet"):
        reader_recipe(
            tmp_path / "x.safetensors", tmp_path / "run", RunConfig(steps=1),
            libraries=[Library(library.folder, shards=0)], reader=SMALL, say=quiet,
        )  # fmt: skip


def older(config: ReaderConfig) -> Part:
    """A reader as it lies on disk, with weights of its own."""
    torch.manual_seed(5)
    return Part(kind="reader", config=dataclasses.asdict(config), tensors=Reader(config).state_dict(), record={})


def test_a_reader_goes_on_from_one_that_was_asked_less() -> None:
    """What world 1.0's reader says, the new one says before its first step."""
    part = older(SMALL)
    before = Reader(SMALL)
    before.load_state_dict(part.tensors)
    torch.manual_seed(6)
    grown = dataclasses.replace(SMALL, slots=SLOTS, max_animals=1)
    after = Reader(grown)
    take_reader(after, part, Path("old.safetensors"))
    moments, times = torch.randn(2, 3, 6, 32, 32), torch.arange(3).expand(2, -1) / 4
    cells, kinds = torch.tensor([[5, 9], [2, -1]]), torch.tensor([[0, 1], [0, 0]])
    with torch.no_grad():
        here, there = (reader.encode(moments, times) for reader in (before, after))
        old, new = before.scene(here), after.scene(there)
        told, asked = before.objects(here, cells, kinds), after.objects(there, cells, kinds)
    assert torch.allclose(old.centre_BOGG, new.centre_BOGG[:, :2], atol=1e-5)
    for name, logits in old.slots.items():
        assert torch.allclose(logits, new.slots[name][:, : logits.shape[1]], atol=1e-5)
    for name, logits in told.slots["body"].items():
        assert torch.allclose(logits, asked.slots["body"][name][..., : logits.shape[-1]], atol=1e-5)


def test_a_reader_of_other_sizes_is_no_beginning() -> None:
    part = older(SMALL)
    with pytest.raises(InputError, match=r"old\.safetensors is a reader of other sizes"):
        take_reader(Reader(dataclasses.replace(SMALL, width=48)), part, Path("old.safetensors"))
    other = dataclasses.replace(SMALL, slots={**SMALL.slots, "sky": ("night", "day")})
    with pytest.raises(InputError, match="was asked sky = day, sunset"):
        take_reader(Reader(other), part, Path("old.safetensors"))


def test_the_recipe_goes_on_from_a_reader(library: Library, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    for out, start in ((first, None), (second, first)):
        assert reader_recipe(
            out, tmp_path / out.stem, RunConfig(steps=2, log_steps=1), libraries=[library, library], stills=[library],
            reader=SMALL, start=start, batch=4, say=quiet,
        )  # fmt: skip
    assert load_part(second, "reader").record["start"]["steps"] == 2
