"""What layers that look back in time remember, and the memory they work in."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Reel"]


class Reel:
    """What the layers of one half keep between chunks, in the order in which they are called.

    Each frame is let go as soon as its layer has taken it, so a stream never holds two chunks' worth.
    """

    def __init__(self, kept: Iterable[Tensor] = ()) -> None:
        self._kept, self._next = deque(kept), deque[Tensor]()
        self._lent: dict[str, Tensor] = {}
        self.first = not self._kept
        """Whether the chunk begins with the clip's first frame, which stands for itself alone in time."""

    def take(self) -> Tensor | None:
        """What the layer called now has kept: shape (B, C, up to 2, H, W), or None in a clip's first chunk."""
        return None if self.first else self._kept.popleft()

    def keep(self, x_BCTHW: Tensor) -> None:
        """What the same layer will take in the next chunk."""
        self._next.append(x_BCTHW)

    def wind(self) -> None:
        """Make ready for the next chunk."""
        self._kept, self._next = self._next, deque()
        self.first = False

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """All that waits to be taken."""
        return tuple(self._kept)

    def lend(self, use: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Memory for one use, not cleared; the next loan for that use takes it back.

        Fresh memory has its price on a CPU: 50 ms for 100 MB, page by page, where a convolution that fills it takes
        half a second.
        """
        size, mode = math.prod(shape), torch.is_inference_mode_enabled()
        lent = self._lent.get(use)
        if lent is None or lent.numel() < size or lent.dtype != like.dtype or lent.is_inference() != mode:
            lent = self._lent[use] = like.new_empty(size)
        return lent[:size].view(*shape)
