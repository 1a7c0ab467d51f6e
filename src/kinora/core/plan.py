"""A plan: the steps a request turns into, with what they will cost; printable before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from kinora.core.errors import ShapeError
from kinora.core.request import Request
from kinora.core.shapes import LatentShape, PixelShape

__all__ = ["Plan", "Segment", "segments_of"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of latent frames that the model makes in one go."""

    first: int
    """Index in the film of the first latent frame that is new."""
    new: int
    """How many latent frames it adds."""
    known: int
    """How many latent frames before `first` it is shown as its history."""

    @property
    def frames(self) -> int:
        """Latent frames in the model's window."""
        return self.known + self.new


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done for a request."""

    request: Request
    model: str
    pixels: PixelShape
    latent: LatentShape
    frame_rate: float
    tokens: int
    """Tokens of the longest segment: attention's cost grows with its square."""
    steps: int
    guidance: float
    segments: tuple[Segment, ...]
    forwards: int
    """Calls of the transformer in all."""
    imagine_seconds: float
    """Rough time of the transformer's work, from the arithmetic it takes; the progress bar knows better as it goes."""
    draw_seconds: float
    """Rough time from latents to pixels."""
    memory_expected: int
    """Rough peak of memory, bytes."""

    @property
    def seconds_expected(self) -> float:
        """Rough time in all, without loading the model."""
        return self.imagine_seconds + self.draw_seconds

    def __str__(self) -> str:
        pixels, latent = self.pixels, self.latent
        spans = ", ".join(f"{part.new} after {part.known}" if part.known else f"{part.new}" for part in self.segments)
        return (
            f"film      {pixels.seconds(self.frame_rate):.2f} s, {pixels.frames} frames of "
            f"{pixels.width} x {pixels.height} at {self.frame_rate:g} a second\n"
            f"model     {self.model}, {self.request.quality}: {self.steps} steps, guidance {self.guidance:g}, "
            f"seed {self.request.seed}\n"
            f"latents   {latent.frames} x {latent.height} x {latent.width}; segments of {spans}; "
            f"at most {self.tokens} tokens\n"
            f"expected  about {self.seconds_expected:.0f} s and {self.memory_expected / 2**20:.0f} MiB"
        )


def segments_of(frames: int, *, window: int, history: int) -> tuple[Segment, ...]:
    """Cut a film of `frames` latent frames into segments that a model with room for `window` of them can make.

    The first segment starts from nothing. Each later one sees at least `history` latent frames that exist and adds to
    them. A later window gives its first place to an anchor (a film's first latent frame stands for a single picture,
    so the picture just before the history is encoded anew), which leaves `window - 1`. It is always filled, and what
    is to be added is shared evenly: as few segments as possible, each with as much history as possible.
    """
    if not 0 < history < window - 1:
        raise ShapeError(f"A history of {history} latent frames leaves no room in a window of {window}.")
    first = min(frames, window)
    segments = [Segment(first=0, new=first, known=0)]
    places = window - 1
    count = -(-(frames - first) // (places - history))
    made = first
    for index in range(count):
        new = -(-(frames - made) // (count - index))
        segments.append(Segment(first=made, new=new, known=places - new))
        made += new
    return tuple(segments)
