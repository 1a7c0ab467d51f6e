"""Recipe: the scene reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from kinora.training.library import Library
from kinora.training.parts import Part, save_part
from kinora.training.plan import Stage
from kinora.training.reader_truth import ReaderBatches, reader_config
from kinora.training.run import Run, RunConfig
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss

__all__ = ["ReaderJob", "reader_recipe"]


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
        moments_BKCSS, times_BK, truth = self._batches.draw(seed, step, self._size)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            loss, _ = reader_loss(self.model, moments_BKCSS, times_BK, truth)
        return loss

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""


def reader_recipe(
    out: Path,
    folder: Path,
    config: RunConfig,
    *,
    library: Library,
    stills: Library | None = None,
    reader: ReaderConfig | None = None,
    batch: int = 24,
    say: Callable[[str], None] = print,
) -> bool:
    """Train a reader on a library that keeps its frames; writes the part `out`. True when finished.

    `stills` is a library of single pictures, cheaper to render, for the half of its lessons that need no motion. It is
    asked the slots of the library's world, unless `reader` says otherwise.
    """
    torch.manual_seed(config.seed)
    model = Reader(reader_config(library) if reader is None else reader)
    batches = ReaderBatches(library, model.config, stills=stills, device=config.device)
    run = Run(folder, ReaderJob(model, batches, size=batch, device=config.device), config, say)
    finished = run.go()
    tensors = {**model.state_dict(), **run.average.tensors}
    record = {
        **run.record(), "world": library.config.world, "library": dataclasses.asdict(library.config),
        "rendering": library.pace(),
    }  # fmt: skip
    save_part(out, Part(kind="reader", config=dataclasses.asdict(model.config), tensors=tensors, record=record))
    return finished
