"""Recipe: the director, from captions and blockings of scenes that nobody renders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinora.core.blocking import CUES, LOOKS
from kinora.core.errors import InputError
from kinora.language.director import Director, DirectorConfig
from kinora.training.direction import DirectorJob, ScriptPool, read_scripts, script_tasks
from kinora.training.parts import Part, load_part, load_text, save_part, without_vocabulary
from kinora.training.run import Run, RunConfig
from kinora.training.scenes import mix_named

__all__ = ["director_recipe"]

HELD_OUT_SEED = 900_000_000
"""Scene seeds from here on are never trained on."""
FIRST_SEED = 700_000_000
SAYS: dict[str, Any] = {"films": True, "cues": True, "positions": tuple(range(21)), "together": 2}
"""What a director says today."""
_BATCH, _JUDGED = 64, 256


def director_recipe(
    out: Path,
    folder: Path,
    config: RunConfig,
    *,
    text_path: Path,
    mixes: Sequence[str] = ("wide",),
    scenes: int = 12_288,
    scripts: Path | None = None,
    start: Path | None = None,
    processes: int = 1,
    say: Callable[[str], None] = print,
) -> bool:
    """Train a director on `scenes` scenes of each mix; writes `out`. True when finished.

    It reads the text encoder at `text_path`, and no other afterwards. `scripts` is where the scenes are kept for other
    runs (by default in the run's folder), `start` a trained director to go on from.
    """
    text, tokenizer = load_text(text_path)
    settings = DirectorConfig(text_width=text.config.width, **SAYS)
    begun = None if start is None else load_part(start, "director")
    torch.manual_seed(config.seed)
    model = Director(settings if begun is None else DirectorConfig(**{**begun.config, **SAYS}))
    if begun is not None:
        if model.config.text_width != text.config.width:
            raise InputError(
                f"{start} reads text of width {model.config.text_width}, {text_path} gives {text.config.width}; give "
                "the director's own text encoder, or train a new one."
            )
        model.load_state_dict(_grown(begun, model))
    kept, positions = folder if scripts is None else scripts, model.config.positions
    tasks = script_tasks(kept, mixes, scenes, positions, first_seed=FIRST_SEED, split="train")
    pool = read_scripts(
        tasks, processes=processes, on_progress=lambda done, total: say(f"director: {done} of {total} files of scenes")
    )
    run = Run(folder, DirectorJob(model, text, pool, tokenizer, size=_BATCH, device=config.device), config, say)
    finished = run.go()
    model.load_state_dict(run.average.tensors, strict=False)
    judged = read_scripts(
        script_tasks(kept, mixes, _JUDGED, positions, first_seed=HELD_OUT_SEED, split="train"), processes=processes
    )
    held_out = _held_out(DirectorJob(model, text, judged, tokenizer, size=_BATCH, device=config.device), judged)
    say(f"director: {held_out:.4f} on held-out scenes")
    record = {
        **run.record(),
        "world": max(mix_named(mix).world for mix in mixes),
        "libraries": [_told(mix, scenes, len(positions)) for mix in mixes],
        "held_out": held_out,
        **({} if begun is None else {"start": without_vocabulary(begun.record)}),
    }
    save_part(
        out,
        Part(kind="director", config=dataclasses.asdict(model.config), tensors=dict(model.state_dict()), record=record),
    )
    return finished


def _grown(begun: Part, model: Director) -> dict[str, Tensor]:
    """The state of one of before in a director that says more: what it did not say it learns now."""
    state = {**model.state_dict(), **{name: tensor.float() for name, tensor in begun.tensors.items()}}
    if not begun.config.get("cues", False):
        looks_SD, boxes_SD = begun.tensors["moment"].float().tensor_split([len(LOOKS)])
        cues_SD = model.moment.detach()[len(LOOKS) : len(LOOKS) + len(CUES)]
        state["moment"] = torch.cat([looks_SD, cues_SD, boxes_SD])
    return state


def _told(mix: str, scenes: int, moments: int) -> dict[str, Any]:
    """What a mix gave, in the words of a library."""
    return {
        "count": scenes, "height": 0, "width": 0, "latent_frames": moments, "first_seed": FIRST_SEED, "split": "train",
        "mix": mix, "world": mix_named(mix).world,
    }  # fmt: skip


@torch.no_grad()
def _held_out(job: DirectorJob, pool: ScriptPool) -> float:
    """The loss over some scenes that were never trained on."""
    losses = [
        float(job.loss_of(np.arange(first, min(first + _BATCH, len(pool))), np.random.default_rng(first)))
        for first in range(0, len(pool), _BATCH)
    ]
    return float(np.mean(losses))
