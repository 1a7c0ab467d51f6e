"""Presets of size: everything that differs between a rehearsal, a CPU run and a GPU run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kinora.codec.config import CodecConfig
from kinora.control.blocking import BLOCKING_CHANNELS
from kinora.core.errors import InputError
from kinora.language.encoder import TextEncoderConfig
from kinora.training.objective import ObjectiveConfig
from kinora.training.optimise import OptimiserConfig
from kinora.transformer.config import TransformerConfig

__all__ = ["SIZES", "Size", "gpu", "neighbours", "size_named", "small", "smoke"]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a model is, and how it is trained."""

    name: str
    height: int
    width: int
    clips: int
    """Clips in the library."""
    codec: CodecConfig
    transformer_width: int
    transformer_layers: int
    transformer_heads: int
    ffn_width: int
    text_width: int
    text_layers: int
    text_length: int
    image_batch: int
    """Still pictures in a step of a first stage."""
    video_batch: int
    """Clips in a step of the later stages."""
    image_share: float = 0.0
    """Share of the time for a first stage of still pictures alone. None: what a long one taught, clips forgot, and what
    clips had taught it cost (docs/log.md); pictures are mixed into the steps of clips instead.
    """
    picture_steps: float = 0.25
    """Share of the clips' steps that show as many single pictures as a step has latent frames: looks of many more
    scenes for the same cost.
    """
    latent_frames: int = 5
    patch: int = 2
    control_channels: int = BLOCKING_CHANNELS
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def transformer(self) -> TransformerConfig:
        """The transformer of this size."""
        return TransformerConfig(
            width=self.transformer_width,
            layers=self.transformer_layers,
            heads=self.transformer_heads,
            ffn_width=self.ffn_width,
            channels=self.codec.channels,
            text_width=self.text_width,
            text_length=self.text_length,
            patch=self.patch,
            control_channels=self.control_channels,
            place=True,
            pose_width=12,
            mouth_width=48,
        )

    def text(self, vocabulary: int) -> TextEncoderConfig:
        """The text encoder of this size."""
        return TextEncoderConfig(
            vocabulary=vocabulary,
            width=self.text_width,
            layers=self.text_layers,
            heads=4,
            ffn_width=2 * self.text_width,
            length=self.text_length,
        )


def smoke() -> Size:
    """Seconds on one core: for rehearsals and tests."""
    return Size(
        name="smoke", height=64, width=64, clips=64, codec=CodecConfig(channels=16, trunk_blocks=0, picture_blocks=0),
        transformer_width=128, transformer_layers=4, transformer_heads=4, ffn_width=256,
        text_width=64, text_layers=2, text_length=96, image_batch=16, video_batch=8,
    )  # fmt: skip


def small() -> Size:
    """About 8 M parameters: what two CPU cores can train in an hour or two."""
    return Size(
        name="small", height=256, width=256, clips=12_288, codec=CodecConfig(),
        transformer_width=256, transformer_layers=6, transformer_heads=4, ffn_width=1024,
        text_width=192, text_layers=3, text_length=80, image_batch=32, video_batch=12, picture_steps=0.4,
    )  # fmt: skip


def gpu() -> Size:
    """About 30 M parameters for one large GPU and some twenty minutes."""
    return Size(
        name="gpu", height=256, width=256, clips=24_576, codec=CodecConfig(),
        transformer_width=384, transformer_layers=12, transformer_heads=6, ffn_width=1536,
        text_width=256, text_layers=4, text_length=96, image_batch=512, video_batch=192,
    )  # fmt: skip


def neighbours(size: Size) -> tuple[Size, ...]:
    """The size itself, then a smaller and a larger transformer, for the probe to choose from."""

    def changed(heads: int, layers: int) -> Size:
        width = size.transformer_width // size.transformer_heads * heads
        return replace(
            size, transformer_heads=heads, transformer_layers=layers, transformer_width=width,
            ffn_width=size.ffn_width // size.transformer_width * width,
        )  # fmt: skip

    heads, layers = size.transformer_heads, size.transformer_layers
    return size, changed(heads - 1, max(1, layers - 2)), changed(heads + 1, layers)


SIZES = {"smoke": smoke, "small": small, "gpu": gpu}


def size_named(name: str) -> Size:
    """The preset of that name; raises `InputError` naming those there are."""
    if name not in SIZES:
        raise InputError(f"There is no size {name!r}; choose one of {', '.join(SIZES)}.")
    return SIZES[name]()
