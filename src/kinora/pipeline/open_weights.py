"""Published weights of the open Wan family as a `Model`: every part mapped from the files its manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinora.codec.build import build_codec
from kinora.codec.keys import rename as codec_names
from kinora.language.umt5 import open_umt5
from kinora.pipeline.model import config_of
from kinora.pipeline.resident import Source, precise
from kinora.transformer.config import TransformerConfig
from kinora.transformer.keys import rename as transformer_names
from kinora.transformer.model import Transformer
from kinora.understanding.clip_image import open_image_tokens
from kinora.weights.lora import load_lora, merge
from kinora.weights.manifest import Manifest
from kinora.weights.mapped import fill, open_tensors
from kinora.weights.naming import renamed
from kinora.weights.placed import check_sizes, placed_paths

__all__ = ["codec_on_meta", "open_sources", "transformer_on_meta"]


def open_sources(manifest: Manifest, folder: Path, device: torch.device, dtype: torch.dtype) -> Mapping[str, Source]:
    """Where each part of the model comes from; the text and image encoders compute in `dtype` on `device`.

    Nothing is read yet but the files' sizes. Raises `WeightsError` when one is missing or was changed.
    """
    check_sizes(folder, manifest)

    def paths(part: str) -> tuple[Path, ...]:
        return placed_paths(folder, manifest, part)

    def transformer(part: str, *loras: str) -> Transformer:
        module = transformer_on_meta(manifest)
        tensors: Mapping[str, torch.Tensor] = renamed(open_tensors(paths(part)), transformer_names)
        lora = next((found for name in loras if (found := paths(name))), ())
        if lora:
            tensors = merge(tensors, load_lora(lora, transformer_names))
        fill(module, tensors, f"the {part} of {manifest.name}")
        return module

    def codec() -> nn.Module:
        module = codec_on_meta(manifest)
        fill(module, renamed(open_tensors(paths("codec")), codec_names), f"the codec of {manifest.name}")
        return module

    sources = {
        "transformer": Source(open=lambda: transformer("transformer", "lora"), blocks="blocks", keep=precise),
        "codec": Source(open=codec),
        "text": Source(
            open=lambda: open_umt5(
                manifest.parts["text"], paths("text"), paths("tokenizer"), dtype=dtype, device=device
            ),
            fetches=True,
        ),
    }
    if paths("transformer_low"):
        low = Source(open=lambda: transformer("transformer_low", "lora_low", "lora"), blocks="blocks", keep=precise)
        sources["transformer_low"] = low
    if "image" in manifest.parts:
        sources["image"] = Source(
            open=lambda: open_image_tokens(manifest.parts["image"], paths("image"), dtype=dtype),
        )
    return sources


def transformer_on_meta(manifest: Manifest) -> Transformer:
    """The transformer without its weights: what it is made of can be asked."""
    with torch.device("meta"):
        return Transformer(config_of(lambda values: TransformerConfig(**values), manifest, "transformer"))


def codec_on_meta(manifest: Manifest) -> Any:
    """The codec without its weights."""
    with torch.device("meta"):
        return config_of(build_codec, manifest, "codec")
