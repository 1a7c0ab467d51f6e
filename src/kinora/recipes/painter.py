"""Recipe: the painter, from single moments of rendered clips and their blockings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from kinora.control.painter import Painter, PainterConfig
from kinora.core.errors import InputError
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import Library, widest
from kinora.training.painting import Moments, PainterJob
from kinora.training.parts import Part, load_part, save_part
from kinora.training.run import Run, RunConfig

__all__ = ["painter_recipe"]


def painter_recipe(
    out: Path,
    folder: Path,
    config: RunConfig,
    *,
    libraries: Sequence[Library],
    codec_path: Path,
    start: Path | None = None,
    batch: int = 32,
    say: Callable[[str], None] = print,
) -> bool:
    """Train a painter on libraries encoded with the codec at `codec_path` (or with their frames, which are encoded
    first), as many moments of each a step; writes the part `out`. True when finished. `start` is a trained painter to
    go on from.
    """
    encoder = FrameEncoder.from_file(codec_path, device=config.device)
    for library in libraries:
        encode_library(library.folder, library.shards, encoder)
        say(f"painter: {library.folder.name} is encoded")
    library = widest(libraries)
    latents = LatentSet(library.folder, library.shards, encoder.key)
    begun = None if start is None else load_part(start, "painter")
    torch.manual_seed(config.seed)
    model = Painter(
        PainterConfig(channels=latents.shape[1], spread=latents.spread(), edges=True)
        if begun is None
        else PainterConfig(**{**begun.config, "edges": True})
    )
    if begun is not None:
        if model.config.channels != latents.shape[1]:
            raise InputError(
                f"{start} paints latents of {model.config.channels} channels, {codec_path} makes {latents.shape[1]}; "
                "give the codec it was trained with, or train a new one."
            )
        model.load_state_dict(_grown(begun, model))
    moments = [Moments(each, encoder.key) for each in libraries]
    say(f"painter: {sum(map(len, moments))} moments")
    run = Run(folder, PainterJob(model, moments, size=batch, device=config.device), config, say)
    finished = run.go()
    record = {
        **run.record(),
        **({} if begun is None else {"start": begun.record}),
        "world": library.config.world,
        "libraries": [dataclasses.asdict(each.config) for each in libraries],
        "rendering": library.pace(),
    }
    save_part(
        out,
        Part(kind="painter", config=dataclasses.asdict(model.config), tensors=dict(run.average.tensors), record=record),
    )
    return finished


def _grown(begun: Part, model: Painter) -> dict[str, Tensor]:
    """The state of one of before in a painter that is told more: it heeds none of that at first."""
    state = {name: tensor.float() for name, tensor in begun.tensors.items()}
    more = model.open.in_channels - state["open.weight"].shape[1]
    state["open.weight"] = functional.pad(state["open.weight"], (0, 0, 0, 0, 0, more))
    return state
