"""One trained part in one file: tensors in safetensors, configuration (and vocabulary) as JSON in its header.

Recipes hand their results on in this form; the bundle recipe joins them into a model folder with a manifest. Such a
folder stands for each of its parts: what was trained once can be trained further from there, or joined anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from kinora.codec.config import CodecConfig
from kinora.codec.model import Codec
from kinora.core.errors import WeightsError
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import Tokenizer
from kinora.training.files import write_atomically
from kinora.weights.manifest import read_checked, read_manifest
from kinora.weights.store import load_tensors

__all__ = ["VOCABULARY", "Part", "load_codec", "load_part", "load_text", "save_part", "without_vocabulary"]

VOCABULARY = "vocabulary.json"
"""The text encoder's words, in a model's folder."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A trained part as it lies on disk."""

    kind: str
    """codec, text, transformer or reader."""
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    record: dict[str, Any]
    """How it was trained, and whatever else belongs to it (the text encoder's vocabulary)."""


def save_part(path: Path, part: Part) -> None:
    """Write a part atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"kind": part.kind, "config": part.config, "record": part.record}
    header = {"part": json.dumps(told, ensure_ascii=False)}  # one entry, so that equal parts are equal files
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in part.tensors.items()}
    write_atomically(path, lambda file: file.write(save(tensors, metadata=header)))


def load_part(path: Path, kind: str) -> Part:
    """Read a part from its file, or out of the folder of a bundled model (as exactly as it is stored there); raises
    `WeightsError` when it is missing, unreadable or of another kind.
    """
    if path.is_dir():
        return _bundled(path, kind)
    if not path.exists():
        raise WeightsError(f"{path} does not exist; the recipe for the {kind} writes it.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("part", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping, only a reader
    except Exception as error:
        raise WeightsError(f"{path} cannot be read ({error}); train it again or take another file.") from error
    if header.get("kind") != kind:
        held = header.get("kind", "file without a kind")
        raise WeightsError(f"{path} holds a {held}, not a {kind}; give the right file.")
    return Part(kind=kind, config=header["config"], tensors=tensors, record=header["record"])


def _bundled(folder: Path, kind: str) -> Part:
    manifest = read_manifest(folder)
    if kind not in manifest.parts:
        held = ", ".join(sorted(manifest.parts))
        raise WeightsError(f"The model in {folder} has no {kind}, only {held}; give the file that its recipe wrote.")
    record = dict(manifest.training.get(kind, {}))
    texts = {entry.name: entry for entry in manifest.texts}
    if kind == "text" and VOCABULARY in texts:
        record["vocabulary"] = read_checked(folder, texts[VOCABULARY]).decode("utf-8")
    return Part(kind=kind, config=dict(manifest.parts[kind]), tensors=load_tensors(folder, f"{kind}."), record=record)


def load_codec(path: Path) -> Codec:
    """The codec stored at `path`, in float32 on the CPU."""
    part = load_part(path, "codec")
    codec = Codec(CodecConfig.from_dict(part.config))
    codec.load_state_dict({name: tensor.to(torch.float32) for name, tensor in part.tensors.items()})
    return codec.eval()


def load_text(path: Path) -> tuple[TextEncoder, Tokenizer]:
    """The text encoder stored at `path` and its vocabulary."""
    part = load_part(path, "text")
    encoder = TextEncoder(TextEncoderConfig(**part.config))
    encoder.load_state_dict({name: tensor.to(torch.float32) for name, tensor in part.tensors.items()})
    return encoder, Tokenizer.from_json(part.record["vocabulary"])


def without_vocabulary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a part's record says of its training, for another record to keep."""
    return {key: value for key, value in record.items() if key != "vocabulary"}
