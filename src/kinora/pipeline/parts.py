"""How large the parts of a model are and what they need while they work. Arithmetic on configs; knows no torch.

The counts are those of the classes (checked against them); what is needed at work was measured and is good to a
quarter, see docs/design/decisions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kinora.core.errors import WeightsError
from kinora.transformer.config import TransformerConfig
from kinora.weights.manifest import Manifest

__all__ = ["CODEC_AT_WORK", "ITEM_BYTES", "PAIR_TOKENS", "CodecAtWork", "Part", "Parts", "transformer_bytes"]


ITEM_BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
PAIR_TOKENS = 8192
"""Up to here both sides of guidance are asked as a batch of two; more tokens fill a device one side at a time."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part at rest."""

    parameters: int
    stored_bytes: int
    """In its files."""
    blocks: int = 0
    """Blocks of a kind that can come one after the other; 0 for a part that is whole or not there."""
    block_parameters: int = 0
    fetches: bool = False
    """Whether it brings its own blocks, one at a time, and leaves its weights in their files (umT5)."""

    @property
    def stored_item(self) -> float:
        """Bytes a number takes in the files."""
        return self.stored_bytes / self.parameters

    def bytes(self, item: int) -> int:
        """Whole, at `item` bytes a number."""
        return self.parameters * item

    def outside_bytes(self, item: int) -> int:
        """All but the blocks."""
        return (self.parameters - self.blocks * self.block_parameters) * item


@dataclass(frozen=True, kw_only=True)
class CodecAtWork:
    """What a decoder needs beyond its weights, in numbers per pixel of a frame and unit of `width`."""

    chunk: float
    """For each pixel frame that is decoded at once."""
    state: float
    """For what is kept from chunk to chunk, the old and the new while one becomes the other."""
    width: str = ""
    """Field of the config that it grows with; empty for none."""


CODEC_AT_WORK: Mapping[str, CodecAtWork] = {
    "kinora": CodecAtWork(chunk=22.0, state=8.0),
    "wan21": CodecAtWork(chunk=5.0, state=2 * 24.7, width="width"),
    "wan22": CodecAtWork(chunk=2.0, state=2 * 7.0, width="decoder_width"),
}
"""The states are counted; a chunk is five rows of the last stage, which has all the pixels (Wan 2.2: a quarter)."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All parts of a model that making a film needs, as its manifest tells them."""

    name: str
    transformer: TransformerConfig
    codec: Mapping[str, Any]
    text: Mapping[str, Any]
    by_name: Mapping[str, Part] = field(default_factory=dict)
    """transformer, transformer_low, text, image, codec: those that the model has."""
    mapped: bool = True
    """Whether the parts are published weights, mapped from their files and let go at will. A model of Kinora's own is
    small, float32 and there for good.
    """

    def item(self, dtype: str) -> int:
        """Bytes of a number at rest, when work is done in `dtype`."""
        return ITEM_BYTES[dtype] if self.mapped else 4

    @classmethod
    def of(cls, manifest: Manifest) -> Parts:
        """Raises `WeightsError` when the manifest lacks a part or describes one of another version."""
        try:
            config = TransformerConfig(**manifest.parts["transformer"])
            codec, text = manifest.parts["codec"], manifest.parts["text"]
            counted = {"transformer": _transformer(config), "text": _text(text), "codec": _codec(codec)}
            if any(file.part == "transformer_low" for file in manifest.files) or "transformer_low" in manifest.parts:
                counted["transformer_low"] = counted["transformer"]
            if "image" in manifest.parts:
                counted["image"] = _image(manifest.parts["image"])
        except (KeyError, TypeError) as error:
            raise WeightsError(
                f"The manifest of {manifest.name!r} does not say what its parts are ({error}); add the model again."
            ) from error
        parts = {name: _with_files(part, name, manifest) for name, part in counted.items()}
        return cls(
            name=manifest.name,
            transformer=config,
            codec=codec,
            text=text,
            by_name=parts,
            mapped=bool(manifest.family),
        )

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of its transformers, in the order in which they are asked."""
        return tuple(name for name in ("transformer", "transformer_low") if name in self.by_name)

    def imagine_bytes(
        self, tokens: int, item: int, *, sides: int, pieces: bool = False, own_levels: bool = False
    ) -> int:
        """What the transformer needs at work with `sides` texts prepared: what it keeps of each block's keys and
        values of the text, and the widest moment of a block. Few tokens are asked for both sides at once.
        """
        config = self.transformer
        tokens = sides * tokens if tokens <= PAIR_TOKENS else tokens
        positions = config.text_length + (max(config.image_positions, 257) if config.image_width else 0)
        prepared = 2 * sides * config.layers * positions * config.width * item
        return prepared + transformer_bytes(config, tokens, item, pieces=pieces, own_levels=own_levels)

    def read_bytes(self, item: int) -> int:
        """What the text encoder needs at work: rows of the widest layer, and the scores of its attention."""
        values = self.text
        length, width = int(values["length"]), int(values["width"])
        rows = length * (8 * width + 3 * int(values["ffn_width"])) * item
        return rows + 3 * int(values["heads"]) * length**2 * 4

    def draw_bytes(self, pixels: int, frames: int, item: int) -> int:
        """What the codec needs to decode `frames` frames of `pixels` pixels at once, itself and its state."""
        need = CODEC_AT_WORK[self.codec.get("kind", "kinora")]
        width = int(self.codec[need.width]) if need.width else 1
        # The finished frames, clamped, as bytes, and on their way there.
        colours = 3 * 8 * pixels * frames
        return int(pixels * width * item * (need.chunk * frames + need.state)) + colours


def transformer_bytes(
    config: TransformerConfig, tokens: int, item: int, *, pieces: bool = False, own_levels: bool = False
) -> int:
    """The widest moment of one block over `tokens` tokens at `item` bytes a number, weights not counted.

    Norms and turning are float32 whatever the products are done in. `pieces`: the feed-forward network takes some
    tokens at a time, as on a CPU. `own_levels`: the tokens of a frame have noise levels of their own, so that there are
    as many rows of modulation as tokens, at worst.
    """
    width, head = config.width, config.head_width
    # The stream before and after the last sum, the modulated rows, queries, keys; a norm at work on one of them.
    attention = 5 * width * item + 3 * width * 4 + 8 * head
    # The stream three times, the modulated rows; the network's inside before and after its activation.
    feed_forward = (4 * width + (2 * width if pieces else 2 * config.ffn_width)) * item + 4 * head
    # The embedding, its six rows, and these with a block's own added.
    levels = (1 + 6 + 6) * width * 4 if own_levels else 0
    return tokens * (max(attention, feed_forward) + levels)


def _transformer(config: TransformerConfig) -> Part:
    width, inner, square = config.width, config.ffn_width, config.patch**2
    image = 2 * (width**2 + width) + width if config.image_width else 0
    block = 8 * (width**2 + width) + 4 * width + 2 * width * inner + inner + width + 2 * width + 6 * width + image
    outside = (config.channels + config.extra_channels) * square * width + width
    outside += (config.text_width + 1) * width + (width + 1) * width
    outside += (config.frequency_width + 1) * width + (width + 1) * width + 6 * (width + 1) * width
    outside += (width + 1) * config.channels * square + 2 * width
    outside += config.control_channels * square * width + config.pose_width * width
    outside += (config.mouth_width + 1) * width if config.mouth_width else 0
    if config.image_width:
        known = config.image_width
        outside += 2 * known + (known + 1) * known + (known + 1) * width + 2 * width + config.image_positions * known
    parameters = outside + config.layers * block
    return Part(parameters=parameters, stored_bytes=4 * parameters, blocks=config.layers, block_parameters=block)


def _text(values: Mapping[str, Any]) -> Part:
    """umT5 and Kinora's own encoder are alike: four projections, a gated network, two norms."""
    width, inner, layers = int(values["width"]), int(values["ffn_width"]), int(values["layers"])
    block = 4 * width**2 + 3 * width * inner + 2 * width
    if values.get("kind") == "umt5":
        block += 32 * int(values["heads"])
    parameters = int(values["vocabulary"]) * width + layers * block + width
    return Part(
        parameters=parameters,
        stored_bytes=4 * parameters,
        blocks=layers,
        block_parameters=block,
        fetches=values.get("kind") == "umt5",
    )


def _image(values: Mapping[str, Any]) -> Part:
    """A vision transformer of plain layers."""
    width, inner = int(values["width"]), int(values["ffn_width"])
    block = 4 * (width + 1) * width + 2 * width * inner + inner + width + 4 * width
    places = (int(values["size"]) // int(values["patch"])) ** 2 + 1
    parameters = int(values["layers"]) * block + (3 * int(values["patch"]) ** 2 + places + 5) * width
    return Part(parameters=parameters, stored_bytes=4 * parameters)


def _codec(values: Mapping[str, Any]) -> Part:
    """The published autoencoders' counts, which grow with the square of their width; Kinora's own is a small one."""
    kind = values.get("kind", "kinora")
    parameters = 1.0e6
    if kind == "wan21":
        parameters = 126.9e6 * (int(values["width"]) / 96) ** 2
    elif kind == "wan22":
        encoder, decoder = int(values["encoder_width"]) / 160, int(values["decoder_width"]) / 256
        parameters = 149.6e6 * encoder**2 + 555.1e6 * decoder**2
    return Part(parameters=int(parameters), stored_bytes=4 * int(parameters))


def _with_files(part: Part, name: str, manifest: Manifest) -> Part:
    """The part with the bytes of its files, where they are files of its own."""
    stored = sum(file.bytes for file in manifest.files if file.part == name)
    return replace(part, stored_bytes=stored) if stored else part
