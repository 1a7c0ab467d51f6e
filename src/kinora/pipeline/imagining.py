"""Imagining: one window denoised, from where it starts or from where a save of it stands.

Axes: B batch, C channels, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kinora.core.errors import WeightsError
from kinora.core.plan import Plan
from kinora.flow.renewal import Renewal
from kinora.flow.schedule import schedule, wan_schedule
from kinora.flow.solvers import Standing, sample, still_steps
from kinora.flow.state import LatentState
from kinora.pipeline.asking import Asked, Guided
from kinora.pipeline.drawing import OnFrames
from kinora.pipeline.model import Model
from kinora.pipeline.previews import Guess, Previews
from kinora.pipeline.progress import Teller
from kinora.pipeline.resident import Resident
from kinora.pipeline.saving import Saves, Saving
from kinora.presets import Sampling, WalkKind
from kinora.transformer.conditions import Conditions

__all__ = ["NOBODY", "Imagining", "Listeners", "Prompts", "Walk"]

Prompts = list[tuple[Tensor, Tensor]]
"""For each prompt of a request: its text (B, L, D) and what guidance pushes away from."""


def _nobody(_sentence: str) -> None:
    """Hears notes where nobody else does."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who hears and sees of a film under way, and keeps what it can go on from."""

    note: Callable[[str], None] = _nobody
    frames: OnFrames | None = None
    """Sees what nothing changes any more before its chunk is whole."""
    saves: Saves | None = None
    previews: Previews | None = None


NOBODY = Listeners()


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """One way from noise to latents among those of a film."""

    name: str
    """Tells it from the film's others."""
    prompt: int
    place: int = 0
    """Latent frame of the window that stands for it when somebody looks."""
    kind: WalkKind = "window"
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    """What a save must keep beside it: see `kinora.pipeline.saving.Found`."""


class Imagining:
    """The transformer at work on one film."""

    def __init__(
        self, model: Model, resident: Resident, plan: Plan, prompts: Prompts, teller: Teller, listeners: Listeners
    ) -> None:
        self._model = model
        self._resident = resident
        self._plan = plan
        self._prompts = prompts
        self._teller = teller
        self._listeners = listeners
        self._saving = Saving(listeners.saves, model, plan)

    def carried(self, walk: str) -> Mapping[str, Tensor]:
        """What the save of that walk keeps beside it, told as done; empty where there is none."""
        found = self._saving.found(walk)
        if found is None or not found.carried:
            return {}
        done = 0 if "sketch" in found.carried else self._plan.steps
        if done == 0 or self._plan.picture_first:
            done += self._plan.sketch_steps
        self._teller.skip("imagine", done)
        return found.carried

    def latents(self, start: LatentState, conditions: Conditions, walk: Walk) -> Tensor:
        """Denoise a window under the walk's prompt, guided away from its other side."""
        sampling = self._model.preset.sampling_for(self._plan.request.quality)
        shift = sampling.shift_for("picture" if self._plan.latent.frames == 1 else walk.kind)
        count = 1 if self._plan.guidance == 1.0 else 2
        sides = tuple(replace(conditions, text_BLD=text_BLD) for text_BLD in self._prompts[walk.prompt][:count])
        _, _, frames, height, width = start.noise_BCTHW.shape
        tokens = frames * height * width // self._model.transformer.config.patch**2
        sigmas = (wan_schedule if sampling.solver == "unipc" else schedule)(sampling.steps_for(walk.kind), shift)
        with Asked(self._model, self._resident, sides, tokens) as asked:
            velocity = Guided(
                asked, sampling, sigmas, whole=self._model.preset.whole_times, reuse=self._plan.request.reuse
            )
            latent_BCTHW = self._walked(velocity, start, sigmas, sampling, walk)
        for report in velocity.reports:
            self._listeners.note(report)
        self._check_finite(latent_BCTHW)
        return latent_BCTHW

    def _walked(self, velocity: Guided, start: LatentState, sigmas: Tensor, sampling: Sampling, walk: Walk) -> Tensor:
        """The schedule, walked from its beginning or from where a save stands."""
        found, total, previews = self._saving.found(walk.name), len(sigmas) - 1, self._listeners.previews
        guess = Guess(velocity)
        if found is not None:
            velocity.resume(found.reuse)
        if before := still_steps(sigmas.tolist(), start) if found is None else found.standing.steps:
            self._teller.skip("imagine", before)

        def stands(standing: Standing) -> None:
            self._saving.stands(walk.name, standing, total, velocity.history, walk.carried)
            if previews is not None:
                previews.look(standing.steps, total, guess, walk.place, self._resident)

        return sample(
            velocity if previews is None else guess,
            start,
            sigmas,
            sampling.solver,
            lambda _done, _total: self._teller.advance("imagine"),
            renewal=Renewal(eta=sampling.renewal, floor=sampling.renewal_floor),
            on_stand=stands,
            begin=None if found is None else found.standing,
        )

    def _check_finite(self, latent_BCTHW: Tensor) -> None:
        """Raise `WeightsError` for values that are no numbers."""
        if torch.isfinite(latent_BCTHW).all():
            return
        loras = [file.name for file in self._model.manifest.files if file.part.startswith("lora")]
        unfit = f"its LoRA ({', '.join(loras)}) or its weights are" if loras else "its weights are"
        raise WeightsError(
            f"{self._model.manifest.name} gave values that are no numbers; {unfit} unfit. Fetch or train it again."
        )
