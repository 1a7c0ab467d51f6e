"""Filming: a plan's segments made one after the other, each from what is known to frames.

Every condition maps the latent state a segment starts from (`kinora.control`), or is told to the transformer beside
the prompt; there is one loop for all of them. Axes: B batch, C channels, F pixel frames, T latent frames, H W grid,
L text positions, D text width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.codec import START, CodecState
from kinora.control.guide import cell_caps, follow_guide
from kinora.control.history import know_history
from kinora.control.keyframes import know_pictures
from kinora.control.references import stand_beside
from kinora.control.region import keep_outside
from kinora.core.plan import Plan, Segment
from kinora.flow.state import LatentState, initial_state
from kinora.pipeline.drawing import Drawing, Encoded, OnFrames
from kinora.pipeline.given import Given, Span
from kinora.pipeline.imagining import NOBODY, Imagining, Listeners, Prompts, Walk
from kinora.pipeline.memory import Chunk, Memory
from kinora.pipeline.model import Model
from kinora.pipeline.painting import Painting
from kinora.pipeline.progress import Teller
from kinora.pipeline.resident import Resident
from kinora.pipeline.sketching import Sketch
from kinora.pipeline.told import Told
from kinora.transformer.conditions import Conditions

__all__ = ["Filming"]

SEED_STRIDE = 0x9E3779B1
"""Odd, so that no two segments or pictures near each other share a seed (2**32 over the golden ratio)."""

Frames = npt.NDArray[np.uint8]


class Filming:
    """One film under way."""

    def __init__(
        self,
        model: Model,
        resident: Resident,
        plan: Plan,
        prompts: Prompts,
        teller: Teller,
        listeners: Listeners = NOBODY,
    ) -> None:
        self._model = model
        self._on_frames = listeners.frames
        self._plan = plan
        self._prompts = prompts
        self._imagining = Imagining(model, resident, plan, prompts, teller, listeners)
        compression = model.codec.config.compression
        self._time = compression.time
        self._given = Given(plan, self._time, hold=model.preset.hold)
        self._drawing = Drawing(resident, self._given, teller, device=model.device, compression=compression)
        self._told = Told(model, resident, plan, self._given, self._drawing)
        self._channels = model.preset.first_frame.startswith("channels")
        self._references: Tensor | None = None
        self._keep = max((segment.known for segment in plan.segments[1:]), default=0)

    @torch.inference_mode()
    def chunks(self, memory: Memory | None = None) -> Iterator[Chunk]:
        """What is still to be made, a segment at a time."""
        memory = self._beginning() if memory is None else memory
        for index in range(memory.done, len(self._plan.segments)):
            segment = self._plan.segments[index]
            made_FHW3, memory = self._make(index, segment, memory)
            yield Chunk(frames_FHWC=made_FHW3, memory=memory.to_bytes())

    # From memory to frames

    def _beginning(self) -> Memory:
        """What is known before the first segment: nothing, or the end of the footage (its start, to grow backward)."""
        footage_FHW3 = self._given.footage
        first = self._plan.segments[0]
        if self._plan.backward:
            assert footage_FHW3 is not None
            return Memory(frames_FHW3=footage_FHW3[: self._time * first.known])
        if first.alone or footage_FHW3 is None:
            return Memory()
        keep = max(self._keep, first.known)
        tail_FHW3 = footage_FHW3[-(1 + self._time * keep) :]
        tail_FHW3 = tail_FHW3[(len(tail_FHW3) - 1) % self._time :]
        latent_BCTHW = self._drawing.encode(tail_FHW3)
        # The decoder meets the new frames as it would in the middle of a film.
        state = self._drawing.state_after(latent_BCTHW)
        return Memory(latent_BCTHW=latent_BCTHW[:, :, 1:], frames_FHW3=tail_FHW3, codec=state)

    def _make(self, index: int, segment: Segment, memory: Memory) -> tuple[Frames, Memory]:
        """One segment's frames, and the memory after it."""
        span = Span.of(segment, self._plan, self._time)
        picture_BCTHW = self._picture(index) if segment.alone and self._plan.picture_first else None
        state, base_HW3 = self._known(index, segment, span, memory, picture_BCTHW)
        guide = self._given.guide(span, base_HW3, changes=self._given.changes(index))
        own, led = segment.anchors + segment.frames, None
        if guide is not None:
            led = Encoded(guide, self._drawing.encode(guide.frames_FHW3))
            state = self._guided(state, led, own, alone=segment.alone)
        state = self._with_references(state)
        conditions = self._told.conditions(
            self._prompts[segment.prompt][0], segment, span, extra=state.position_BT.shape[1] - own
        )
        if self._channels:
            conditions = self._told.with_pictures(conditions, self._pictures_beside(segment, memory), own)
        carried = {} if picture_BCTHW is None else {"picture": picture_BCTHW}
        if index == 0 and self._plan.sketch and not self._plan.picture_first:
            state, carried, led = self._sketched(state, own, conditions, segment.prompt, _name(index))
        walk = Walk(
            name=_name(index),
            prompt=segment.prompt,
            place=segment.new // 2 if self._plan.backward else own - segment.new + segment.new // 2,
            carried=carried,
        )
        latent_BCTHW = self._imagining.latents(state, conditions, walk)[:, :, :own]
        if self._plan.backward:
            return self._grown_backward(latent_BCTHW[:, :, : segment.new], memory)
        new_BCTHW = latent_BCTHW[:, :, -segment.new :]
        finished = led is None and not self._given.reworks
        made_FHW3, codec = self._drawn_on(
            latent_BCTHW, new_BCTHW, segment, memory.codec, self._on_frames if finished else None
        )
        if led is not None:
            made_FHW3 = self._drawing.detailed(made_FHW3, led)
        if self._given.reworks:
            made_FHW3 = self._drawing.pasted(made_FHW3, segment, span, guide)
        if index == 0 or self._plan.segments[index - 1].prompt != segment.prompt:
            # A film's first picture is its prompt's at once; a later prompt's own comes at its first segment's end.
            memory = replace(memory, anchor_HW3=made_FHW3[0 if segment.alone else -1])
        return made_FHW3, memory.after(new_BCTHW, made_FHW3, codec, keep=self._keep, time=self._time)

    def _pictures_beside(self, segment: Segment, memory: Memory) -> dict[int, Frames]:
        """The pictures that an image model is shown: the given ones, or the last one of what it goes on from."""
        pictures = self._pictures(segment)
        if not segment.alone:
            assert memory.frames_FHW3 is not None
            pictures[0] = memory.frames_FHW3[-1]
        return pictures

    def _grown_backward(self, latent_BCTHW: Tensor, memory: Memory) -> tuple[Frames, Memory]:
        """A segment that comes before what exists is a film of its own; the next one sees its first frames."""
        assert memory.frames_FHW3 is not None
        made_FHW3, _ = self._drawing.draw(latent_BCTHW, START)
        frames_FHW3 = np.concatenate([made_FHW3, memory.frames_FHW3])[: len(memory.frames_FHW3)]
        return made_FHW3, Memory(done=memory.done + 1, frames_FHW3=frames_FHW3)

    # What is known before denoising

    def _known(
        self, index: int, segment: Segment, span: Span, memory: Memory, picture_BCTHW: Tensor | None
    ) -> tuple[LatentState, Frames | None]:
        """The state a segment starts from, and the base that its guide is drawn from."""
        state = self._noise(index, segment.anchors + segment.frames)
        if self._plan.backward:
            assert memory.frames_FHW3 is not None
            held_FHW3 = np.concatenate([memory.frames_FHW3[:1], memory.frames_FHW3])
            places = range(segment.new, segment.frames)
            cap = self._model.preset.history_cap
            return state.know(places, self._drawing.encode(held_FHW3)[:, :, 1:], cap=cap), memory.frames_FHW3[0]
        if self._channels:
            return state, None
        base_HW3 = None
        if self._given.region is not None:
            state = self._keep_outside(state, segment, span)
        if not segment.alone:
            assert memory.frames_FHW3 is not None
            state = self._know_history(state, segment, memory)
            base_HW3 = memory.frames_FHW3[-1]
        latents = {at: self._held(rgb_HW3, first=at == 0) for at, rgb_HW3 in self._pictures(segment).items()}
        if segment.alone:
            base_HW3 = self._given.pictures.get(0)
            if picture_BCTHW is not None:
                latents[0] = picture_BCTHW
                base_HW3 = self._drawing.draw(latents[0], tell=False)[0][0]
        return know_pictures(state, latents), base_HW3

    def _pictures(self, segment: Segment) -> dict[int, Frames]:
        """Given pictures (H, W, 3) by their places in the segment's window."""
        before = segment.anchors + (0 if segment.alone else segment.known)
        return {
            at - segment.first + before: rgb_HW3
            for at, rgb_HW3 in self._given.pictures.items()
            if segment.first <= at < segment.first + segment.new
        }

    def _noise(self, index: int, frames: int) -> LatentState:
        grid, model = self._plan.latent, self._model
        return initial_state(
            (model.codec.config.channels, frames, grid.height, grid.width),
            seed=(self._plan.request.seed + SEED_STRIDE * index) % 2**32,
            device=model.device,
        )

    def _know_history(self, state: LatentState, segment: Segment, memory: Memory) -> LatentState:
        """The anchor and the history of a continuation."""
        assert memory.latent_BCTHW is not None
        assert memory.frames_FHW3 is not None
        known = segment.known
        anchor_HW3 = memory.frames_FHW3[-(1 + self._time * known)]
        if segment.gap and memory.anchor_HW3 is not None:
            anchor_HW3 = memory.anchor_HW3
            state = replace(state, position_BT=state.position_BT + segment.gap * (state.position_BT > 0))
        history_BCTHW = memory.latent_BCTHW[:, :, memory.latent_BCTHW.shape[2] - known :]
        cap = self._model.preset.history_cap
        return know_history(state, self._drawing.encode(anchor_HW3[None]), history_BCTHW, cap=cap)

    def _keep_outside(self, state: LatentState, segment: Segment, span: Span) -> LatentState:
        """Everything outside the region known, from the footage; the history is laid over it afterwards."""
        assert self._given.region is not None
        before = self._time * segment.known
        window = Span(base=span.base - before, frames=span.frames + before)
        compression = self._model.codec.config.compression
        return keep_outside(state, self._drawing.encode(self._given.original(window)), self._given.region, compression)

    def _with_references(self, state: LatentState) -> LatentState:
        """The state with the references beside it, where there are any."""
        if not self._given.references:
            return state
        if self._references is None:
            encoded = [self._drawing.encode(rgb_HW3[None]) for rgb_HW3 in self._given.references]
            self._references = torch.cat(encoded, dim=2)
        return stand_beside(state, self._references)

    def _held(self, rgb_HW3: Frames, *, first: bool) -> Tensor:
        """A picture as a latent frame: a clip's first one, or one of a picture that is held as long as it lasts."""
        if first:
            return self._drawing.encode(rgb_HW3[None])
        return self._drawing.encode(np.repeat(rgb_HW3[None], 1 + self._time, axis=0))[:, :, 1:]

    def _guided(self, state: LatentState, led: Encoded, own: int, *, alone: bool) -> LatentState:
        """The state with the guide known as far as it is to be trusted, on the new frames of the window."""
        guide, latent_BCTHW = led
        cap_THW = cell_caps(guide.cap_FHW, self._model.codec.config.compression)
        if not alone:
            latent_BCTHW, cap_THW = latent_BCTHW[:, :, 1:], cap_THW[1:]
        before = 0 if self._plan.backward else own - latent_BCTHW.shape[2]
        latent_BCTHW = torch.nn.functional.pad(latent_BCTHW, (0, 0, 0, 0, before, 0))
        cap_THW = torch.nn.functional.pad(cap_THW, (0, 0, 0, 0, before, 0), value=1.0)
        return follow_guide(state, latent_BCTHW, cap_THW.to(latent_BCTHW))

    # The model at work

    def _picture(self, index: int) -> Tensor:
        """The film's first picture, imagined before the rest of it; an interrupted rest has it in its save."""
        carried = self._imagining.carried(_name(index))
        if carried:
            return carried["picture"]
        state = self._with_references(self._noise(index, 1))
        conditions = self._told.of_picture(self._prompts[0][0], extra=state.position_BT.shape[1] - 1)
        name, carried = f"{_name(index)} picture", {}
        if self._plan.sketch:
            state, carried, _ = self._sketched(state, 1, conditions, 0, name)
        walk = Walk(name=name, prompt=0, kind="picture", carried=carried)
        return self._imagining.latents(state, conditions, walk)[:, :, :1]

    def _sketched(
        self, state: LatentState, own: int, conditions: Conditions, prompt: int, walk: str
    ) -> tuple[LatentState, dict[str, Tensor], Encoded | None]:
        """The state that follows a sketch of its first `own` frames, with the things painted that the director places;
        the sketch for a save of that walk (an interrupted rest has it in its save); and what was painted.
        """
        sampling = self._model.preset.sampling_for(self._plan.request.quality)
        sketch = Sketch.of(own, self._plan.sketch, sampling.sketch_cap)
        carried = dict(self._imagining.carried(walk))
        if not carried:
            count = len(sketch.places)
            before = Walk(name=f"{walk} sketch", prompt=prompt, place=count // 2, kind="sketch")
            latent_BCTHW = self._imagining.latents(sketch.state(state), sketch.conditions(conditions), before)
            carried = {"sketch": latent_BCTHW[:, :, :count]}
        state, painted = sketch.follow(state, carried["sketch"]), None
        if self._plan.directed and self._model.painter is not None:
            painting = Painting(
                self._model.painter,
                self._told.blocking(self._prompts[prompt][0]),
                sketch,
                self._drawing,
                patch=self._model.transformer.config.patch,
                cap=sampling.painted_cap,
            )
            state, painted = painting.paint(painting.cleared(state), self._plan.frame_rate)
        return state, carried, painted

    def _drawn_on(
        self, latent_BCTHW: Tensor, new_BCTHW: Tensor, segment: Segment, state: CodecState, show: OnFrames | None
    ) -> tuple[Frames, CodecState]:
        """A segment's new frames, shown as they come.

        A model that goes on from the last picture alone has made a clip of its own, which begins with that picture.
        """
        if segment.alone or segment.known:
            return self._drawing.draw(new_BCTHW, state, show=show)
        return self._drawing.draw(latent_BCTHW, show=show, skip=1)[0], START


def _name(index: int) -> str:
    """What the walk of a segment is called."""
    return f"segment {index}"
