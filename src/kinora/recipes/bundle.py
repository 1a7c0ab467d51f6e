"""Recipe: trained parts joined into a model folder that `kinora.load` takes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinora import __version__
from kinora.control.blocking import BLOCKING_CHANNELS
from kinora.core.errors import InputError
from kinora.presets import Sampling, tiny
from kinora.training.parts import VOCABULARY, Part, load_part, without_vocabulary
from kinora.weights.manifest import Manifest
from kinora.weights.quantise import Storage
from kinora.weights.store import save_model

__all__ = ["SIZES_256", "bundle_recipe", "sampling_table"]

FRAME_RATE = 16.0
STORAGE: Mapping[str, Storage] = {
    "codec": "float32",  # its linear half is exact to 10 dB more than bfloat16 can carry
    "text": "bfloat16",
    "transformer": "bfloat16",
    "director": "int8",
    "painter": "bfloat16",
    "reader": "int8",
}
PAINTED_SKETCH_CAP = 0.5
"""How far a window may stray from a sketch whose things are painted anew; without a painter they must still move."""
SIZES_256 = {"1:1": (256, 256), "16:9": (192, 320), "9:16": (320, 192)}
"""Picture (height, width) by aspect, for a model trained on squares of 256; others are in proportion."""


def bundle_recipe(
    out: Path,
    *,
    name: str,
    codec: Path,
    text: Path,
    transformer: Path,
    director: Path | None = None,
    painter: Path | None = None,
    reader: Path | None = None,
    storage: Mapping[str, Storage] | None = None,
    few_steps: int | None = None,
    sketch: int = 0,
    probe: Path | None = None,
) -> Manifest:
    """Write the model folder `out` (replacing what is there) and return its manifest.

    Each part is a file, or the folder of a bundled model (perhaps `out` itself) to take it from.
    `probe` is what `probe_recipe` wrote for this run, kept for the model card. `few_steps` are the steps of draft and
    standard, where the transformer's own record names none, `sketch` the moments that are imagined before a film's
    first window (`sampling_table`).
    Raises `InputError` for parts that do not belong together, `WeightsError` for a part that cannot be read.
    """
    paths = {"codec": codec, "text": text, "transformer": transformer}
    beside = {"director": director, "painter": painter, "reader": reader}
    paths |= {kind: path for kind, path in beside.items() if path is not None}
    parts = {kind: load_part(path, kind) for kind, path in paths.items()}
    _check(parts)
    tensors: dict[str, Tensor] = {
        f"{kind}.{tensor_name}": tensor for kind, part in parts.items() for tensor_name, tensor in part.tensors.items()
    }
    manifest = Manifest(
        name=name,
        world=parts["transformer"].record["world"],
        frame_rate=FRAME_RATE,
        sizes=_sizes(parts["transformer"].record["library"]),
        parts={kind: part.config for kind, part in parts.items()},
        training={
            **{kind: without_vocabulary(part.record) for kind, part in parts.items()},
            **({} if probe is None else {"probe": _probed(probe)}),
            "bundle": {"kinora": __version__, "commit": _commit(), "torch": str(torch.__version__)},
        },
        sampling=sampling_table(parts["transformer"].record, few_steps, sketch, painted="painter" in parts),
    )
    chosen = STORAGE if storage is None else storage
    texts = {VOCABULARY: parts["text"].record["vocabulary"]}
    return save_model(out, tensors, manifest, storage=chosen, texts=texts)


def sampling_table(
    record: Mapping[str, Any], few_steps: int | None = None, sketch: int = 0, *, painted: bool = False
) -> dict[str, dict[str, Any]]:
    """How a transformer with this training record wants to be sampled, by quality; empty when as its preset says.
    Where a painter draws the things, the sketch that is followed needs to be left less room.

    Raises `InputError` when `few_steps` are others than it was taught.
    """
    told: Mapping[str, Any] | None = record.get("distilled")
    taught = None if told is None else told["steps"]
    if taught is not None and few_steps not in (None, taught):
        raise InputError(f"This transformer was taught {taught} steps, not {few_steps}; leave --few-steps out.")
    if told is None and few_steps is None and not sketch:
        return {}
    table = dict(tiny().sampling)
    if told is not None:
        table = {quality: replace(usual, guidance=1.0) for quality, usual in table.items()}
    if told is not None and taught is not None:
        # One schedule was taught, so draft and standard are the same film. The teacher is not in the folder, and pro
        # is this same student on twice the steps. That is not the teacher's full sampler: between the levels it was
        # taught the student knows only what it kept of its teacher, and at them it still aims a whole taught step
        # ahead. More steps need not make better films; `kinora measure --quality pro` says what they make.
        few = Sampling(steps=taught, guidance=1.0, shift=told["shift"], image_shift=told["image_shift"], solver="euler")
        table = {"draft": few, "standard": few, "pro": replace(few, steps=2 * taught)}
    elif few_steps is not None:
        table |= {quality: replace(table[quality], steps=few_steps) for quality in ("draft", "standard")}
    # With guidance taught alone, pro is the full sampler at half the calls, as true as the student is to its teacher.
    return {
        quality: asdict(
            replace(sampling, sketch=sketch, sketch_cap=PAINTED_SKETCH_CAP if painted else sampling.sketch_cap)
        )
        for quality, sampling in table.items()
    }


def _probed(path: Path) -> dict[str, Any]:
    try:
        probed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no record of a probe ({error}); write it with `kinora train probe`.") from error
    return probed


def _commit() -> str | None:
    """The commit of the checkout that this file is part of, with a + where something was changed; None elsewhere."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        # A virtual environment may lie inside a checkout of something else, whose commit says nothing of us.
        _answer([*git, "ls-files", "--error-unmatch", here.name])
        return _answer([*git, "describe", "--always", "--exclude=*", "--dirty=+"])
    except (OSError, subprocess.SubprocessError):
        return None


def _answer(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()  # noqa: S603


def _check(parts: Mapping[str, Part]) -> None:
    """Widths that must agree between parts."""
    transformer = parts["transformer"].config
    if transformer["channels"] != parts["codec"].config["channels"]:
        raise InputError(
            f"The transformer makes latents of {transformer['channels']} channels, the codec reads "
            f"{parts['codec'].config['channels']}; bundle the codec that its library was encoded with."
        )
    if transformer["text_width"] != parts["text"].config["width"]:
        raise InputError(
            f"The transformer reads text of width {transformer['text_width']}, the text encoder gives "
            f"{parts['text'].config['width']}; bundle the text encoder that was trained with it."
        )
    _check_director(parts)
    if "painter" in parts and parts["painter"].config["channels"] != parts["codec"].config["channels"]:
        raise InputError(
            f"The painter draws latents of {parts['painter'].config['channels']} channels, the codec reads "
            f"{parts['codec'].config['channels']}; bundle the codec that its library was encoded with."
        )


def _check_director(parts: Mapping[str, Part]) -> None:
    """What a director reads and what it tells must be known to those it stands between."""
    if "director" not in parts:
        return
    if parts["director"].config["text_width"] != parts["text"].config["width"]:
        raise InputError(
            f"The director reads text of width {parts['director'].config['text_width']}, the text encoder gives "
            f"{parts['text'].config['width']}; bundle the text encoder it was trained with."
        )
    if parts["transformer"].config["control_channels"] != BLOCKING_CHANNELS:
        raise InputError(
            f"The transformer takes {parts['transformer'].config['control_channels']} control channels, a blocking has "
            f"{BLOCKING_CHANNELS}; leave the director out, or train the transformer further (--start)."
        )


def _sizes(library: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Picture sizes by aspect, in proportion to the squares of the library, on the grid of 32 pixels."""
    scale = min(library["height"], library["width"]) / 256
    return {
        aspect: (max(32, round(height * scale / 32) * 32), max(32, round(width * scale / 32) * 32))
        for aspect, (height, width) in SIZES_256.items()
    }
