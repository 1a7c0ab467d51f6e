"""One pipeline: request -> plan -> latents -> clip.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.clip import Clip
from kinora.core.plan import Plan
from kinora.core.request import SEED_LIMIT, Request
from kinora.core.wording import plain_prompt
from kinora.language.encoder import token_ids
from kinora.language.prompt import PromptReport, check_prompt
from kinora.media.recipe import Recipe
from kinora.pipeline.filming import DRAW_FRAMES, Filming, Prompts
from kinora.pipeline.memory import Chunk, Memory
from kinora.pipeline.model import Model, load_model, weights_hash
from kinora.pipeline.planning import plan_film, plan_image
from kinora.pipeline.progress import OnProgress, Stage, Teller
from kinora.presets import find_model

__all__ = ["Pipeline", "load_pipeline"]


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

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.manifest.name

    def check(self, prompt: str) -> PromptReport:
        """Which words of a prompt the model knows; raises `PromptError` when it is empty or too long."""
        return check_prompt(prompt, self.model.tokenizer, self.model.text.config.length)

    def plan(self, request: Request) -> Plan:
        """What `generate` would do."""
        return plan_film(request, self.facts, self.model.preset)

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
        self, request: Request, memory: bytes | None = None, *, on_progress: OnProgress | None = None
    ) -> Iterator[Chunk]:
        """The same film a chunk at a time, in memory that does not grow with its length.

        Each chunk carries a memory; the same request with that memory goes on behind the chunk and gives the same
        frames. A film that grows backward comes last chunk first.
        """
        for prompt in _prompts(request):
            self.check(prompt)
        plan = self.plan(request)
        done = None if memory is None else Memory.from_bytes(memory, self.model.device)
        teller = _teller(plan, 1, on_progress, done=0 if done is None else done.done)
        return Filming(self.model, plan, self._read(request, teller), teller).chunks(done)

    def image(
        self, request: Request | str, *, n: int = 1, on_progress: OnProgress | None = None
    ) -> list[npt.NDArray[np.uint8]]:
        """`n` pictures (H, W, 3), the request's seed counting up; each is the same as when made alone."""
        request = Request(prompt=request) if isinstance(request, str) else request
        for prompt in _prompts(request):
            self.check(prompt)
        plans = [
            plan_image(replace(request, seed=(request.seed + index) % SEED_LIMIT), self.facts, self.model.preset)
            for index in range(n)
        ]
        teller = _teller(plans[0], n, on_progress)
        prompts = self._read(request, teller)
        return [next(Filming(self.model, plan, prompts, teller).chunks()).frames_FHWC[0] for plan in plans]

    # Inside

    @torch.inference_mode()
    def _read(self, request: Request, teller: Teller) -> Prompts:
        """The prompts encoded, each with what guidance pushes away from: the negative prompt, or no text (all zero)
        as trained.
        """
        teller.start()
        texts = [self._encode(prompt) for prompt in _prompts(request)]
        without_BLD = self._encode(request.negative) if request.negative else torch.zeros_like(texts[0])
        teller.advance("read")
        return [(text_BLD, without_BLD) for text_BLD in texts]

    def _encode(self, text: str) -> Tensor:
        ids_BL = token_ids(self.model.tokenizer, [text], self.model.text.config.length, self.model.device)
        encoded_BLD: Tensor = self.model.text(ids_BL)
        return encoded_BLD


def _prompts(request: Request) -> list[str]:
    """What the model is told, one after the other in time."""
    return [plain_prompt(text, request) for text in (request.prompt, *(line.prompt for line in request.script))]


def _teller(plan: Plan, films: int, listener: OnProgress | None, *, done: int = 0) -> Teller:
    """Progress of `films` films made by one plan, of which `done` segments exist."""
    left = plan.segments[done:]
    passes = len(plan.segments) + plan.picture_first
    steps = plan.steps * (len(left) + (plan.picture_first and done == 0))
    chunks = sum(-(-segment.new // DRAW_FRAMES) for segment in left)
    every = sum(-(-segment.new // DRAW_FRAMES) for segment in plan.segments)
    stages = (
        Stage(name="read", pieces=1, expected=0.02),
        Stage(name="imagine", pieces=films * steps, expected=plan.imagine_seconds / (plan.steps * passes)),
        Stage(name="draw", pieces=films * chunks, expected=plan.draw_seconds / every),
    )
    return Teller(stages=stages, listener=listener)
