"""Recipe: the scene reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from kinora.core.errors import InputError
from kinora.training.auxiliary import MapHeads
from kinora.training.lessons import ReaderBatches
from kinora.training.library import Library, widest
from kinora.training.parts import Part, load_part, save_part
from kinora.training.plan import Stage
from kinora.training.reader_truth import reader_config
from kinora.training.run import Run, RunConfig
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss

__all__ = ["ReaderJob", "reader_recipe", "take_reader"]


MAPS_WEIGHT = 0.5
MOTION_SCALE = 60.0
"""Of motion in picture sides a moment: what a camera does slowly must weigh something beside what lies where."""


class ReaderJob:
    """Feeds the reader's run; see `kinora.training.run.Job`. Heads for exact maps are taught beside the reader and left
    behind: they tell its eyes what lies in a cell, how far, and how it moves.
    """

    name = "reader"

    def __init__(self, reader: Reader, batches: ReaderBatches, *, size: int, device: str) -> None:
        heads = MapHeads(reader.config.eye_widths[1], patch=1, motion_scale=MOTION_SCALE)
        self.model = nn.ModuleDict({"reader": reader, "heads": heads}).to(device)
        self.stages = (Stage(name="slots", share=1.0, size=size),)
        self._reader, self._heads = reader, heads
        self._batches = batches
        self._size = size
        self._device = device

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """The reader's objective on one batch of clips."""
        lesson = self._batches.draw(seed, step, self._size)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            # The eyes learn from single pictures, of which there are more for the price; clips teach what moves.
            still = lesson.times_BK.shape[1] == 1
            encoded = self._reader.encode(lesson.moments_BKCSS, lesson.times_BK, lesson.close_B3SS, learn_to_see=still)
            told, _ = reader_loss(self._reader, encoded, lesson.truth, lesson.asked)
            mapped = self._heads.loss(encoded.seen_BKCGG.flatten(3).transpose(2, 3), lesson.maps)
        return told + MAPS_WEIGHT * mapped

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""


def reader_recipe(
    out: Path,
    folder: Path,
    config: RunConfig,
    *,
    libraries: Sequence[Library],
    stills: Sequence[Library] = (),
    reader: ReaderConfig | None = None,
    start: Path | None = None,
    batch: int = 16,
    say: Callable[[str], None] = print,
) -> bool:
    """Train a reader on libraries that keep their frames; writes the part `out`. True when finished.

    `stills` are libraries of single pictures, cheaper to render, for the half of its lessons that need no motion. It is
    asked the slots of the latest world among the libraries, unless `reader` says otherwise. `start` is a trained reader
    to go on from, perhaps one that was asked less.
    """
    library = widest(libraries)
    torch.manual_seed(config.seed)
    model = Reader(reader_config(library.config.world) if reader is None else reader)
    begun = None if start is None else load_part(start, "reader")
    if begun is not None:
        take_reader(model, begun, start)
    batches = ReaderBatches(libraries, model.config, stills=stills, device=config.device)
    run = Run(folder, ReaderJob(model, batches, size=batch, device=config.device), config, say)
    finished = run.go()
    averaged = {name.removeprefix("reader."): tensor for name, tensor in run.average.tensors.items()}
    tensors = {name: averaged.get(name, tensor) for name, tensor in model.state_dict().items()}
    record = {
        **run.record(),
        **({} if begun is None else {"start": begun.record}),
        "world": library.config.world,
        "library": dataclasses.asdict(library.config),
        "libraries": [dataclasses.asdict(shown.config) for shown in (*libraries, *stills)],
        "rendering": library.pace(),
    }
    save_part(out, Part(kind="reader", config=dataclasses.asdict(model.config), tensors=tensors, record=record))
    return finished


def take_reader(model: Reader, part: Part, path: Path | None) -> None:
    """Take the weights of a trained reader of the same sizes; what it was not asked is learnt from nothing.

    Values and kinds of objects are only ever added at the end of their lists, so an older reader's rows come first.
    Raises `InputError` when a size differs or when its values are not the first of the new ones.
    """
    told = ReaderConfig(**part.config)
    if told != dataclasses.replace(model.config, slots=told.slots, max_animals=told.max_animals):
        raise InputError(f"{path} is a reader of other sizes than the one to be trained; train one from the beginning.")
    for name, values in told.slots.items():
        if model.config.slots.get(name, ())[: len(values)] != values:
            raise InputError(f"{path} was asked {name} = {', '.join(values)}: the answers to come do not begin so.")
    state = model.state_dict()
    with torch.no_grad():
        for name, tensor in part.tensors.items():
            state[name][: len(tensor)].copy_(tensor) if tensor.dim() else state[name].copy_(tensor)
