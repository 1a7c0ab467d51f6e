"""What a codec is made of, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kinora.core.errors import InputError
from kinora.core.shapes import Compression

__all__ = ["PICTURE_STRIDE", "CodecConfig"]

PICTURE_STRIDE = 4
"""Pixels a cell of the decoder's fine half stands for, along each side of the picture."""


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """A linear encoder and a decoder that is its transpose plus a learned correction."""

    compression: Compression = field(default_factory=Compression)
    """Pixels one latent stands for."""
    channels: int = 48
    """Numbers kept of each space x space x time patch."""
    whitening: float = 0.5
    """How far latents are evened out: component c is divided by std_c**whitening. 0 keeps a common scale; 1 gives every
    component unit variance, which makes a model spend as much on the finest ripple as on the place of a body."""
    trunk_width: int = 160
    """Channels of the decoder's causal blocks on the latent grid."""
    trunk_blocks: int = 3
    """Causal blocks on the latent grid; 0 together with `picture_blocks=0` leaves the codec linear."""
    picture_features: int = 24
    """Channels the trunk hands to each cell of PICTURE_STRIDE pixels in each frame."""
    picture_width: int = 64
    """Channels of the decoder's blocks at 1/PICTURE_STRIDE of the picture's size; they see one frame at a time."""
    picture_blocks: int = 3
    """Blocks at 1/PICTURE_STRIDE of the picture's size."""

    def __post_init__(self) -> None:
        space = self.compression.space
        if space % PICTURE_STRIDE:
            raise InputError(f"A codec's stride in space is a multiple of {PICTURE_STRIDE}, not {space}.")
        if not 1 <= self.channels <= self.patch_size:
            raise InputError(
                f"A patch of {self.patch_size} numbers cannot be kept in {self.channels}; "
                f"choose 1 to {self.patch_size}."
            )
        if not 0.0 <= self.whitening <= 1.0:
            raise InputError(f"Whitening is a power between 0 and 1, not {self.whitening:g}.")

    @property
    def patch_size(self) -> int:
        """Numbers in one patch: three colours, `time` frames, `space` x `space` pixels."""
        return 3 * self.compression.time * self.compression.space**2

    @property
    def linear(self) -> bool:
        """True when there is no learned correction at all."""
        return self.trunk_blocks == 0 and self.picture_blocks == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CodecConfig:
        """The inverse of `to_dict`; an unknown name raises `TypeError`."""
        return cls(**{**values, "compression": Compression(**values["compression"])})
