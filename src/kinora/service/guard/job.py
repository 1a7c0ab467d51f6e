"""What the forked child is told, and what it tells: the one place where both sides agree."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["LABEL", "MEDIA_TYPES", "Job", "Plain", "Unfit"]

LABEL = Path("The file")
"""What messages call a stranger's file; its path is ours and its name is his."""
MEDIA_TYPES = {
    "image": "image/png",
    "video": "video/mp4",
    "audio": "audio/wav",
    "file": "application/json",
}
"""By kind of asset, what plain files are."""


class Unfit(Exception):
    """The file is not taken; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to make plain."""

    source: str
    """Path of the stranger's file."""
    target: str
    """Path of an empty file to write to."""
    family: str
    """picture, film, sound or track."""
    reader: str
    """The one reader that may look at it."""
    want: tuple[str, ...]
    seconds: float
    """By the clock, then it is killed."""
    memory: int
    """Bytes beyond those of the process it is forked from."""
    most_bytes: int
    """Of the plain file."""
    most_pixels: int
    """Of a picture, or of one frame of a film."""
    most_seconds: float
    """Of a film; of sound it is five times as many."""
    most_side: int
    """Pixels of a plain film's longer side; larger ones are made smaller."""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, told: bytes) -> Self:
        fields = json.loads(told)
        return cls(**{**fields, "want": tuple(fields["want"])})


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A file of our own making with what a stranger's showed."""

    kind: str
    """image, video, audio or file."""
    width: int = 0
    height: int = 0
    frames: int = 0
    frame_rate: float = 0.0

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.kind]

    @classmethod
    def of(cls, told: Any) -> Self:
        """From what the child says, which may have been taken over: raises `ValueError` for anything but numbers in
        their bounds.
        """
        if not isinstance(told, dict) or told.get("kind") not in MEDIA_TYPES:
            raise ValueError(f"{told!r} is no report of a plain file.")
        counts = [told.get(name, 0) for name in ("width", "height", "frames")]
        rate = told.get("frame_rate", 0.0)
        if not all(type(count) is int and 0 <= count < 2**31 for count in counts):
            raise ValueError(f"{counts} are no sizes.")
        if not isinstance(rate, int | float) or not math.isfinite(rate) or not 0 <= rate <= 1000:
            raise ValueError(f"{rate!r} is no frame rate.")
        return cls(kind=told["kind"], width=counts[0], height=counts[1], frames=counts[2], frame_rate=float(rate))
