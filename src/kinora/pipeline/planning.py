"""From a request to a plan: sizes, segments, and what they will cost. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kinora.core.errors import ShapeError
from kinora.core.plan import Plan, Segment, segments_of
from kinora.core.request import Request
from kinora.core.shapes import Compression, LatentShape, PixelShape
from kinora.presets.preset import Preset, Sampling

__all__ = ["ModelFacts", "plan_film", "plan_image"]

RATES = {"cpu": 1.0e11, "cuda": 6.0e13}
"""Floating-point operations a second that the transformer reaches: two shared CPU cores (measured 1.2 to 1.6e11 for
large matrix products alone); a large GPU (an estimate)."""
DRAW_RATES = {"cpu": 2.0e6, "cuda": 4.0e7}
"""Pixels a second out of the bundled codec."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What planning must know of a model; all of it stands in the manifest."""

    name: str
    sizes: Mapping[str, tuple[int, int]]
    """Width and height by aspect."""
    frame_rate: float
    compression: Compression
    patch: int
    width: int
    layers: int
    ffn_width: int
    parameter_bytes: int
    device: str = "cpu"

    def forward_operations(self, tokens: int) -> float:
        """Floating-point operations of one call of the transformer: matrix products of all layers, then attention."""
        per_token = 2 * self.layers * (6 * self.width**2 + 2 * self.width * self.ffn_width)
        return float(tokens * per_token + 4 * self.layers * self.width * tokens**2)


def plan_film(request: Request, facts: ModelFacts, preset: Preset) -> Plan:
    """The plan of a film; raises `ShapeError` when the model has no size for the aspect."""
    pixels = _pixels(request, facts, facts.compression.fitting_frames(request.seconds * facts.frame_rate))
    latent = facts.compression.latent(pixels)
    segments = segments_of(latent.frames, window=preset.window, history=preset.history)
    return _plan(request, facts, preset.sampling_for(request.quality), pixels, segments)


def plan_image(request: Request, facts: ModelFacts, preset: Preset) -> Plan:
    """The plan of a picture: a film of one latent frame."""
    pixels = _pixels(request, facts, 1)
    return _plan(request, facts, preset.sampling_for(request.quality), pixels, (Segment(first=0, new=1, known=0),))


def _pixels(request: Request, facts: ModelFacts, frames: int) -> PixelShape:
    if request.aspect not in facts.sizes:
        raise ShapeError(f"{facts.name} makes no {request.aspect} pictures; choose one of {', '.join(facts.sizes)}.")
    width, height = facts.sizes[request.aspect]
    return PixelShape(frames=frames, height=height, width=width)


def _plan(
    request: Request, facts: ModelFacts, sampling: Sampling, pixels: PixelShape, segments: tuple[Segment, ...]
) -> Plan:
    latent = facts.compression.latent(pixels)
    calls = sampling.steps * (1 if sampling.guidance == 1.0 else 2)
    tokens = [_tokens(latent, segment, facts.patch) for segment in segments]
    operations = sum(calls * facts.forward_operations(count) for count in tokens)
    device = facts.device.partition(":")[0]
    pixel_count = pixels.frames * pixels.height * pixels.width
    return Plan(
        request=request,
        model=facts.name,
        pixels=pixels,
        latent=latent,
        frame_rate=facts.frame_rate,
        tokens=max(tokens),
        steps=sampling.steps,
        guidance=sampling.guidance,
        segments=segments,
        forwards=calls * len(segments),
        imagine_seconds=operations / RATES.get(device, RATES["cpu"]),
        draw_seconds=pixel_count / DRAW_RATES.get(device, DRAW_RATES["cpu"]),
        memory_expected=facts.parameter_bytes + _activation_bytes(facts, max(tokens)) + 3 * pixel_count,
    )


def _tokens(latent: LatentShape, segment: Segment, patch: int) -> int:
    """Tokens of one segment's window, its anchor included."""
    frames = segment.frames + (1 if segment.known else 0)
    return LatentShape(frames=frames, height=latent.height, width=latent.width).tokens(patch)


def _activation_bytes(facts: ModelFacts, tokens: int) -> int:
    """Float32 of the widest moment of one block: a handful of token rows and the feed-forward network's inside."""
    return 4 * tokens * (8 * facts.width + 2 * facts.ffn_width)
