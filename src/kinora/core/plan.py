"""A plan: the steps a request turns into, with what they will cost; printable before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kinora.core.errors import ShapeError
from kinora.core.request import Request
from kinora.core.shapes import LatentShape, PixelShape

__all__ = ["Plan", "Segment", "segments_before", "segments_of"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of latent frames that the model makes in one go."""

    first: int
    """Index of the first latent frame that is new, counted from where the new part of the film begins."""
    new: int
    """How many latent frames it adds."""
    known: int
    """How many latent frames it is shown as its history: those before `first`, or behind its end when the film grows
    backward.
    """
    prompt: int = 0
    """Which of the request's prompts is in force."""
    alone: bool = True
    """Whether it starts a film: its first latent frame then stands for a single picture."""
    gap: int = 0
    """Latent frames of time between the anchor and the history: 0 for a picture from just before it, more for the first
    picture of the film, which is told to be so much older than it looks.
    """

    @property
    def frames(self) -> int:
        """Latent frames in the model's window, but for the anchor of a continuation."""
        return self.known + self.new

    @property
    def anchors(self) -> int:
        """Places in the window that a picture from before the history takes: 1 for a continuation."""
        return 0 if self.alone else 1


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
    backward: bool = False
    """Whether segments come before what exists, each earlier than the last."""
    picture_first: bool = False
    """Whether a picture is imagined before the film, for guides to be drawn from."""
    sketch: int = 0
    """Latent frames of the first window, or of the picture before it, that are imagined before all of it; 0 for none.
    """
    sketch_steps: int = 0
    """Steps of their walk."""
    directed: bool = False
    """Whether the model's director says first where things stand: in the first window, or in the picture before it."""
    conditions: tuple[str, ...] = ()
    """What else steers the film, a line each."""

    @property
    def passes(self) -> int:
        """Walks from noise to latents: one for each segment, and what is imagined before the first."""
        return len(self.segments) + self.picture_first + (self.sketch > 0)

    @property
    def all_steps(self) -> int:
        """Steps of every walk together."""
        return self.steps * (len(self.segments) + self.picture_first) + self.sketch_steps

    @property
    def seconds_expected(self) -> float:
        """Rough time in all, without loading the model."""
        return self.imagine_seconds + self.draw_seconds

    def __str__(self) -> str:
        pixels, latent = self.pixels, self.latent
        spans = ", ".join(_spans(self.segments))
        lines = (
            (
                f"film      {pixels.seconds(self.frame_rate):.2f} s, {pixels.frames} frames of "
                f"{pixels.width} x {pixels.height} at {self.frame_rate:g} a second"
            ),
            (
                f"model     {self.model}, {self.request.quality}: {self.steps} steps, guidance {self.guidance:g}, "
                f"seed {self.request.seed}"
            ),
            (
                f"latents   {latent.frames} x {latent.height} x {latent.width}; segments of {spans}; "
                f"at most {self.tokens} tokens"
            ),
            *(("blocking  the director says first what stands where",) if self.directed else ()),
            *self.conditions,
            f"expected  about {self.seconds_expected:.0f} s",
        )
        return "\n".join(lines)


def _spans(segments: Sequence[Segment]) -> Iterator[str]:
    """Segments in words, like ones that follow each other as one."""
    for (new, known), run in groupby((part.new, part.known) for part in segments):
        count = len(list(run))
        times = f"{count} x " if count > 1 else ""
        yield f"{times}{new} after {known}" if known else f"{times}{new}"


def segments_of(
    frames: int, *, window: int, history: int, shown: int = 0, cuts: Sequence[int] = (), gap: int = 0
) -> tuple[Segment, ...]:
    """Cut the new part of a film, `frames` latent frames, into segments that a model with room for `window` can make.

    The first segment starts from nothing, unless `shown` latent frames of existing footage come before. Each later one
    sees at least `history` latent frames that exist and adds to them. A later window gives its first place to an anchor
    (a film's first latent frame stands for a single picture, so a picture from before the history is encoded anew),
    which leaves `window - 1`, less the `gap` of time that the anchor is told to lie back. It is filled as far as there
    is history, and what is to be added is shared evenly: as few segments as possible, each with as much history as
    possible. At `cuts` another prompt begins, and with it a segment. A `history` of 0 shows the anchor alone, which is
    then the very last picture that exists.
    """
    places = _places(window - gap, history)
    segments: list[Segment] = []
    made = 0
    for prompt, end in enumerate([*cuts, frames]):
        if made == 0 and not shown:
            made = min(end, window)
            segments.append(Segment(first=0, new=made, known=0, prompt=prompt))
        count = -(-(end - made) // (places - history))
        for index in range(count):
            new = -(-(end - made) // (count - index))
            # A film's own first latent frame is no history, only an anchor.
            known = min(places - new, made + shown if shown else made - 1) if history else 0
            segments.append(Segment(first=made, new=new, known=known, prompt=prompt, alone=False, gap=gap))
            made += new
    return tuple(segments)


def segments_before(frames: int, *, window: int, history: int, shown: int) -> tuple[Segment, ...]:
    """Segments that add about `frames` latent frames before footage of `shown` latent frames, the last one first.

    Each is a film of its own that ends in what exists.
    """
    known = min(history, shown)
    most = window - known
    count = -(-frames // most)
    segments, made = [], 0
    for index in range(count):
        new = -(-(frames - made) // (count - index))
        segments.append(Segment(first=made, new=new, known=known))
        made += new
    return tuple(segments)


def _places(window: int, history: int) -> int:
    if not 0 <= history < window - 1:
        raise ShapeError(f"A history of {history} latent frames leaves no room in a window of {window}.")
    return window - 1
