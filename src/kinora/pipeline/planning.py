"""From a request to a plan: sizes, segments, and what they will cost. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kinora.core.conditions import Brush, Continue, Keyframe, Moves, Reference, Region, Speech
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Mask
from kinora.core.plan import Plan, Segment, segments_before, segments_of
from kinora.core.records import check_seen
from kinora.core.request import Request
from kinora.core.shapes import Compression, LatentShape, PixelShape
from kinora.core.timing import keyframe_places, prompt_cuts
from kinora.core.wording import OBEYED, condition_lines, condition_of, footage_of, refuse_what_it_cannot
from kinora.media.fit import fit_mask
from kinora.presets.preset import Preset, Sampling, WalkKind

__all__ = ["ModelFacts", "plan_film", "plan_image"]

RATES = {"cpu": 1.0e11, "cuda": 6.0e13}
"""Floating-point operations a second that the transformer reaches: two shared CPU cores (measured 1.2 to 1.6e11 for
large matrix products alone); a large GPU (an estimate)."""
MOST_SLENDER = 4
"""How many times longer than wide a picture may be; models have seen nothing near it."""
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
    device: str = "cpu"
    directs: bool = False
    """Whether it has a director (`kinora.language.director`)."""
    paints: bool = False
    """Whether it has a painter (`kinora.control.painter`) beside."""
    most_pixels: int = 0
    """Pixels of the largest picture of a model that draws any size; 0 where it draws its own sizes alone."""

    def forward_operations(self, tokens: int) -> float:
        """Floating-point operations of one call of the transformer: matrix products of all layers, then attention."""
        per_token = 2 * self.layers * (6 * self.width**2 + 2 * self.width * self.ffn_width)
        return float(tokens * per_token + 4 * self.layers * self.width * tokens**2)


def plan_film(request: Request, facts: ModelFacts, preset: Preset) -> Plan:
    """The plan of a film.

    Raises `ShapeError` when the model has no size for the aspect, `InputError` for a condition it cannot follow or
    footage that cannot be used.
    """
    check_seen(request.conditions)
    refuse_what_it_cannot(request, facts.name, preset.obeys, preset.needs)
    frames = _frames(request, facts)
    going_on = condition_of(request, Continue)
    if going_on is None:
        count = facts.compression.latent_frame_of(frames - 1) + 1
        cuts = prompt_cuts(request.script, latent_frames=count, rate=facts.frame_rate, time=facts.compression.time)
        gap = _gap(request, preset)
        segments = segments_of(count, window=preset.window, history=preset.history, cuts=cuts, gap=gap)
        _check_length(len(segments), request, facts, preset)
    else:
        segments = _going_on(going_on, request, facts, preset)
        frames = facts.compression.time * sum(segment.new for segment in segments)
        if going_on.before:
            frames -= (facts.compression.time - 1) * len(segments)
    footage = footage_of(request)
    if footage is not None and going_on is None:
        frames = footage.clip.shape.frames
    pixels = _pixels(request, facts, frames)
    _check_fitted(request, pixels)
    return _plan(request, facts, preset, pixels, segments)


def plan_image(request: Request, facts: ModelFacts, preset: Preset) -> Plan:
    """The plan of a picture: a film of one latent frame. References are all that can steer it."""
    others = [condition for condition in request.conditions if not isinstance(condition, Reference)]
    if others:
        raise InputError(f"A picture takes references only, not {type(others[0]).__name__.lower()}; make a film of it.")
    if preset.needs:
        raise InputError(f"{facts.name} makes films from pictures, no single ones; choose a model that films words.")
    refuse_what_it_cannot(request, facts.name, preset.obeys)
    pixels = _pixels(request, facts, 1)
    return _plan(request, facts, preset, pixels, (Segment(first=0, new=1, known=0),))


def _pixels(request: Request, facts: ModelFacts, frames: int) -> PixelShape:
    if request.size is not None:
        width, height = request.size
        _check_size(width, height, facts)
        return PixelShape(frames=frames, height=height, width=width)
    footage = footage_of(request)
    if facts.most_pixels and footage is not None:
        # A model that draws any size keeps that of a film it works on, where it can.
        shape = footage.clip.shape
        with suppress(ShapeError):
            _check_size(shape.width, shape.height, facts)
            return PixelShape(frames=frames, height=shape.height, width=shape.width)
    if request.aspect not in facts.sizes:
        raise ShapeError(f"{facts.name} makes no {request.aspect} pictures; choose one of {', '.join(facts.sizes)}.")
    width, height = facts.sizes[request.aspect]
    return PixelShape(frames=frames, height=height, width=width)


def _check_size(width: int, height: int, facts: ModelFacts) -> None:
    """Raise `ShapeError` for a size of picture that the model does not draw."""
    own = ", ".join(f"{width}x{height}" for width, height in facts.sizes.values())
    step, most = facts.compression.space * facts.patch, facts.most_pixels
    if not most and (width, height) not in facts.sizes.values():
        raise ShapeError(f"{facts.name} draws pictures of {own}, not of {width}x{height}; choose an --aspect instead.")
    if most and (width % step or height % step):
        raise ShapeError(
            f"{facts.name} draws pictures whose sides are multiples of {step}; {width}x{height} is not one. Near it is "
            f"{max(1, round(width / step)) * step}x{max(1, round(height / step)) * step}."
        )
    if most and max(width, height) > MOST_SLENDER * min(width, height):
        raise ShapeError(
            f"{facts.name} draws pictures up to {MOST_SLENDER} times as long as wide; {width}x{height} is slimmer. Its "
            f"own sizes are {own}."
        )
    if most and width * height > most:
        raise ShapeError(
            f"{facts.name} draws pictures of at most {most} pixels; {width}x{height} are {width * height}. Its own "
            f"sizes are {own}."
        )


def _frames(request: Request, facts: ModelFacts) -> int:
    """Pixel frames of the new part: as many as existing footage has where that is worked over, rounded up."""
    footage = footage_of(request)
    if footage is not None and footage.clip.frame_rate != facts.frame_rate:
        raise InputError(
            f"{footage.name} has {footage.clip.frame_rate:g} frames a second, {facts.name} makes {facts.frame_rate:g}; "
            "bring it to that rate first."
        )
    if footage is None or condition_of(request, Continue) is not None:
        return facts.compression.fitting_frames(request.seconds * facts.frame_rate)
    time = facts.compression.time
    return 1 + time * (-(-(footage.clip.shape.frames - 1) // time))


def _check_length(segments: int, request: Request, facts: ModelFacts, preset: Preset) -> None:
    """Raise where a film takes more than one window of a model that cannot go on from one."""
    if segments > 1 and OBEYED[Continue] not in preset.obeys:
        if request.script:
            raise InputError(
                f"{facts.name} makes films under one prompt: it cannot go on from what another one made. Leave the "
                "later prompts out, or choose a model that follows continuation."
            )
        longest = (1 + facts.compression.time * (preset.window - 1)) / facts.frame_rate
        raise InputError(
            f"{facts.name} makes films of at most {longest:.2f} s, and cannot go on from one. Make it "
            "shorter, or choose a model that follows continuation."
        )


def _going_on(condition: Continue, request: Request, facts: ModelFacts, preset: Preset) -> tuple[Segment, ...]:
    """Segments that go on from footage."""
    time, frames = facts.compression.time, condition.footage.clip.shape.frames
    shown = min((frames - 1) // time, preset.window - 2)
    if condition.before and not preset.history:
        raise InputError(f"{facts.name} goes on from a last picture only; it cannot make what came before a film.")
    if shown < 1:
        raise InputError(
            f"{condition.footage.name} has {frames} frames; {time + 1} are needed to go on from. Start from a picture "
            "(--image) instead."
        )
    count = max(1, round(request.seconds * facts.frame_rate / time))
    if condition.before:
        # Each segment is a film of its own, whose first latent frame holds one pixel frame instead of `time`.
        each = preset.window - min(preset.history, shown)
        count = round((request.seconds * facts.frame_rate + (time - 1) * -(-count // each)) / time)
        others = [c for c in request.conditions if not isinstance(c, Continue | Reference)]
        if others:
            raise InputError(
                f"A film that grows backward takes no {OBEYED[type(others[0])]}: its time runs towards what exists. "
                "Leave them out."
            )
        return segments_before(count, window=preset.window, history=preset.history, shown=shown)
    cuts = prompt_cuts(request.script, latent_frames=count, rate=facts.frame_rate, time=time)
    gap = _gap(request, preset)
    return segments_of(count, window=preset.window, history=preset.history, shown=shown, cuts=cuts, gap=gap)


def _gap(request: Request, preset: Preset) -> int:
    """How far back the anchor is told to lie; a camera that moves away has no use for the first picture."""
    return 0 if condition_of(request, Moves) else preset.anchor_gap


def _plan(
    request: Request, facts: ModelFacts, preset: Preset, pixels: PixelShape, segments: tuple[Segment, ...]
) -> Plan:
    sampling = preset.sampling_for(request.quality)
    latent = LatentShape(
        frames=sum(segment.new for segment in segments),
        height=pixels.height // facts.compression.space,
        width=pixels.width // facts.compression.space,
    )
    _check_told(request, facts, sampling, len(segments))
    beside = sum(isinstance(condition, Reference) for condition in request.conditions)
    tokens = [_tokens(latent, segment.frames + segment.anchors + beside, facts.patch) for segment in segments]
    places = keyframe_places(
        request,
        latent_frames=latent.frames,
        rate=facts.frame_rate,
        time=facts.compression.time,
        alone=segments[0].alone,
    )
    picture_first = segments[0].alone and 0 not in places and needs_picture(request)
    free = picture_first or _free(request, segments[0])
    sketch = _sketched(1 if picture_first else segments[0].frames, sampling, facts) if free else 0
    caps = [_cap(request, preset, segments, index, pictured=0 in places) for index in range(len(segments))]
    kind: WalkKind = "picture" if latent.frames == 1 else "window"
    if sketch and not picture_first:
        caps[0] = sampling.sketch_cap
    work = [(count, sampling.calls(kind, cap=cap)) for count, cap in zip(tokens, caps, strict=True)]
    if sketch:
        work.append((_tokens(latent, sketch + beside, facts.patch), sampling.calls("sketch")))
    if picture_first:
        cap = sampling.sketch_cap if sketch else 1.0
        work.append((_tokens(latent, 1 + beside, facts.patch), sampling.calls("picture", cap=cap)))
    operations = sum(calls * facts.forward_operations(count) for count, calls in work)
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
        forwards=sum(calls for _, calls in work),
        imagine_seconds=operations / RATES.get(device, RATES["cpu"]),
        draw_seconds=pixel_count / DRAW_RATES.get(device, DRAW_RATES["cpu"]),
        backward=any(isinstance(c, Continue) and c.before for c in request.conditions),
        picture_first=picture_first,
        sketch=sketch,
        sketch_steps=sampling.steps_for("sketch") if sketch else 0,
        directed=facts.directs and free,
        conditions=condition_lines(request),
    )


def _check_told(request: Request, facts: ModelFacts, sampling: Sampling, segments: int) -> None:
    """Raise `InputError` for what this quality, or a film of so many segments, cannot do."""
    if request.negative and sampling.guidance == 1.0:
        raise InputError(
            f"{facts.name} has its guidance built in at quality {request.quality} and so takes no negative prompt; "
            "say in the prompt what to show instead."
        )
    if condition_of(request, Brush) is not None and segments > 1:
        raise InputError(
            f"A brush lasts for one window of {facts.name}, and this film takes {segments}; make it shorter and "
            "extend it afterwards."
        )


def _cap(request: Request, preset: Preset, segments: Sequence[Segment], index: int, *, pictured: bool) -> float:
    """The highest noise level in a segment: the preset's `hold` where it stays with the picture it goes on from and
    nothing else is drawn into it; `pictured` where the film begins with a picture.
    """
    drawn = any(isinstance(c, Brush | Moves | Speech) for c in request.conditions)
    onward = condition_of(request, Continue)
    if drawn or (footage_of(request) is not None and (onward is None or onward.before)):
        return 1.0
    if index > 0:
        return preset.hold if segments[index].prompt == segments[index - 1].prompt else 1.0
    if onward is not None:
        return preset.hold if onward.told in ("", request.prompt) else 1.0
    return preset.hold if pictured else 1.0


def _sketched(frames: int, sampling: Sampling, facts: ModelFacts) -> int:
    """Latent frames that are imagined before all `frames` of a first window or picture of which nothing is known: where
    it is long, or where a painter draws over the sketch.
    """
    if facts.directs and facts.paints:
        return min(sampling.sketch, frames)
    return sampling.sketch if frames > 2 * sampling.sketch else 0


def _free(request: Request, first: Segment) -> bool:
    """Whether nothing tells what the first window looks like, but words and portraits."""
    return first.alone and all(isinstance(condition, Reference) for condition in request.conditions)


def _check_fitted(request: Request, pixels: PixelShape) -> None:
    """Raise where a mask does not belong to its picture, or nothing of it is left in the film's shape."""
    size = pixels.height, pixels.width
    region, brush = condition_of(request, Region), condition_of(request, Brush)
    masks: list[tuple[Mask, str]] = []
    if region is not None:
        shape = region.footage.clip.shape
        own = region.mask.inside_HW.shape
        if own not in (size, (shape.height, shape.width)):
            raise ShapeError(
                f"{region.mask.name} is {own[1]} x {own[0]}; a region's mask has the footage's size, {shape.width} x "
                f"{shape.height}, or the film's, {pixels.width} x {pixels.height}."
            )
        masks.append((region.mask, "crop"))
    if brush is not None:
        fit = next(c.fit for c in request.conditions if isinstance(c, Keyframe) and c.at == 0)
        masks += [(mask, fit) for mask in brush.masks]
    for mask, how in masks:
        if not fit_mask(mask.inside_HW, *size, how).any():
            raise InputError(
                f"Nothing of {mask.name} is left in a film of {pixels.width} x {pixels.height}: it is too small, or "
                "lies in what is cropped off. Paint more, or choose another --aspect or --fit pad."
            )


def needs_picture(request: Request) -> bool:
    """Whether guides must be drawn from a first picture."""
    return any(isinstance(c, Moves) or (isinstance(c, Speech) and c.footage is None) for c in request.conditions)


def _tokens(latent: LatentShape, frames: int, patch: int) -> int:
    """Tokens of one window."""
    return LatentShape(frames=frames, height=latent.height, width=latent.width).tokens(patch)
