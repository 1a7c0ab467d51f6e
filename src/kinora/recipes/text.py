"""Recipe: vocabulary and text encoder, from captions alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kinora.core.errors import InputError
from kinora.core.slots import SLOTS, SLOTS_1
from kinora.core.words import all_wordings
from kinora.language.encoder import TextEncoder
from kinora.language.tokenizer import Tokenizer, build_vocabulary
from kinora.recipes.sizes import Size
from kinora.training.files import write_atomically
from kinora.training.parts import Part, load_part, load_text, save_part, without_vocabulary
from kinora.training.run import Run, RunConfig
from kinora.training.scenes import mix_named
from kinora.training.texts import CaptionPool, TextJob, TextLesson, reading_accuracy, sample_captions

__all__ = ["text_recipe"]

HELD_OUT_SEED = 900_000_000
"""Scene seeds from here on are never trained on."""


def text_recipe(
    out: Path, folder: Path, size: Size, config: RunConfig | None, *,
    scenes: int = 3000, mix: str = "training", start: Path | None = None,
    say: Callable[[str], None] = print,
) -> bool:  # fmt: skip
    """Train the text encoder of `size` to have every slot read back from it; writes `out`. True when finished.

    Vocabulary and captions are those of the mix, so a run goes on with the mix it began with. `start` is a trained
    encoder to go on from: its sizes are kept, and the vectors of all words that both vocabularies have. Without a
    `config` nothing is learnt: a transformer that was trained with `start` finds every word it knows where it was, and
    learns the new ones in the joint run.
    """
    if config is None and start is None:
        raise InputError(
            "A text encoder that learns nothing needs one to go on from; give a time above zero or a start."
        )
    folder.mkdir(parents=True, exist_ok=True)
    pool = _captions(folder / "captions.json", range(scenes), mix)
    tokenizer = _vocabulary(folder / "vocabulary.json", pool, SLOTS_1 if mix_named(mix).world == "1.0" else SLOTS)
    torch.manual_seed(0 if config is None else config.seed)
    encoder = TextEncoder(size.text(len(tokenizer)))
    record: dict[str, Any] = {}
    if start is not None:
        encoder, record = _grown(start, tokenizer)
    record |= {"vocabulary": tokenizer.to_json(), "captions": len(pool), "mix": mix, "world": mix_named(mix).world}
    if config is None:
        _save(out, encoder, record)
        return True
    model = TextLesson(encoder)
    run = Run(folder, TextJob(model, pool, tokenizer, size=64, device=config.device), config, say)
    finished = run.go()
    model.load_state_dict(run.average.tensors, strict=False)
    held_out = _captions(folder / "held-out.json", range(HELD_OUT_SEED, HELD_OUT_SEED + 64), mix)
    accuracy = reading_accuracy(model, held_out, tokenizer, config.device)
    say(f"text: {100 * accuracy:.1f}% of held-out captions are read back with every slot right")
    _save(out, model.text, {**run.record(), **record, "read_back": accuracy})
    return finished


def _grown(start: Path, tokenizer: Tokenizer) -> tuple[TextEncoder, dict[str, Any]]:
    """A trained encoder under another vocabulary, and its record as where this one begins."""
    known, words = load_text(start)
    encoder = TextEncoder(dataclasses.replace(known.config, vocabulary=len(tokenizer)))
    held = {token: row for row, token in enumerate(words.tokens)}
    rows = [(row, held[token]) for row, token in enumerate(tokenizer.tokens) if token in held]
    mine_N, its_N = torch.tensor(rows).unbind(dim=1)
    tensors = dict(known.state_dict())
    embedding_VD = encoder.embedding.weight.detach().clone()
    embedding_VD[mine_N] = tensors["embedding.weight"][its_N]
    encoder.load_state_dict({**tensors, "embedding.weight": embedding_VD})
    return encoder, {"start": without_vocabulary(load_part(start, "text").record)}


def _save(out: Path, encoder: TextEncoder, record: dict[str, Any]) -> None:
    tensors = dict(encoder.state_dict())
    save_part(out, Part(kind="text", config=dataclasses.asdict(encoder.config), tensors=tensors, record=record))


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
