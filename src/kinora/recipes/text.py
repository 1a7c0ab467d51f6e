"""Recipe: vocabulary and text encoder, from captions alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from kinora.core.slots import SLOTS, SLOTS_1
from kinora.core.words import all_wordings
from kinora.language.encoder import TextEncoder
from kinora.language.tokenizer import Tokenizer, build_vocabulary
from kinora.recipes.sizes import Size
from kinora.training.files import write_atomically
from kinora.training.parts import Part, save_part
from kinora.training.run import Run, RunConfig
from kinora.training.scenes import mix_named
from kinora.training.texts import CaptionPool, TextJob, TextLesson, reading_accuracy, sample_captions

__all__ = ["text_recipe"]

HELD_OUT_SEED = 900_000_000
"""Scene seeds from here on are never trained on."""


def text_recipe(
    out: Path, folder: Path, size: Size, config: RunConfig, *,
    scenes: int = 3000, mix: str = "training",
    say: Callable[[str], None] = print,
) -> bool:  # fmt: skip
    """Train the text encoder of `size` to have every slot read back from it; writes `out`. True when finished.

    Vocabulary and captions are those of the mix, so a run goes on with the mix it began with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool = _captions(folder / "captions.json", range(scenes), mix)
    tokenizer = _vocabulary(folder / "vocabulary.json", pool, SLOTS_1 if mix_named(mix).world == "1.0" else SLOTS)
    torch.manual_seed(config.seed)
    model = TextLesson(TextEncoder(size.text(len(tokenizer))))
    run = Run(folder, TextJob(model, pool, tokenizer, size=64, device=config.device), config, say)
    finished = run.go()
    model.load_state_dict(run.average.tensors, strict=False)
    held_out = _captions(folder / "held-out.json", range(HELD_OUT_SEED, HELD_OUT_SEED + 64), mix)
    accuracy = reading_accuracy(model, held_out, tokenizer, config.device)
    say(f"text: {100 * accuracy:.1f}% of held-out captions are read back with every slot right")
    record = {
        **run.record(), "vocabulary": tokenizer.to_json(), "captions": len(pool), "read_back": accuracy, "mix": mix,
        "world": mix_named(mix).world,
    }  # fmt: skip
    save_part(
        out,
        Part(
            kind="text",
            config=dataclasses.asdict(model.text.config),
            tensors=dict(model.text.state_dict()),
            record=record,
        ),
    )
    return finished


def _captions(path: Path, seeds: range, mix: str) -> CaptionPool:
    if not path.exists():
        sample_captions(seeds, mix=mix).write(path)
    return CaptionPool.read(path)


def _vocabulary(path: Path, pool: CaptionPool, slots: Mapping[str, tuple[str, ...]]) -> Tokenizer:
    """All words of the world's slots and of the captions; kept, because a run must not change its tongue."""
    if not path.exists():
        text = build_vocabulary(pool.texts, all_wordings(slots)).to_json()
        write_atomically(path, lambda file: file.write(text.encode("utf-8")))
    return Tokenizer.from_json(path.read_text(encoding="utf-8"))
