"""A model ready to make films: its parts, or where they come from, and what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from kinora.codec import Codec, CodecConfig
from kinora.codec.protocol import AnyCodec
from kinora.control.painter import Painter, PainterConfig
from kinora.core.errors import InputError, WeightsError
from kinora.language.director import Director, DirectorConfig
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.text_model import TextModel, Words
from kinora.language.tokenizer import Tokenizer
from kinora.pipeline.facts import facts_of
from kinora.pipeline.parts import Parts
from kinora.pipeline.planning import ModelFacts
from kinora.pipeline.precision import best_device, compute_dtype, use_fast_matmul
from kinora.pipeline.resident import Source
from kinora.presets import Preset, preset_for
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer
from kinora.weights.manifest import Manifest, read_manifest, read_text, weights_hash
from kinora.weights.store import load_module

if TYPE_CHECKING:
    from kinora.understanding.model import Reader

__all__ = ["VOCABULARY", "Model", "checked_device", "config_of", "load_model", "weights_hash"]

Config = TypeVar("Config")

VOCABULARY = "vocabulary.json"
"""The tokenizer's file in a model's folder."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What makes films, and what its manifest says.

    A film takes the parts from `sources`, as a `Resident` places them. Here they stand to be asked what they are: those
    of a bundled model whole, `codec` and `transformer` of open weights on the meta device, without weights.
    """

    manifest: Manifest
    preset: Preset
    codec: AnyCodec
    transformer: Transformer
    sources: Mapping[str, Source]
    device: torch.device
    dtype: torch.dtype
    """What matrix products are done in; latents and noise levels stay float32."""
    director: Director | None = None
    """What says where things stand before they are drawn, on the CPU."""
    painter: Painter | None = None
    """What draws the things that a director places."""
    reads: Callable[[], Reader] | None = None
    """Loads what looks at portraits for the painter."""

    @cached_property
    def text(self) -> TextModel:
        """What reads prompts, on the CPU; open weights stay mapped from their files."""
        text: TextModel = self.sources["text"].open()
        return text

    @cached_property
    def reader(self) -> Reader | None:
        """What looks at portraits, on the CPU; few films have one, so it is loaded when it is asked for."""
        return None if self.reads is None else self.reads()

    @cached_property
    def parts(self) -> Parts:
        """How large the parts are."""
        return Parts.of(self.manifest)

    @property
    def facts(self) -> ModelFacts:
        """What planning needs."""
        return facts_of(self.manifest, str(self.device))


def load_model(folder: Path, *, device: str | None = None) -> Model:
    """The model in `folder`; every shard of one of Kinora's own is checked against its hash, every file of open weights
    for its length.

    Raises `WeightsError` when a part is missing, damaged or of another version, `InputError` for an unknown device.
    """
    place = checked_device(device)
    use_fast_matmul()
    manifest = read_manifest(folder)
    dtype = compute_dtype(str(place))
    if manifest.family:
        return _published(manifest, folder, place, dtype)
    codec = Codec(config_of(CodecConfig.from_dict, manifest, "codec"))
    transformer = Transformer(config_of(lambda values: TransformerConfig(**values), manifest, "transformer"))
    text = TextEncoder(config_of(lambda values: TextEncoderConfig(**values), manifest, "text"))
    for name, module in (("codec", codec), ("transformer", transformer), ("text", text)):
        load_module(module, folder, f"{name}.")
        module.to(place).eval().requires_grad_(requires_grad=False)
    director = None
    if "director" in manifest.parts:
        director = Director(config_of(lambda values: DirectorConfig(**values), manifest, "director"))
        load_module(director, folder, "director.")
        director.eval().requires_grad_(requires_grad=False)
    painter = None
    if "painter" in manifest.parts:
        painter = Painter(config_of(lambda values: PainterConfig(**values), manifest, "painter"))
        load_module(painter, folder, "painter.")
        painter.to(place).eval().requires_grad_(requires_grad=False)
    words = Words(Tokenizer.from_json(read_text(folder, VOCABULARY)), text)
    return Model(
        manifest=manifest,
        preset=preset_for(manifest.name, manifest.sampling),
        codec=codec,
        transformer=transformer,
        sources={"codec": _here(codec), "transformer": _here(transformer), "text": _here(words)},
        reads=partial(_reader, folder) if "reader" in manifest.parts else None,
        director=director,
        painter=painter,
        device=place,
        dtype=dtype,
    )


def _published(manifest: Manifest, folder: Path, place: torch.device, dtype: torch.dtype) -> Model:
    """A model of open weights."""
    if manifest.family != "wan":
        raise WeightsError(f"This Kinora runs open weights of the Wan family, not of {manifest.family!r}. Update it.")
    # The bundled model starts without what only published ones need.
    from kinora.pipeline.open_weights import codec_on_meta, open_sources, transformer_on_meta

    return Model(
        manifest=manifest,
        preset=preset_for(manifest.preset, manifest.sampling),
        codec=codec_on_meta(manifest),
        transformer=transformer_on_meta(manifest),
        sources=open_sources(manifest, folder, place, dtype),
        device=place,
        dtype=dtype,
    )


def _reader(folder: Path) -> Reader:
    from kinora.understanding.store import load_reader

    return load_reader(folder)


def _here(part: Any) -> Source:
    """A small part that is loaded for good; autocast does what a lower precision would."""
    return Source(open=lambda: part, keep=lambda _name: True)


def config_of(build: Callable[[Mapping[str, Any]], Config], manifest: Manifest, part: str) -> Config:
    """A part's configuration; raises `WeightsError` when the model has none, or one that does not fit."""
    if part not in manifest.parts:
        raise WeightsError(f"The model {manifest.name!r} has no {part}, so it cannot make films. Fetch a complete one.")
    try:
        return build(manifest.parts[part])
    except (TypeError, KeyError, InputError) as error:
        raise WeightsError(
            f"The {part} of {manifest.name!r} belongs to another version of Kinora ({error}). Fetch or add it again."
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
