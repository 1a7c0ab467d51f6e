"""What a preset says of a model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinora.core.errors import InputError

__all__ = ["FirstFrame", "Preset", "Sampling", "WalkKind"]

FirstFrame = Literal["token", "channels", "channels+clip", "none"]
"""How a model takes a first picture: as known tokens, as channels beside the noise, as these and image tokens of CLIP,
or not at all.
"""

WalkKind = Literal["window", "picture", "sketch"]
"""What is made on one way from noise to latents: a window of a film, a single picture, or a few moments of a window."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How latents are drawn from noise."""

    steps: int
    guidance: float
    """Factor on what the prompt changes (1 = none, and half the work)."""
    shift: float = 5.0
    """Moves levels towards noise; a clip's many cells that agree need more than a picture's few (docs/log.md)."""
    image_shift: float = 1.5
    solver: str = "ab2"
    """Adams-Bashforth: second order at the price of the first, so fewer steps do."""
    low_guidance: float | None = None
    """Factor below the preset's `boundary`, where that differs."""
    guidance_floor: float = 0.0
    """Noise level below which there is no guidance, and so one call a step: once everything's place is decided, it adds
    noise of its own (Kynkaanniemi et al. 2024, arXiv:2404.07724).
    """
    renewal: float = 0.0
    """Of the noise that a diffusion would renew at each step, the part that is, in steps that end at or above
    `renewal_floor`: mends what went wrong further up, for a model that sees better than it composes
    (`kinora.flow.renewal`).
    """
    renewal_floor: float = 0.6
    sketch: int = 0
    """Latent frames of a film's first window, far apart, that are imagined before all of it (`pipeline.sketching`), for
    a model that composes a few moments better than many; 0 imagines all at once.
    """
    sketch_shift: float = 3.0
    """`shift` for these few."""
    sketch_steps: int = 0
    """Steps for these few, which decide what the film shows and cost little; 0 for as many as the film's."""
    sketch_cap: float = 0.7
    """Highest noise level of the window after them."""
    painted_cap: float = 0.0
    """The same where a painter has drawn what stands there (`pipeline.painting`)."""

    def guides(self, level: float) -> bool:
        """Whether there is guidance where the schedule stands at `level`."""
        # Levels are told in single precision, which must not decide at the floor.
        return self.guidance != 1.0 and level >= self.guidance_floor - 1e-6

    def shift_for(self, kind: WalkKind) -> float:
        """Of the schedule that is walked for it."""
        return {"window": self.shift, "picture": self.image_shift, "sketch": self.sketch_shift}[kind]

    def steps_for(self, kind: WalkKind) -> int:
        """Of the schedule that is walked for it."""
        return (self.sketch_steps or self.steps) if kind == "sketch" else self.steps

    def calls(self, kind: WalkKind, *, cap: float = 1.0) -> int:
        """Calls of the transformer on the way, no cell of which is ever noisier than `cap`."""
        shift, steps = self.shift_for(kind), self.steps_for(kind)
        evenly = [1.0 - step / steps for step in range(steps + 1)]
        levels = [shift * even / (1.0 + (shift - 1.0) * even) for even in evenly]
        taken = [level for level, end in itertools.pairwise(levels) if end < cap]
        return len(taken) + sum(self.guides(min(level, cap)) for level in taken)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A complete model by name, and its defaults for sampling."""

    name: str
    sampling: Mapping[str, Sampling]
    """By quality, a value of `kinora.core.request.QUALITIES`."""
    window: int
    """Latent frames the model was trained to see at once; longer films are made by continuation."""
    history: int
    """Latent frames of what exists that a continuation is shown, at least; 0 for a model that goes on from the last
    picture alone.
    """
    history_cap: float
    """Highest noise level of that history: what a model made itself is never quite clean."""
    anchor_gap: int = 0
    """Above 0 the anchor of a continuation is the first picture that its prompt made, standing so many latent frames
    before the history: against drift over minutes. 0 takes the picture just before the history, as camera moves do.
    """
    hold: float = 1.0
    """Highest noise level of frames that go on from a known picture: below 1 they keep its layout, which a model that
    is not yet sure of itself would lose. 1 leaves them free.
    """
    obeys: frozenset[str] = frozenset({"keyframes", "continuation", "regions", "camera moves", "brushes"})
    """Conditions the model follows (words of `kinora.core.wording.OBEYED`). These five need known cells and noise
    levels of their own alone; references and speech must have been taught.
    """

    needs: frozenset[str] = frozenset()
    """Conditions it cannot do without, in the same words."""
    first_frame: FirstFrame = "token"
    boundary: float = 0.0
    """Noise level at and above which the first of two experts is asked, below it the second; 0 for a single one."""
    negative: str = ""
    """What guidance pushes away from where a request names nothing; empty for no text at all."""
    whole_times: bool = False
    """Whether the model is told 1000 sigma as a whole number, as Wan's samplers do."""

    def sampling_for(self, quality: str) -> Sampling:
        """Raises `InputError` for a quality this model has no defaults for."""
        if quality not in self.sampling:
            raise InputError(f"{self.name} has no quality {quality!r}; choose one of {', '.join(self.sampling)}.")
        return self.sampling[quality]
