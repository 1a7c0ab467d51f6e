"""One pipeline: request -> plan -> latents -> clip.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.codec import START, frames_from_video, video_from_frames
from kinora.control.history import know_history
from kinora.core.clip import Clip
from kinora.core.errors import WeightsError
from kinora.core.plan import Plan, Segment
from kinora.core.request import SEED_LIMIT, Request
from kinora.flow.guidance import guided
from kinora.flow.schedule import schedule
from kinora.flow.solvers import Velocity, sample
from kinora.flow.state import LatentState, initial_state
from kinora.language.encoder import token_ids
from kinora.language.prompt import PromptReport, check_prompt
from kinora.media.recipe import Recipe
from kinora.pipeline.model import Model, load_model, weights_hash
from kinora.pipeline.planning import plan_film, plan_image
from kinora.pipeline.progress import OnProgress, Stage, Teller
from kinora.presets import find_model
from kinora.transformer.model import Conditions

__all__ = ["Pipeline", "load_pipeline"]

DRAW_FRAMES = 4
"""Latent frames decoded at once: enough to keep convolutions busy, few enough to keep memory flat."""
SEED_STRIDE = 0x9E3779B1
"""Odd, so that no two segments or pictures near each other share a seed (2**32 over the golden ratio)."""


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

        Raises `PromptError` or `ShapeError` when this model cannot take the request.
        """
        request = Request(prompt=request) if isinstance(request, str) else request
        self.check(request.prompt)
        plan = self.plan(request)
        teller = _teller(plan, 1, on_progress)
        frames_FHWC = self._film(plan, self._conditions(request, teller), teller)
        return Clip(frames_FHWC=frames_FHWC, frame_rate=plan.frame_rate)

    def image(
        self, request: Request | str, *, n: int = 1, on_progress: OnProgress | None = None
    ) -> list[npt.NDArray[np.uint8]]:
        """`n` pictures (H, W, 3), the request's seed counting up; each is the same as when made alone."""
        request = Request(prompt=request) if isinstance(request, str) else request
        self.check(request.prompt)
        plans = [
            plan_image(replace(request, seed=(request.seed + index) % SEED_LIMIT), self.facts, self.model.preset)
            for index in range(n)
        ]
        teller = _teller(plans[0], n, on_progress)
        conditions = self._conditions(request, teller)
        return [self._film(plan, conditions, teller)[0] for plan in plans]

    # Inside

    @torch.inference_mode()
    def _conditions(self, request: Request, teller: Teller) -> tuple[Conditions, Conditions]:
        """The prompt encoded, and what guidance pushes away from: the negative prompt, or no text (all zero) as
        trained.
        """
        teller.start()
        text_BLD = self._encode(request.prompt)
        without_BLD = self._encode(request.negative) if request.negative else torch.zeros_like(text_BLD)
        teller.advance("read")
        return Conditions(text_BLD=text_BLD), Conditions(text_BLD=without_BLD)

    def _encode(self, text: str) -> Tensor:
        ids_BL = token_ids(self.model.tokenizer, [text], self.model.text.config.length, self.model.device)
        encoded_BLD: Tensor = self.model.text(ids_BL)
        return encoded_BLD

    @torch.inference_mode()
    def _film(self, plan: Plan, conditions: tuple[Conditions, Conditions], teller: Teller) -> npt.NDArray[np.uint8]:
        """All segments, imagined and drawn in turn: frames (F, H, W, 3)."""
        model, state = self.model, START
        velocity = self._velocity(plan, conditions)
        drawn: list[npt.NDArray[np.uint8]] = []
        made: list[Tensor] = []
        for index, segment in enumerate(plan.segments):
            start = self._start(plan, segment, index, made, drawn)
            latent_BCTHW = self._imagine(plan, start, velocity, teller)[:, :, -segment.new :]
            made.append(latent_BCTHW)
            for piece_BCTHW in latent_BCTHW.split(DRAW_FRAMES, dim=2):
                video_BCFHW, state = model.codec.decode_chunk(piece_BCTHW, state)
                drawn.append(frames_from_video(video_BCFHW)[0].cpu().numpy())
                teller.advance("draw")
        return np.concatenate(drawn)

    def _start(
        self, plan: Plan, segment: Segment, index: int, made: list[Tensor], drawn: list[npt.NDArray[np.uint8]]
    ) -> LatentState:
        """The latent state a segment starts from."""
        grid, model = plan.latent, self.model
        frames = segment.frames + (1 if segment.known else 0)
        state = initial_state(
            (model.codec.config.channels, frames, grid.height, grid.width),
            seed=(plan.request.seed + SEED_STRIDE * index) % 2**32,
            device=model.device,
        )
        if not segment.known:
            return state
        first_known = segment.first - segment.known
        history_BCTHW = torch.cat(made, dim=2)[:, :, first_known:]
        # The picture just before the history is the last one that its predecessor on the latent grid holds.
        before = model.codec.config.compression.time * (first_known - 1)
        anchor_FHWC = np.concatenate(drawn)[before : before + 1]
        anchor_BCTHW = model.codec.encode(video_from_frames(torch.from_numpy(anchor_FHWC)[None]).to(model.device))
        return know_history(state, anchor_BCTHW, history_BCTHW, cap=model.preset.history_cap)

    def _imagine(self, plan: Plan, start: LatentState, velocity: Velocity, teller: Teller) -> Tensor:
        """Denoise a segment."""
        sampling = self.model.preset.sampling_for(plan.request.quality)
        shift = sampling.image_shift if plan.latent.frames == 1 else sampling.shift
        latent_BCTHW = sample(
            velocity,
            start,
            schedule(plan.steps, shift),
            sampling.solver,
            on_step=lambda _done, _total: teller.advance("imagine"),
        )
        if not torch.isfinite(latent_BCTHW).all():
            raise WeightsError(
                f"{self.name} gave values that are no numbers; its weights are unfit. Fetch or train it again."
            )
        return latent_BCTHW

    def _velocity(self, plan: Plan, conditions: tuple[Conditions, Conditions]) -> Velocity:
        """The transformer under both conditions, guided."""
        with_text, without_text = (self._under(condition) for condition in conditions)
        return guided(with_text, without_text, plan.guidance)

    def _under(self, conditions: Conditions) -> Velocity:
        model = self.model

        def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
            with torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32):
                v_BCTHW: Tensor = model.transformer(x_BCTHW, sigma_BTHW, position_BT, conditions)
            return v_BCTHW.float()

        return velocity


def _teller(plan: Plan, films: int, listener: OnProgress | None) -> Teller:
    """Progress of `films` films made by one plan."""
    steps = plan.steps * len(plan.segments)
    chunks = sum(-(-segment.new // DRAW_FRAMES) for segment in plan.segments)
    stages = (
        Stage(name="read", pieces=1, expected=0.02),
        Stage(name="imagine", pieces=films * steps, expected=plan.imagine_seconds / steps),
        Stage(name="draw", pieces=films * chunks, expected=plan.draw_seconds / chunks),
    )
    return Teller(stages=stages, listener=listener)
