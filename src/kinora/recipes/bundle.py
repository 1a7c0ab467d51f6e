"""Recipe: trained parts joined into a model folder that `kinora.load` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from kinora.core.errors import InputError
from kinora.training.parts import Part, load_part
from kinora.weights.manifest import Manifest
from kinora.weights.quantise import Storage
from kinora.weights.store import save_model

__all__ = ["SIZES_256", "bundle_recipe"]

FRAME_RATE = 16.0
STORAGE: Mapping[str, Storage] = {
    "codec": "float32",  # its linear half is exact to 10 dB more than bfloat16 can carry
    "text": "bfloat16",
    "transformer": "bfloat16",
    "reader": "bfloat16",
}
SIZES_256 = {"1:1": (256, 256), "16:9": (192, 320), "9:16": (320, 192)}
"""Picture (height, width) by aspect, for a model trained on squares of 256; others are in proportion."""


def bundle_recipe(
    out: Path,
    *,
    name: str,
    codec: Path,
    text: Path,
    transformer: Path,
    reader: Path | None = None,
    storage: Mapping[str, Storage] | None = None,
) -> Manifest:
    """Write the model folder `out` (replacing what is there) and return its manifest.

    Raises `InputError` for parts that do not belong together, `WeightsError` for a part that cannot be read.
    """
    paths = {"codec": codec, "text": text, "transformer": transformer}
    if reader is not None:
        paths["reader"] = reader
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
        training={kind: _without_vocabulary(part.record) for kind, part in parts.items()},
    )
    chosen = STORAGE if storage is None else storage
    texts = {"vocabulary.json": parts["text"].record["vocabulary"]}
    return save_model(out, tensors, manifest, storage=chosen, texts=texts)


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


def _sizes(library: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Picture sizes by aspect, in proportion to the squares of the library, on the grid of 32 pixels."""
    scale = min(library["height"], library["width"]) / 256
    return {
        aspect: (max(32, round(height * scale / 32) * 32), max(32, round(width * scale / 32) * 32))
        for aspect, (height, width) in SIZES_256.items()
    }


def _without_vocabulary(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "vocabulary"}
