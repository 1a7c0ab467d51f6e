"""The reader's sizes."""

from __future__ import annotations

from dataclasses import dataclass

from kinora.core.errors import ShapeError

__all__ = ["ReaderConfig"]

FINE_STRIDE = 8
"""Pixels of the reader's picture under one fine cell: a small body is two to three cells wide."""
TOKEN_STRIDE = 16
"""Pixels under one token of the encoder."""


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """Sizes of a `Reader`."""

    size: int = 128
    """Side of the square picture it looks at, pixels; a multiple of 16."""
    stem_width: int = 64
    """Channels of the convolutions at a quarter of the size; twice as many at an eighth."""
    stem_depth: int = 1
    """Residual blocks at an eighth of the size."""
    width: int = 192
    """Width of the tokens."""
    layers: int = 4
    """Layers of the encoder over space and time."""
    decoder_layers: int = 2
    """Layers of the decoder that follows single bodies and figures."""
    heads: int = 6
    scene_tokens: int = 4
    """Tokens of the encoder that stand for no place, for what is asked of the whole scene."""
    moments: int = 5
    """Moments of a clip that it looks at in one reading; it takes any number, and learns with this one."""
    max_bodies: int = 6
    max_figures: int = 4

    def __post_init__(self) -> None:
        if self.size % TOKEN_STRIDE or self.size < TOKEN_STRIDE:
            raise ShapeError(f"The reader's picture is a multiple of {TOKEN_STRIDE} pixels wide, not {self.size}.")
        if self.width % self.heads:
            raise ShapeError(f"The reader's width {self.width} must be a multiple of its {self.heads} heads.")

    @property
    def fine_grid(self) -> int:
        """Fine cells along a side: where centres of bodies and figures are told."""
        return self.size // FINE_STRIDE

    @property
    def token_grid(self) -> int:
        """Encoder tokens along a side."""
        return self.size // TOKEN_STRIDE

    @property
    def objects(self) -> int:
        """Places for objects in the arrays of truth: bodies first, then figures."""
        return self.max_bodies + self.max_figures
