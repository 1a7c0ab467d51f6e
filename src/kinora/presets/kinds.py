"""What a set of tensors is, read off its names and shapes: a Wan transformer, an autoencoder, a text encoder, CLIP, a
LoRA. Knows no torch.

Shapes say all but the number of heads; that comes from a config beside the file, or from the width of a head, which is
the same in all published models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinora.core.errors import InputError, WeightsError
from kinora.transformer.config import TransformerConfig
from kinora.transformer.keys import rename
from kinora.weights.header import TensorEntry
from kinora.weights.naming import renamed

__all__ = ["SPIECE", "Piece", "piece_of"]

HEAD_WIDTH = 128
"""Of every Wan transformer."""
CLIP_HEAD_WIDTH = 80
"""Of CLIP ViT-H/14."""
SPIECE = "spiece_model"
"""Tensor of ComfyUI's text encoder files that holds the sentencepiece model of the tokenizer, byte for byte."""

KIN = (
    ("vace_", "Wan VACE"),
    ("audio_injector", "Wan S2V"),
    ("face_adapter", "Wan Animate"),
    ("control_adapter", "Wan Fun Camera"),
    ("ref_conv", "Wan Fun Control"),
)
"""Beginnings of names that only other members of the family have."""
LORA = re.compile(r"\.(lora_[AB]|lora_down|lora_up)\.|\.diff(_b)?$")
READ_DTYPES = frozenset({"F32", "F16", "BF16", "U8", "I64"})
"""What is read; U8 for the tokenizer's bytes, I64 for the place numbers CLIP keeps."""
READ_TEXT_DTYPES = READ_DTYPES | {"F8_E4M3", "F8_E5M2"}
"""A text encoder's fp8 is cast when it is loaded."""
SCALED = ("scale_weight", "scale_input", "scaled_fp8", "comfy_quant")
"""Last words of names beside tensors that mean nothing without a scale."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A set of tensors, and what it is."""

    part: str
    """transformer, codec, text, image, lora, or "other" for what Kinora does not know."""
    config: Mapping[str, Any]
    """As a manifest keeps it under `parts`."""
    files: tuple[Path, ...]
    trouble: str = ""
    """Why it cannot be used, where it is of the right kind and yet cannot."""
    spiece: bool = False
    """Whether the tokenizer is inside."""

    @property
    def label(self) -> str:
        """A name a user would know it by."""
        return self.files[0].name


def piece_of(files: tuple[Path, ...], tensors: Mapping[str, TensorEntry], told: Mapping[str, Any]) -> Piece:
    """What the tensors of `files` are together.

    `told` is the config.json beside them, empty where there is none, and passed over where it is another part's;
    raises `WeightsError` where it contradicts the shapes, for then one of them belongs to another model.
    """
    shapes = {name: entry.shape for name, entry in renamed(tensors, rename).items()}
    part, config = _told_apart(shapes, told, files[0])
    foreign = {entry.dtype for entry in tensors.values()} - (READ_TEXT_DTYPES if part == "text" else READ_DTYPES)
    foreign |= {"with scales of its own" for name in tensors if name.rpartition(".")[2] in SCALED}
    trouble = ""
    if foreign and part not in ("other", "lora"):
        trouble = (
            f"{files[0]} is quantised ({', '.join(sorted(foreign))}), which this Kinora does not read. Fetch the bf16 "
            "or fp16 file of the same model."
        )
    kin = next((title for start, title in KIN if any(name.startswith(start) for name in shapes)), "")
    if part == "transformer" and kin:
        trouble = f"{files[0]} is {kin}, which this Kinora does not run; it runs text-to-video and image-to-video."
    return Piece(part=part, config=config, files=files, trouble=trouble, spiece=SPIECE in tensors)


def _told_apart(shapes: Shapes, told: Mapping[str, Any], file: Path) -> tuple[str, Mapping[str, Any]]:
    names = shapes.keys()
    if any(LORA.search(name) for name in names):
        return "lora", {}
    try:
        if {"patch_embedding.weight", "head.head.weight"} <= names:
            return "transformer", _transformer(shapes, told, file)
        if any(name.startswith("decoder.mid") for name in names) and _first(shapes, *_LATENT_MIX):
            return "codec", _codec(shapes)
        if _first(shapes, *_TEXT_BIAS):
            return "text", _text(shapes, told, file)
        if _first(shapes, *_CLIP_PATCH):
            return "image", _image(shapes, told, file)
    except (KeyError, IndexError, ValueError, InputError) as error:
        raise WeightsError(
            f"{file} looks like a part of a Wan model, but its tensors do not go together ({error}). Fetch it again."
        ) from error
    return "other", {}


def _transformer(shapes: Shapes, told: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    told = told if "Wan" in told.get("_class_name", "") else {}
    width, taken, _, patch, _ = shapes["patch_embedding.weight"]
    channels = shapes["head.head.weight"][0] // (patch * patch)
    heads = told.get("num_heads", told.get("num_attention_heads"))
    if heads is None and width % HEAD_WIDTH:
        raise ValueError(
            f"a width of {width} shared by heads that are {HEAD_WIDTH} wide; put its config.json beside it"
        )
    config = TransformerConfig(
        width=width,
        layers=_layers(shapes, r"blocks\.(\d+)\."),
        heads=heads or width // HEAD_WIDTH,
        ffn_width=shapes["blocks.0.ffn.0.weight"][0],
        channels=channels,
        extra_channels=taken - channels,
        text_width=shapes["text_embedding.0.weight"][1],
        text_length=told.get("text_len", 512),
        patch=patch,
        frequency_width=shapes["time_embedding.0.weight"][1],
        image_width=shapes.get("img_emb.proj.0.weight", (0,))[0],
        image_positions=shapes.get("img_emb.emb_pos", (1, 0, 0))[1],
        pose_width=0,
        mouth_width=0,
        eps=told.get("eps", 1e-6),
    )
    _agree(told, file, num_layers=config.layers, ffn_dim=config.ffn_width, dim=width, in_dim=taken, in_channels=taken)
    _agree(told, file, out_dim=channels, out_channels=channels, text_dim=config.text_width)
    return asdict(config)


_LATENT_MIX = ("conv2.weight", "post_quant_conv.weight")


def _codec(shapes: Shapes) -> Mapping[str, Any]:
    """The later autoencoder takes squares of 2 x 2 pixels as 12 channels, the earlier one the 3 colours."""
    wide, colours = _need(shapes, "encoder.conv1.weight", "encoder.conv_in.weight")[:2]
    channels = _need(shapes, *_LATENT_MIX)[0]
    if colours == 3:
        return {"kind": "wan21", "width": wide, "channels": channels}
    decoder = _need(shapes, "decoder.head.2.weight", "decoder.conv_out.weight")[1]
    return {"kind": "wan22", "encoder_width": wide, "decoder_width": decoder, "channels": channels}


_TEXT_BIAS = (
    "blocks.0.pos_embedding.embedding.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
)


def _text(shapes: Shapes, told: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """A bias a layer says umT5; T5 itself has one for all."""
    told = told if "t5" in told.get("model_type", "") else {}
    vocabulary, width = _need(shapes, "token_embedding.weight", "shared.weight", "encoder.embed_tokens.weight")
    config: dict[str, Any] = {
        "kind": "umt5",
        "width": width,
        "layers": _layers(shapes, r"(?:blocks|encoder\.block)\.(\d+)\."),
        "heads": _need(shapes, *_TEXT_BIAS)[1],
        "ffn_width": _need(shapes, "blocks.0.ffn.gate.0.weight", "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[
            0
        ],
        "vocabulary": vocabulary,
        "length": 512,
    }
    if config["layers"] > 1 and not _first(shapes, *(name.replace(".0.", ".1.", 1) for name in _TEXT_BIAS)):
        raise ValueError("one table of distances for all layers: this is a T5, not the umT5 that Wan reads texts with")
    _agree(told, file, d_model=width, num_layers=config["layers"], num_heads=config["heads"], d_ff=config["ffn_width"])
    return config


_CLIP = ("visual.", "vision_model.embeddings.", "embeddings.")
"""Where CLIP's first layers are: in Wan's own file, in transformers' as it was long written, and as it is now."""
_CLIP_PATCH = tuple(f"{where}patch_embedding.weight" for where in _CLIP)


_CLIP_ROW = ("vision_model.encoder.layers.", "encoder.layers.")


def _image(shapes: Shapes, told: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    told = told.get("vision_config", told) if "clip" in told.get("model_type", "") else {}
    width, _, patch, _ = _need(shapes, *_CLIP_PATCH)
    inner, _ = _need(shapes, "visual.transformer.0.mlp.0.weight", *(f"{row}0.mlp.fc1.weight" for row in _CLIP_ROW))
    places = _need(shapes, "visual.pos_embedding", *(f"{where}position_embedding.weight" for where in _CLIP[1:]))[-2]
    config: dict[str, Any] = {
        "width": width,
        "layers": _layers(shapes, r"(?:visual\.transformer|(?:vision_model\.)?encoder\.layers)\.(\d+)\."),
        "heads": told.get("num_attention_heads", max(1, width // CLIP_HEAD_WIDTH)),
        "ffn_width": inner,
        "patch": patch,
        "size": patch * round((places - 1) ** 0.5),
    }
    _agree(told, file, hidden_size=width, patch_size=patch, image_size=config["size"])
    return config


def _layers(shapes: Shapes, pattern: str) -> int:
    """How many there are, counted from 0 without a gap."""
    numbers = {int(match[1]) for name in shapes if (match := re.match(pattern, name))}
    if numbers != set(range(len(numbers))) or not numbers:
        raise ValueError(f"layers {sorted(set(range(max(numbers, default=0) + 1)) - numbers)} are missing")
    return len(numbers)


def _first(shapes: Shapes, *names: str) -> tuple[int, ...] | None:
    return next((shapes[name] for name in names if name in shapes), None)


def _need(shapes: Shapes, *names: str) -> tuple[int, ...]:
    shape = _first(shapes, *names)
    if shape is None:
        raise ValueError(f"{_either(names)} is missing")
    return shape


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _agree(told: Mapping[str, Any], file: Path, **found: int) -> None:
    """What a config says must be what the shapes say, wherever it says it."""
    for name, value in found.items():
        if told.get(name, value) != value:
            raise WeightsError(
                f"The config.json beside {file} says {name} {told[name]}, but the tensors say {value}: they belong to "
                "different models, or a shard is missing. Fetch the folder again."
            )
