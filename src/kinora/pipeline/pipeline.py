"""One pipeline: request -> plan -> latents -> clip.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from kinora.core.clip import Clip
from kinora.core.plan import Plan
from kinora.core.request import SEED_LIMIT, Request
from kinora.core.wording import plain_prompt
from kinora.language.prompt import PromptReport
from kinora.media.recipe import Recipe
from kinora.pipeline.card import card_of
from kinora.pipeline.drawing import OnFrames
from kinora.pipeline.falling import chunks_with_fallback, with_fallback
from kinora.pipeline.filming import Filming
from kinora.pipeline.imagining import Listeners, Prompts
from kinora.pipeline.memory import Chunk, Memory
from kinora.pipeline.model import Model, load_model, weights_hash
from kinora.pipeline.planning import plan_film, plan_image
from kinora.pipeline.previews import Previews
from kinora.pipeline.progress import OnProgress, Stage, Teller
from kinora.pipeline.residency import Rung, held_bytes, ladder
from kinora.pipeline.resident import Resident
from kinora.pipeline.saving import Saves
from kinora.presets import find_model

__all__ = ["OnNote", "OnPicture", "Pipeline", "load_pipeline"]

OnNote = Callable[[str], None]
"""Hears sentences about how the work goes, such as a change of plan."""
OnPicture = Callable[[int, npt.NDArray[np.uint8]], None]
"""Sees a finished picture (H, W, 3), and which one it is, from 0."""


def load_pipeline(model: str = "tiny", *, device: str | None = None) -> Pipeline:
    """The pipeline of a model by name or folder; raises `WeightsError` when it is missing or damaged."""
    return Pipeline(load_model(find_model(model), device=device))


class Pipeline:
    """A model that films requests. The same request gives the same frames, to the bit, on one device and thread
    count.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.facts = model.facts
        self._resident: Resident | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.manifest.name

    def check(self, prompt: str) -> PromptReport:
        """Which words of a prompt the model knows; raises `PromptError` when it is empty or too long."""
        return self.model.text.check(prompt)

    def plan(self, request: Request) -> Plan:
        """What `generate` would do."""
        return plan_film(request, self.facts, self.model.preset)

    def rungs(self, plan: Plan) -> tuple[Rung, ...]:
        """How the model may be placed in memory for a film, fastest first; raises `MemoryShortage` when it cannot."""
        card = card_of(str(self.model.device), str(self.model.dtype).removeprefix("torch."), held=self._held())
        return ladder(self.model.parts, plan, card)

    def recipe(self, request: Request, *, kind: str) -> Recipe:
        """What to store with a result so that it can be made again; `kind` is film or image."""
        from kinora import __version__

        manifest = self.model.manifest
        return Recipe(
            kind=kind,
            request=request,
            model=manifest.name,
            weights=weights_hash(manifest),
            world=manifest.world,
            kinora=__version__,
        )

    def generate(self, request: Request | str, *, on_progress: OnProgress | None = None) -> Clip:
        """A film. `on_progress` hears of every step and may raise `Cancelled`.

        What goes on from footage comes alone, without the footage. Raises `PromptError`, `ShapeError` or `InputError`
        when this model cannot take the request.
        """
        request = Request(prompt=request) if isinstance(request, str) else request
        plan = self.plan(request)
        chunks = [chunk.frames_FHWC for chunk in self.stream(request, on_progress=on_progress)]
        frames_FHWC = np.concatenate(chunks[::-1] if plan.backward else chunks)
        return Clip(frames_FHWC=frames_FHWC, frame_rate=plan.frame_rate)

    def stream(
        self,
        request: Request,
        memory: bytes | None = None,
        *,
        on_progress: OnProgress | None = None,
        on_note: OnNote | None = None,
        on_frames: OnFrames | None = None,
        saves: Saves | None = None,
        previews: Previews | None = None,
        skip_rungs: int = 0,
    ) -> Iterator[Chunk]:
        """The same film a chunk at a time, in memory that does not grow with its length.

        Each chunk carries a memory; the same request with that memory goes on behind the chunk and gives the same
        frames. A film that grows backward comes last chunk first. Where memory gives out, the model is placed more
        sparingly and the film goes on behind its last chunk; `on_note` hears a sentence of it. `on_frames` sees frames
        before their chunk is whole, where nothing changes them any more; where a chunk is drawn again they come again.
        `saves` keeps the film every few steps between two chunks, `previews` shows how it looks by then. With
        `skip_rungs` it begins so much further down, at the last rung at most: an earlier attempt died of memory.
        """
        for prompt in _prompts(request):
            self.check(prompt)
        plan, note = self.plan(request), on_note or _nobody
        listeners = Listeners(note=note, frames=on_frames, saves=saves, previews=previews)

        def run(rung: Rung, memory: bytes | None) -> Iterator[Chunk]:
            done = None if memory is None else Memory.from_bytes(memory, self.model.device)
            teller = _teller(plan, 1, on_progress, done=0 if done is None else done.done)
            resident = self._placed(rung)
            prompts = self._read(request, resident, teller)
            return Filming(self.model, resident, plan, prompts, teller, listeners).chunks(done)

        return chunks_with_fallback(_lower(self.rungs(plan), skip_rungs), run, note, memory)

    def image(
        self,
        request: Request | str,
        *,
        n: int = 1,
        on_progress: OnProgress | None = None,
        on_note: OnNote | None = None,
        on_picture: OnPicture | None = None,
        saves: Saves | None = None,
        previews: Previews | None = None,
        skip_rungs: int = 0,
    ) -> list[npt.NDArray[np.uint8]]:
        """`n` pictures (H, W, 3), the request's seed counting up; each is the same as when made alone.

        `on_picture` sees each as soon as it is there, again where memory gave out; the rest is as for `stream`.
        """
        request = Request(prompt=request) if isinstance(request, str) else request
        for prompt in _prompts(request):
            self.check(prompt)
        plans = [
            plan_image(replace(request, seed=(request.seed + index) % SEED_LIMIT), self.facts, self.model.preset)
            for index in range(n)
        ]

        note = on_note or _nobody
        listeners = Listeners(note=note, saves=saves, previews=previews)

        def run(rung: Rung) -> list[npt.NDArray[np.uint8]]:
            teller, resident = _teller(plans[0], n, on_progress), self._placed(rung)
            prompts = self._read(request, resident, teller)
            pictures = []
            for index, plan in enumerate(plans):
                film = Filming(self.model, resident, plan, prompts, teller, listeners)
                pictures.append(next(film.chunks()).frames_FHWC[0])
                if on_picture is not None:
                    on_picture(index, pictures[-1])
            return pictures

        return with_fallback(_lower(self.rungs(plans[0]), skip_rungs), run, note)

    def close(self) -> None:
        """Let go of what is kept ready between films."""
        if self._resident is not None:
            self._resident.close()
            self._resident = None

    # Inside

    def _placed(self, rung: Rung) -> Resident:
        """The model's parts under a rung; what was placed likewise for the last film is still there."""
        if self._resident is None or self._resident.rung.placings != rung.placings:
            self.close()
            self._resident = Resident(self.model.sources, rung)
        self._resident.rung = rung
        return self._resident

    def _held(self) -> int:
        """Bytes that the model holds already."""
        resident = self._resident
        return 0 if resident is None else held_bytes(self.model.parts, resident.rung, resident.held)

    @torch.inference_mode()
    def _read(self, request: Request, resident: Resident, teller: Teller) -> Prompts:
        """The prompts encoded, each with what guidance pushes away from: the negative prompt, the model's own, or no
        text (all zero).
        """
        teller.start()
        negative = request.negative or self.model.preset.negative
        told = [*_prompts(request), *([negative] if negative else [])]
        with resident.use("text") as text:
            # At once, because a large encoder comes through memory block by block for every call.
            rows = text.encode(told).float().to(self.model.device).split(1)
        teller.advance("read")
        without_BLD = rows[-1] if negative else torch.zeros_like(rows[0])
        return [(text_BLD, without_BLD) for text_BLD in rows[: len(_prompts(request))]]


def _nobody(_sentence: str) -> None:
    """Hears notes where nobody else does."""


def _lower(rungs: tuple[Rung, ...], skip: int) -> tuple[Rung, ...]:
    """The rungs without the first `skip`; the last one always stays."""
    return rungs[min(skip, len(rungs) - 1) :]


def _prompts(request: Request) -> list[str]:
    """What the model is told, one after the other in time."""
    return [plain_prompt(text, request) for text in (request.prompt, *(line.prompt for line in request.script))]


def _teller(plan: Plan, films: int, listener: OnProgress | None, *, done: int = 0) -> Teller:
    """Progress of `films` films made by one plan, of which `done` segments exist."""
    left = plan.segments[done:]
    steps = plan.steps * len(left) if done else plan.all_steps
    frames = sum(segment.new for segment in left)
    stages = (
        Stage(name="read", pieces=1, expected=0.02),
        Stage(name="imagine", pieces=films * steps, expected=plan.imagine_seconds / plan.all_steps),
        Stage(name="draw", pieces=films * frames, expected=plan.draw_seconds / plan.latent.frames),
    )
    return Teller(stages=stages, listener=listener)
