"""Recipe: the scene reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.training.library import Library, widest
from kinora.training.parts import Part, load_part, save_part
from kinora.training.plan import Stage
from kinora.training.reader_truth import ReaderBatches, reader_config
from kinora.training.run import Run, RunConfig
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss

__all__ = ["ReaderJob", "reader_recipe", "take_reader"]


LATER = ("fine_depth", "glimpses")
"""Parts that a reader may have been trained without; they begin as nothing."""


class ReaderJob:
    """Feeds the reader's run; see `kinora.training.run.Job`."""

    name = "reader"

    def __init__(self, model: Reader, batches: ReaderBatches, *, size: int, device: str) -> None:
        self.model = model.to(device)
        self.stages = (Stage(name="slots", share=1.0, size=size),)
        self._batches = batches
        self._size = size
        self._device = device

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """The reader's objective on one batch of clips."""
        moments_BKCSS, times_BK, truth, asked_BP = self._batches.draw(seed, step, self._size)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            loss, _ = reader_loss(self.model, moments_BKCSS, times_BK, truth, asked_BP)
        return loss

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
    batch: int = 24,
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
    tensors = {**model.state_dict(), **run.average.tensors}
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
    """Take the weights of a trained reader of the same sizes; what it was not asked, and what it lacks of `LATER`,
    are learnt from nothing.

    Values and kinds of objects are only ever added at the end of their lists, so an older reader's rows come first.
    Raises `InputError` when a size differs or when its values are not the first of the new ones.
    """
    told = ReaderConfig(**part.config)
    kept = {name: getattr(told, name) for name in ("slots", "max_animals")}
    kept |= {name: getattr(told, name) and getattr(model.config, name) for name in LATER}
    if told != dataclasses.replace(model.config, **kept):
        raise InputError(f"{path} is a reader of other sizes than the one to be trained; train one from the beginning.")
    for name, values in told.slots.items():
        if model.config.slots.get(name, ())[: len(values)] != values:
            raise InputError(f"{path} was asked {name} = {', '.join(values)}: the answers to come do not begin so.")
    state = model.state_dict()
    with torch.no_grad():
        for name, tensor in part.tensors.items():
            state[name][: len(tensor)].copy_(tensor) if tensor.dim() else state[name].copy_(tensor)
