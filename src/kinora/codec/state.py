"""What a codec must remember between two chunks of one clip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["START", "CodecState"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodecState:
    """Where a stream stands, of any codec. Immutable: a step takes one and returns the next; a stream can be forked or
    replayed.
    """

    latent_frames: int = 0
    """Latent frames that have passed; 0 means that the next chunk holds the clip's first frame."""
    past: tuple[Tensor, ...] = ()
    """What each layer that looks back has kept, in the codec's own order and layout; empty before the first chunk."""


START = CodecState()
"""The state before a clip's first frame."""
