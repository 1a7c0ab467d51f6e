"""What conditions are made of: pictures, masks and films that a person brings along.

A material is told apart by its content, not by where it lay: a recipe keeps the name for people and the digest for
checking. A material that is known by these two alone is *unseen*: its pixels are an empty array. Unseen materials can
be printed, compared and looked for; a film needs them seen. Axes: F frames, H W pixels.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.errors import InputError, ShapeError
from kinora.core.visemes import VisemeTrack

__all__ = ["Footage", "Mask", "Material", "Still", "Voice", "digest_of"]


def digest_of(array: npt.NDArray[np.generic]) -> str:
    """sha256 over shape, type and values."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # no copy: a film may fill the memory
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Still:
    """A picture, uint8 RGB (H, W, 3), upright."""

    name: str
    """What its owner calls it: a file, an asset."""
    digest: str
    rgb_HW3: npt.NDArray[np.uint8] = field(compare=False, repr=False)

    @classmethod
    def of(cls, rgb_HW3: npt.NDArray[np.uint8], name: str = "picture") -> Self:
        """Raises `ShapeError` unless the pixels are uint8 RGB."""
        if rgb_HW3.ndim != 3 or rgb_HW3.shape[-1] != 3 or rgb_HW3.dtype != np.uint8 or not rgb_HW3.size:
            raise ShapeError(f"{name} must be uint8 RGB (H, W, 3), not {rgb_HW3.dtype} of shape {rgb_HW3.shape}.")
        return cls(name=name, digest=digest_of(rgb_HW3), rgb_HW3=rgb_HW3)

    @classmethod
    def unseen(cls, name: str, digest: str) -> Self:
        return cls(name=name, digest=digest, rgb_HW3=np.zeros((0, 0, 3), dtype=np.uint8))

    @property
    def seen(self) -> bool:
        return self.rgb_HW3.size > 0


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Which pixels are meant: bool (H, W), true inside."""

    name: str
    digest: str
    inside_HW: npt.NDArray[np.bool_] = field(compare=False, repr=False)

    @classmethod
    def of(cls, inside_HW: npt.NDArray[np.bool_], name: str = "mask") -> Self:
        """Raises `InputError` for a mask without a pixel inside, `ShapeError` for what is no mask."""
        if inside_HW.ndim != 2 or inside_HW.dtype != np.bool_:
            raise ShapeError(f"{name} must be bool (H, W), not {inside_HW.dtype} of shape {inside_HW.shape}.")
        if not inside_HW.any():
            raise InputError(f"{name} is empty: no pixel lies inside it. Paint white what is meant.")
        return cls(name=name, digest=digest_of(inside_HW), inside_HW=inside_HW)

    @classmethod
    def unseen(cls, name: str, digest: str) -> Self:
        return cls(name=name, digest=digest, inside_HW=np.zeros((0, 0), dtype=np.bool_))

    @property
    def seen(self) -> bool:
        return self.inside_HW.size > 0


@dataclass(frozen=True, kw_only=True)
class Footage:
    """An existing film."""

    name: str
    digest: str
    clip: Clip = field(compare=False, repr=False)

    @classmethod
    def of(cls, clip: Clip, name: str = "film") -> Self:
        """Raises `ShapeError` for a clip without a frame."""
        if not clip.frames_FHWC.size:
            raise ShapeError(f"{name} has no frames; bring a film that shows something.")
        return cls(name=name, digest=digest_of(clip.frames_FHWC), clip=clip)

    @classmethod
    def unseen(cls, name: str, digest: str) -> Self:
        clip = Clip(frames_FHWC=np.zeros((0, 0, 0, 3), dtype=np.uint8), frame_rate=1.0)
        return cls(name=name, digest=digest, clip=clip)

    @property
    def seen(self) -> bool:
        return self.clip.frames_FHWC.size > 0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A speech track."""

    name: str
    digest: str
    track: VisemeTrack = field(compare=False, repr=False)

    @classmethod
    def of(cls, track: VisemeTrack, name: str = "speech track") -> Self:
        """Raises `InputError` for a track without a frame or with a rate that is no rate."""
        if not len(track.mouth_F4):
            raise InputError(f"{name} is empty; give at least one mouth shape.")
        if not (math.isfinite(track.frame_rate) and track.frame_rate > 0):
            raise InputError(f"{name} has {track.frame_rate:g} shapes a second; a rate is above 0.")
        content_N = np.append(track.mouth_F4.astype(np.float64).ravel(), track.frame_rate)  # the rate is content too
        return cls(name=name, digest=digest_of(content_N), track=track)

    @classmethod
    def unseen(cls, name: str, digest: str) -> Self:
        track = VisemeTrack(mouth_F4=np.zeros((0, 4), dtype=np.float32), frame_rate=1.0)
        return cls(name=name, digest=digest, track=track)

    @property
    def seen(self) -> bool:
        return len(self.track.mouth_F4) > 0


Material = Still | Mask | Footage | Voice
