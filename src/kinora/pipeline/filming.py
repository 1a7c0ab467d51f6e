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

from kinora.codec import START, CodecState, frames_from_video, video_from_frames
from kinora.control.detail import TRUSTED, restore_detail
from kinora.control.frames import face_mask, mouth_windows, pose_of_track
from kinora.control.guide import Guide, cell_caps, follow_guide
from kinora.control.history import know_history
from kinora.control.keyframes import know_pictures
from kinora.control.references import stand_beside
from kinora.control.region import keep_outside, paste
from kinora.core.conditions import Moves, Speech
from kinora.core.errors import WeightsError
from kinora.core.plan import Plan, Segment
from kinora.core.wording import condition_of
from kinora.flow.guidance import guided
from kinora.flow.schedule import schedule
from kinora.flow.solvers import Velocity, sample
from kinora.flow.state import LatentState, initial_state
from kinora.pipeline.given import FEATHER, Given, Span
from kinora.pipeline.memory import Chunk, Memory
from kinora.pipeline.model import Model
from kinora.pipeline.progress import Teller
from kinora.transformer.model import Conditions

__all__ = ["DRAW_FRAMES", "Filming", "Prompts"]

DRAW_FRAMES = 4
"""Latent frames decoded at once: enough to keep convolutions busy, few enough to keep memory flat."""
SEED_STRIDE = 0x9E3779B1
"""Odd, so that no two segments or pictures near each other share a seed (2**32 over the golden ratio)."""

Frames = npt.NDArray[np.uint8]
Prompts = list[tuple[Tensor, Tensor]]
"""For each prompt of a request: its text (B, L, D) and what guidance pushes away from."""


class Filming:
    """One film under way."""

    def __init__(self, model: Model, plan: Plan, prompts: Prompts, teller: Teller) -> None:
        self._model = model
        self._plan = plan
        self._prompts = prompts
        self._teller = teller
        self._time = model.codec.config.compression.time
        self._given = Given(plan, self._time, hold=model.preset.hold)
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
        latent_BCTHW = self._encode(tail_FHW3)
        # The decoder meets the new frames as it would in the middle of a film.
        _, state = self._model.codec.decode_chunk(latent_BCTHW, START)
        return Memory(latent_BCTHW=latent_BCTHW[:, :, 1:], frames_FHW3=tail_FHW3, codec=state)

    def _make(self, index: int, segment: Segment, memory: Memory) -> tuple[Frames, Memory]:
        """One segment's frames, and the memory after it."""
        span = Span.of(segment, self._plan, self._time)
        state, base_HW3 = self._known(index, segment, span, memory)
        guide = self._given.guide(span, base_HW3, changes=self._given.changes(index))
        own = segment.anchors + segment.frames
        if guide is not None:
            guide_BCTHW = self._encode(guide.frames_FHW3)
            state = self._guided(state, guide, guide_BCTHW, own, alone=segment.alone)
        state = self._with_references(state)
        velocity = self._velocity(segment, span, extra=state.position_BT.shape[1] - own)
        latent_BCTHW = self._imagine(state, velocity, pictures=False)[:, :, :own]
        if self._plan.backward:
            return self._grown_backward(latent_BCTHW[:, :, : segment.new], memory)
        new_BCTHW = latent_BCTHW[:, :, -segment.new :]
        made_FHW3, codec = self._draw(new_BCTHW, memory.codec)
        if guide is not None:
            made_FHW3 = self._detailed(made_FHW3, guide, guide_BCTHW)
        if self._given.reworks:
            made_FHW3 = self._pasted(made_FHW3, segment, span, guide)
        if index == 0 or self._plan.segments[index - 1].prompt != segment.prompt:
            # A film's first picture is its prompt's at once; a later prompt's own comes at its first segment's end.
            memory = replace(memory, anchor_HW3=made_FHW3[0 if segment.alone else -1])
        return made_FHW3, memory.after(new_BCTHW, made_FHW3, codec, keep=self._keep, time=self._time)

    def _grown_backward(self, latent_BCTHW: Tensor, memory: Memory) -> tuple[Frames, Memory]:
        """A segment that comes before what exists is a film of its own; the next one sees its first frames."""
        assert memory.frames_FHW3 is not None
        made_FHW3, _ = self._draw(latent_BCTHW, START)
        frames_FHW3 = np.concatenate([made_FHW3, memory.frames_FHW3])[: len(memory.frames_FHW3)]
        return made_FHW3, Memory(done=memory.done + 1, frames_FHW3=frames_FHW3)

    # What is known before denoising

    def _known(self, index: int, segment: Segment, span: Span, memory: Memory) -> tuple[LatentState, Frames | None]:
        """The state a segment starts from, and the base that its guide is drawn from."""
        state = self._noise(index, segment.anchors + segment.frames)
        if self._plan.backward:
            assert memory.frames_FHW3 is not None
            held_FHW3 = np.concatenate([memory.frames_FHW3[:1], memory.frames_FHW3])
            places = range(segment.new, segment.frames)
            cap = self._model.preset.history_cap
            return state.know(places, self._encode(held_FHW3)[:, :, 1:], cap=cap), memory.frames_FHW3[0]
        given, base_HW3 = self._given, None
        if given.region is not None:
            state = self._keep_outside(state, segment, span)
        if not segment.alone:
            assert memory.frames_FHW3 is not None
            state = self._know_history(state, segment, memory)
            base_HW3 = memory.frames_FHW3[-1]
        pictures = {
            at - segment.first + segment.anchors + (0 if segment.alone else segment.known): rgb_HW3
            for at, rgb_HW3 in given.pictures.items()
            if segment.first <= at < segment.first + segment.new
        }
        latents = {at: self._held(rgb_HW3, first=at == 0) for at, rgb_HW3 in pictures.items()}
        if segment.alone:
            base_HW3 = given.pictures.get(0)
            if self._plan.picture_first:
                latents[0] = self._picture(index)
                base_HW3 = self._draw(latents[0], START, tell=False)[0][0]
        return know_pictures(state, latents), base_HW3

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
        return know_history(state, self._encode(anchor_HW3[None]), history_BCTHW, cap=cap)

    def _keep_outside(self, state: LatentState, segment: Segment, span: Span) -> LatentState:
        """Everything outside the region known, from the footage; the history is laid over it afterwards."""
        assert self._given.region is not None
        before = self._time * segment.known
        window = Span(base=span.base - before, frames=span.frames + before)
        compression = self._model.codec.config.compression
        return keep_outside(state, self._encode(self._given.original(window)), self._given.region, compression)

    def _with_references(self, state: LatentState) -> LatentState:
        """The state with the references beside it, where there are any."""
        if not self._given.references:
            return state
        if self._references is None:
            encoded = [self._encode(rgb_HW3[None]) for rgb_HW3 in self._given.references]
            self._references = torch.cat(encoded, dim=2)
        return stand_beside(state, self._references)

    def _held(self, rgb_HW3: Frames, *, first: bool) -> Tensor:
        """A picture as a latent frame: a clip's first one, or one of a picture that is held as long as it lasts."""
        if first:
            return self._encode(rgb_HW3[None])
        return self._encode(np.repeat(rgb_HW3[None], 1 + self._time, axis=0))[:, :, 1:]

    def _guided(self, state: LatentState, guide: Guide, latent_BCTHW: Tensor, own: int, *, alone: bool) -> LatentState:
        """The state with the encoded guide known as far as it is to be trusted, on the new frames of the window."""
        cap_THW = cell_caps(guide.cap_FHW, self._model.codec.config.compression)
        if not alone:
            latent_BCTHW, cap_THW = latent_BCTHW[:, :, 1:], cap_THW[1:]
        before = 0 if self._plan.backward else own - latent_BCTHW.shape[2]
        latent_BCTHW = torch.nn.functional.pad(latent_BCTHW, (0, 0, 0, 0, before, 0))
        cap_THW = torch.nn.functional.pad(cap_THW, (0, 0, 0, 0, before, 0), value=1.0)
        return follow_guide(state, latent_BCTHW, cap_THW.to(latent_BCTHW))

    # The model at work

    def _picture(self, index: int) -> Tensor:
        """The film's first picture, imagined before the rest of it."""
        state = self._with_references(self._noise(index, 1))
        velocity = self._under_prompts(0, Conditions(text_BLD=self._prompts[0][0]))
        return self._imagine(state, velocity, pictures=True)[:, :, :1]

    def _imagine(self, start: LatentState, velocity: Velocity, *, pictures: bool) -> Tensor:
        """Denoise a window."""
        sampling = self._model.preset.sampling_for(self._plan.request.quality)
        shift = sampling.image_shift if pictures or self._plan.latent.frames == 1 else sampling.shift
        latent_BCTHW = sample(
            velocity,
            start,
            schedule(self._plan.steps, shift),
            sampling.solver,
            on_step=lambda _done, _total: self._teller.advance("imagine"),
        )
        if not torch.isfinite(latent_BCTHW).all():
            raise WeightsError(
                f"{self._model.manifest.name} gave values that are no numbers; its weights are unfit. "
                "Fetch or train it again."
            )
        return latent_BCTHW

    def _velocity(self, segment: Segment, span: Span, *, extra: int) -> Velocity:
        """The transformer under the segment's prompt and what is told of its frames; `extra` frames stand beside."""
        before = 0 if segment.alone else segment.known + segment.anchors - 1
        frames_T = span.base + self._time * np.arange(-before, segment.frames + segment.anchors - before)
        conditions = Conditions(text_BLD=self._prompts[segment.prompt][0])
        moves, speech = condition_of(self._plan.request, Moves), condition_of(self._plan.request, Speech)
        if moves is not None and self._model.transformer.config.pose_width and not self._plan.backward:
            track = self._given.track(moves, np.arange(int(frames_T[0]), int(frames_T[-1]) + 1))
            pose_T12 = pose_of_track(track, np.arange(len(frames_T)))
            conditions = replace(conditions, pose_BT12=self._told(pose_T12, extra))
        if speech is not None and self._model.transformer.config.mouth_width:
            mouth_TS = self._mouths(speech, frames_T)
            face_BT3 = self._told(self._given.faces(speech.face, frames_T), extra)
            height, width = self._plan.latent.height, self._plan.latent.width
            conditions = replace(
                conditions, mouth_BTS=self._told(mouth_TS, extra), face_BTHW=face_mask(face_BT3, height, width)
            )
        return self._under_prompts(segment.prompt, conditions)

    def _mouths(self, speech: Speech, frames_T: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Mouth shapes around each latent frame of a window."""
        window_F = np.arange(int(frames_T[0]) - 2 * self._time, int(frames_T[-1]) + 2 * self._time + 1)
        mouth_F4 = self._given.mouths(speech, window_F)
        return mouth_windows(mouth_F4, 2 + np.arange(len(frames_T)))

    def _told(self, rows_TK: npt.NDArray[np.floating], extra: int) -> Tensor:
        """Numbers of each latent frame as a tensor (1, T, K); frames that stand beside have none."""
        told_TK = torch.from_numpy(np.asarray(rows_TK, dtype=np.float32)).to(self._model.device)
        return torch.nn.functional.pad(told_TK, (0, 0, 0, extra))[None]

    def _under_prompts(self, prompt: int, conditions: Conditions) -> Velocity:
        """The transformer with the prompt and without it, guided."""
        with_text, without_text = self._prompts[prompt]
        return guided(
            self._under(replace(conditions, text_BLD=with_text)),
            self._under(replace(conditions, text_BLD=without_text)),
            self._plan.guidance,
        )

    def _under(self, conditions: Conditions) -> Velocity:
        model = self._model

        def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
            with torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32):
                v_BCTHW: Tensor = model.transformer(x_BCTHW, sigma_BTHW, position_BT, conditions)
            return v_BCTHW.float()

        return velocity

    # Between pixels and latents

    def _encode(self, frames_FHW3: Frames) -> Tensor:
        """Latents of frames that begin with a single picture."""
        frames_BFHWC = torch.from_numpy(np.ascontiguousarray(frames_FHW3))[None].to(self._model.device)
        latent_BCTHW: Tensor = self._model.codec.encode(video_from_frames(frames_BFHWC))
        return latent_BCTHW

    def _draw(self, latent_BCTHW: Tensor, state: CodecState, *, tell: bool = True) -> tuple[Frames, CodecState]:
        """Latents to pixels, a few latent frames at a time."""
        drawn = []
        for piece_BCTHW in latent_BCTHW.split(DRAW_FRAMES, dim=2):
            video_BCFHW, state = self._model.codec.decode_chunk(piece_BCTHW, state)
            drawn.append(frames_from_video(video_BCFHW)[0].cpu().numpy())
            if tell:
                self._teller.advance("draw")
        return np.concatenate(drawn), state

    def _detailed(self, made_FHW3: Frames, guide: Guide, latent_BCTHW: Tensor) -> Frames:
        """What the codec has lost of an encoded guide, added where the guide is to be trusted."""
        trusted = np.flatnonzero(guide.cap_FHW.min(axis=(1, 2)) < TRUSTED)
        if not trusted.size:
            return made_FHW3
        # Nothing behind the last trusted frame is needed; whole pieces, so that they are drawn to the same bits.
        needed = 1 + -(-int(trusted[-1]) // self._time)
        pieces = -(-needed // DRAW_FRAMES)
        coded_FHW3, _ = self._draw(latent_BCTHW[:, :, : pieces * DRAW_FRAMES], START, tell=False)
        first, end = len(guide.frames_FHW3) - len(made_FHW3), len(coded_FHW3)
        shown = Guide(frames_FHW3=guide.frames_FHW3[first:end], cap_FHW=guide.cap_FHW[first:end])
        restored_FHW3 = restore_detail(made_FHW3[: end - first], shown, coded_FHW3[first:])
        return np.concatenate([restored_FHW3, made_FHW3[end - first :]])

    def _pasted(self, made_FHW3: Frames, segment: Segment, span: Span, guide: Guide | None) -> Frames:
        """New pixels laid into the footage: only what was to change has changed."""
        assert self._given.footage is not None
        first = 0 if segment.alone else 1
        # The grid may be longer than the footage, by less than a latent frame.
        count = min(len(made_FHW3), len(self._given.footage) - span.base - first)
        made_FHW3, original_FHW3 = made_FHW3[:count], self._given.original(span)[first : first + count]
        if self._given.region is not None:
            return paste(made_FHW3, original_FHW3, self._given.region, feather=FEATHER)
        assert guide is not None
        # Around the mouth the level fades out over a cell, to spare the model an edge; the pixels stay.
        cap_FHW = guide.cap_FHW[first : first + count]
        changed_FHW = cap_FHW > 0.5 * cap_FHW.max()
        return np.concatenate(
            [
                paste(made_FHW3[f : f + 1], original_FHW3[f : f + 1], changed_HW, feather=FEATHER)
                for f, changed_HW in enumerate(changed_FHW)
            ]
        )
