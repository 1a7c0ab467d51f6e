"""Models that are another one with a LoRA: an entry of the store that names both. Knows no torch.

Distilled weights, which make a film in four steps, are mostly published so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kinora.core.errors import InputError, WeightsError
from kinora.core.request import QUALITIES
from kinora.presets.kinds import piece_of
from kinora.presets.places import find_model
from kinora.presets.preset import Sampling
from kinora.presets.store import Hashing, check_free_name, hashed, write_entry
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.header import Header, read_header
from kinora.weights.manifest import Manifest, PlacedFile, read_manifest
from kinora.weights.placed import placed_home

__all__ = ["add_lora", "few_steps", "is_lora"]

QUERY = re.compile(r"(self_attn.q|attn1.to_q)\.(lora_down|lora_A(\.default)?)\.weight$")
"""What every LoRA of a Wan transformer has; its last axis is the width of the model."""


def is_lora(path: Path) -> bool:
    """Whether a safetensors file holds a LoRA; raises `WeightsError` for what is no such file."""
    return piece_of((path,), read_header(path).tensors, {}).part == "lora"


def few_steps(preset: str, *, steps: int, guidance: float = 1.0, shift: float | None = None) -> dict[str, Any]:
    """The sampling table of distilled weights of a published model: `steps` by Euler, at every quality."""
    if not 1 <= steps <= 100:
        raise InputError(f"{steps} steps are no way to make a film: 1 to 100, and what the LoRA was made for is best.")
    if not 0.0 <= guidance <= 30.0:
        raise InputError(f"A guidance of {guidance:g} is out of range: 1 (none, half the work) to 30.")
    own = OPEN_MODELS[preset].preset.sampling_for("standard")
    chosen = own.shift if shift is None else shift
    sampling = Sampling(steps=steps, guidance=guidance, shift=chosen, image_shift=chosen, solver="euler")
    return {quality: asdict(sampling) for quality in QUALITIES}


def add_lora(
    lora: Path,
    base: str,
    *,
    name: str,
    sampling: Mapping[str, Mapping[str, Any]],
    low: Path | None = None,
    on_hash: Hashing | None = None,
) -> Path:
    """An entry that is the model `base` with a LoRA merged in whenever it is loaded; the entry's folder.

    `low` is the LoRA of the second of two experts, where each has its own. `sampling` goes before the preset's; {}
    leaves that as it is. The files of `base` are used where they lie, so the entry stands and falls with them.
    """
    check_free_name(name)
    folder = find_model(base)
    manifest = read_manifest(folder)
    if manifest.family != "wan":
        raise WeightsError(
            f"{base} is no model of open weights, which this LoRA is for. Name one of those: --base NAME"
        )
    if low is not None and "transformer_low" not in {file.part for file in manifest.files}:
        raise InputError(f"{base} has one expert, so it takes one LoRA. Leave --low out.")
    files = [lora_file("lora", lora, manifest)] + ([lora_file("lora_low", low, manifest)] if low else [])
    merged = replace(
        manifest,
        name=name,
        source=" with ".join([base, *(file.name for file in files)]),
        home=str(placed_home(folder, manifest).absolute()),
        sampling=dict(sampling),
        files=(*manifest.files, *files),
    )
    return write_entry(hashed(merged, folder, on_hash))


def lora_file(part: str, path: Path, manifest: Manifest) -> PlacedFile:
    """The manifest's entry for a LoRA, once it is known to be one and for a model of this width."""
    path = path.expanduser().absolute()
    header = read_header(path)
    if not is_lora(path):
        raise WeightsError(f"{path} is no LoRA: it has none of the pairs of small matrices. Add a whole model as one.")
    widths, own = widths_of(header), manifest.parts["transformer"]["width"]
    if widths and widths != {own}:
        raise WeightsError(
            f"{path} is a LoRA for a transformer of width {min(widths)}; that of {manifest.name} is {own} wide. Add it "
            "to the model it was made for: --base NAME"
        )
    check_fit(path, manifest)
    return PlacedFile(part=part, name=str(path), sha256="", bytes=path.stat().st_size)


def check_fit(path: Path, manifest: Manifest) -> None:
    """Raise `WeightsError` unless every change of the LoRA finds a tensor of the model that it fits."""
    import torch

    from kinora.transformer.config import TransformerConfig
    from kinora.transformer.keys import rename
    from kinora.transformer.model import Transformer
    from kinora.weights.lora import load_lora, merge

    with torch.device("meta"):
        transformer = Transformer(TransformerConfig(**manifest.parts["transformer"]))
    merge(transformer.state_dict(), load_lora([path], rename))


def widths_of(header: Header) -> set[int]:
    return {entry.shape[-1] for name, entry in header.tensors.items() if QUERY.search(name)}
