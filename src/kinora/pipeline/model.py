"""A model in memory, all parts that generation needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from kinora.codec import Codec, CodecConfig
from kinora.core.errors import InputError, WeightsError
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import Tokenizer
from kinora.pipeline.planning import ModelFacts
from kinora.pipeline.precision import best_device, compute_dtype, use_fast_matmul
from kinora.presets import Preset, preset_for
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer
from kinora.weights.manifest import Manifest, read_manifest, read_text, weights_hash
from kinora.weights.store import load_module

__all__ = ["VOCABULARY", "Model", "checked_device", "load_model", "weights_hash"]

Config = TypeVar("Config")

VOCABULARY = "vocabulary.json"
"""The tokenizer's file in a model's folder."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Weights on a device, ready to run, and what their manifest says."""

    manifest: Manifest
    preset: Preset
    codec: Codec
    transformer: Transformer
    text: TextEncoder
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    """What matrix products are done in; latents and noise levels stay float32."""

    @property
    def facts(self) -> ModelFacts:
        """What planning needs."""
        config = self.transformer.config
        parts = (self.codec, self.transformer, self.text)
        return ModelFacts(
            name=self.manifest.name,
            sizes={aspect: (width, height) for aspect, (height, width) in self.manifest.sizes.items()},
            frame_rate=self.manifest.frame_rate,
            compression=self.codec.config.compression,
            patch=config.patch,
            width=config.width,
            layers=config.layers,
            ffn_width=config.ffn_width,
            parameter_bytes=sum(tensor.nbytes for part in parts for tensor in part.state_dict().values()),
            device=str(self.device),
        )


def load_model(folder: Path, *, device: str | None = None) -> Model:
    """The model in `folder`, every shard checked against its hash.

    Raises `WeightsError` when a part is missing, damaged or of another version, `InputError` for an unknown device.
    """
    place = checked_device(device)
    use_fast_matmul()
    manifest = read_manifest(folder)
    codec = Codec(config_of(CodecConfig.from_dict, manifest, "codec"))
    transformer = Transformer(config_of(lambda values: TransformerConfig(**values), manifest, "transformer"))
    text = TextEncoder(config_of(lambda values: TextEncoderConfig(**values), manifest, "text"))
    for name, module in (("codec", codec), ("transformer", transformer), ("text", text)):
        load_module(module, folder, f"{name}.")
        module.to(place).eval().requires_grad_(requires_grad=False)
    return Model(
        manifest=manifest,
        preset=preset_for(manifest.name, manifest.sampling),
        codec=codec,
        transformer=transformer,
        text=text,
        tokenizer=Tokenizer.from_json(read_text(folder, VOCABULARY)),
        device=place,
        dtype=compute_dtype(str(place)),
    )


def config_of(build: Callable[[Mapping[str, Any]], Config], manifest: Manifest, part: str) -> Config:
    """A part's configuration; raises `WeightsError` when the model has none, or one that does not fit."""
    if part not in manifest.parts:
        raise WeightsError(f"The model {manifest.name!r} has no {part}, so it cannot make films. Fetch a complete one.")
    try:
        return build(manifest.parts[part])
    except (TypeError, KeyError, InputError) as error:
        raise WeightsError(
            f"The {part} of {manifest.name!r} belongs to another version of Kinora ({error})."
        ) from error


def checked_device(device: str | None) -> torch.device:
    """The device of that name, or the best there is; raises `InputError` for one that this machine lacks."""
    try:
        place = torch.device(device or best_device())
    except RuntimeError as error:
        raise InputError(f"There is no device {device!r}; cpu and cuda are the usual ones.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"This machine offers no {device!r} to torch; leave the device out to run on the CPU.")
    return place
