"""Sizes of clips, latents and token grids, with the arithmetic between them.

pixels  1 + time * (T - 1) frames,  space * H  by  space * W
latents T frames, H by W            (the first latent frame holds one pixel frame)
tokens  T * (H / patch) * (W / patch)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.errors import ShapeError

__all__ = ["Compression", "LatentShape", "PixelShape"]


@dataclass(frozen=True, kw_only=True)
class PixelShape:
    """A clip's extent in pixels."""

    frames: int
    height: int
    width: int

    def seconds(self, frame_rate: float) -> float:
        """How long the clip plays at `frame_rate` frames a second."""
        return self.frames / frame_rate


@dataclass(frozen=True, kw_only=True)
class LatentShape:
    """A clip's extent on the codec's grid."""

    frames: int
    height: int
    width: int

    def tokens(self, patch: int) -> int:
        """Tokens of the transformer when it cuts each latent frame into `patch` x `patch` squares."""
        if self.height % patch or self.width % patch:
            raise ShapeError(
                f"A latent frame of {self.height} x {self.width} cannot be cut into {patch} x {patch} patches; "
                f"choose a picture size that is a multiple of the codec's stride times {patch}."
            )
        return self.frames * (self.height // patch) * (self.width // patch)


@dataclass(frozen=True, kw_only=True)
class Compression:
    """How many pixels one latent stands for along each axis."""

    time: int = 4
    space: int = 16

    def latent(self, pixels: PixelShape) -> LatentShape:
        """The grid that holds `pixels`; raises `ShapeError` when none does."""
        if pixels.frames < 1 or (pixels.frames - 1) % self.time:
            raise ShapeError(
                f"A clip of {pixels.frames} frames does not fit the codec: it takes {self.time}n + 1 frames; "
                f"{self.fitting_frames(pixels.frames)} would do."
            )
        if pixels.height % self.space or pixels.width % self.space or min(pixels.height, pixels.width) < 1:
            raise ShapeError(
                f"A picture of {pixels.width} x {pixels.height} does not fit the codec: "
                f"width and height must be multiples of {self.space}."
            )
        return LatentShape(
            frames=1 + (pixels.frames - 1) // self.time,
            height=pixels.height // self.space,
            width=pixels.width // self.space,
        )

    def pixels(self, latent: LatentShape) -> PixelShape:
        """The clip that `latent` decodes to."""
        return PixelShape(
            frames=1 + self.time * (latent.frames - 1),
            height=self.space * latent.height,
            width=self.space * latent.width,
        )

    def fitting_frames(self, frames: float) -> int:
        """The legal number of frames nearest to `frames` (ties go up), at least 1."""
        return 1 + self.time * max(0, int((frames - 1) / self.time + 0.5))

    def latent_frame_of(self, frame: int) -> int:
        """The latent frame that holds pixel frame `frame`: 0 holds frame 0, t holds 4t-3 .. 4t."""
        return (frame + self.time - 1) // self.time

    def moment_of(self, frame_F: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """When pixel frames are shown, in latent frames: 0 at frame 0, t in the middle of its own, at 4t-2."""
        first = self.time - self.time // 2
        later_F = (frame_F + self.time // 2) / self.time
        return np.where(frame_F < first, frame_F / first, later_F).astype(np.float32)

    def frame_of(self, moment_T: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The inverse of `moment_of`; not whole between frames."""
        first = self.time - self.time // 2
        moment = moment_T.astype(np.float64)
        return np.where(moment < 1, moment * first, moment * self.time - self.time // 2)
