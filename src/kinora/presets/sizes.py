"""How large the parts of a published model are, counted from what they are made of. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kinora.presets.wan import OpenModel
from kinora.transformer.config import TransformerConfig
from kinora.weights.manifest import PlacedFile

__all__ = ["memory_need", "parameters_of"]

CODECS = {"wan21": 126_900_000, "wan22": 704_700_000}
"""Of the published ones; most of it does not follow from a few numbers."""


def parameters_of(model: OpenModel) -> dict[str, int]:
    """Parameters by part, as published."""
    counted = {
        "transformer": transformer_parameters(model.transformer),
        "codec": CODECS[model.codec["kind"]],
        "text": text_parameters(model.text),
    }
    if model.experts == 2:
        counted["transformer_low"] = counted["transformer"]
    if model.image is not None:
        counted["image"] = image_parameters(model.image)
    return counted


def transformer_parameters(config: TransformerConfig) -> int:
    width, inner, square = config.width, config.ffn_width, config.patch**2
    # Two attentions of four layers and two norms; norm3 and the modulation; the feed-forward network.
    block = 8 * (width + 1) * width + 4 * width + 8 * width + (2 * width + 1) * inner + width
    outside = (config.channels + config.extra_channels) * square * width + width
    outside += sum((inputs + 1) * width for inputs in (config.text_width, width, config.frequency_width, width))
    outside += 6 * (width + 1) * width + 2 * width + (width + 1) * config.channels * square
    if config.image_width:
        block += 2 * (width + 1) * width + width
        given = config.image_width
        outside += 2 * given + (given + 1) * (given + width) + 2 * width + config.image_positions * given
    return outside + config.layers * block


def text_parameters(values: Mapping[str, Any]) -> int:
    """umT5's encoder: the table of pieces; four projections, a gated network, two norms and a table of distances."""
    width = values["width"]
    block = 4 * width**2 + 3 * width * values["ffn_width"] + 2 * width + 32 * values["heads"]
    return int(values["vocabulary"] * width + values["layers"] * block + width)


def image_parameters(values: Mapping[str, Any]) -> int:
    """CLIP's vision tower; the file that Wan publishes has its text side beside it."""
    width, inner, patch = values["width"], values["ffn_width"], values["patch"]
    block = 4 * (width + 1) * width + (2 * width + 1) * inner + width + 4 * width
    places = (values["size"] // patch) ** 2 + 1
    return int(values["layers"] * block + (3 * patch**2 + places + 1 + 4) * width)


def memory_need(files: Iterable[PlacedFile]) -> tuple[int, int]:
    """Bytes that weights take in memory as they are stored: all parts at once, and the largest alone, which is the
    least when parts come one after the other. The plan of a film says more exactly what it needs.
    """
    by_part: dict[str, int] = {}
    for file in files:
        if file.part != "tokenizer":
            by_part[file.part] = by_part.get(file.part, 0) + file.bytes
    return sum(by_part.values()), max(by_part.values(), default=0)
