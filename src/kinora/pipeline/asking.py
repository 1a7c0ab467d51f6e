"""Asking the transformer for velocities: under which prompt, which expert, how strongly guided.

Axes: B batch, C channels, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from kinora.flow.guidance import guided_pair
from kinora.flow.reuse import Reusing
from kinora.flow.schedule import whole_times
from kinora.flow.solvers import Velocity
from kinora.flow.step import History
from kinora.pipeline.model import Model
from kinora.pipeline.parts import PAIR_TOKENS
from kinora.pipeline.resident import Resident
from kinora.presets import Sampling
from kinora.transformer.conditions import Conditions, Prepared
from kinora.transformer.model import Transformer

__all__ = ["Asked", "Guided"]

HIGH, LOW = "transformer", "transformer_low"
"""The expert for noisy latents, or the only one, and the one for the rest."""


class Asked:
    """The model under one set of conditions, a velocity for `kinora.flow.solvers.sample`.

    A context manager: leaving it lets the transformer go. What does not change from step to step is prepared once, and
    once more where a model's second expert takes over or guidance ends.
    """

    def __init__(self, model: Model, resident: Resident, sides: tuple[Conditions, ...], tokens: int) -> None:
        """`sides` is what to make, and, with guidance, what to push away from; `tokens` the length of the window."""
        self._model = model
        self._resident = resident
        self._sides = sides
        self._rounds = (_paired(*sides),) if len(sides) == 2 and tokens <= PAIR_TOKENS else sides
        self._stack = ExitStack()
        self._name = ""
        self._transformer: Transformer | None = None
        self._prepared: dict[bool, tuple[Prepared, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def __call__(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity with the prompt and that without it, float32."""
        with_BCTHW, without_BCTHW = self._ask(x_BCTHW, sigma_BTHW, position_BT, alone=False)
        return with_BCTHW, without_BCTHW

    def alone(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        """The velocity with the prompt, float32: half the work."""
        return self._ask(x_BCTHW, sigma_BTHW, position_BT, alone=True)[0]

    def _ask(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor, *, alone: bool) -> list[Tensor]:
        self._turn_to(self.expert(float(sigma_BTHW.max())))
        assert self._transformer is not None
        model, found = self._model, []
        with torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32):
            if alone not in self._prepared:
                rounds = self._sides[:1] if alone else self._rounds
                self._prepared[alone] = tuple(self._transformer.prepare(conditions) for conditions in rounds)
            for prepared in self._prepared[alone]:
                v_BCTHW: Tensor = self._transformer(x_BCTHW, sigma_BTHW, position_BT, prepared)
                found += v_BCTHW.split(1)
        return found

    def expert(self, level: float) -> str:
        """Which transformer denoises where the schedule stands at `level`."""
        boundary = self._model.preset.boundary
        # Levels are multiples of a thousandth where experts are changed; float32 must not decide at the boundary.
        if boundary and 1000.0 * level < 1000.0 * boundary - 1e-3:
            return LOW
        return HIGH

    def _turn_to(self, name: str) -> None:
        if name == self._name:
            return
        self._let_go()
        self._name = name
        self._transformer = self._stack.enter_context(self._resident.use(name))

    def _let_go(self) -> None:
        self._name, self._transformer, self._prepared = "", None, {}
        self._stack.close()


class Guided:
    """The velocity that a sampler follows: both sides guided, as strongly as each expert wants it and as far down as
    the model's sampling has it, steps reused where that is asked for.
    """

    def __init__(self, asked: Asked, sampling: Sampling, sigmas: Tensor, *, whole: bool, reuse: float = 0.0) -> None:
        """`sigmas` is the schedule; with `whole` the model is told its times as whole thousandths; `reuse` is the
        threshold of `kinora.flow.reuse`.
        """
        self._whole = whole
        self._asked = asked
        self._sampling = sampling
        low = sampling.guidance if sampling.low_guidance is None else sampling.low_guidance
        pair = guided_pair(asked, lambda level: low if asked.expert(level) == LOW else sampling.guidance)
        self._stretches: dict[tuple[str, bool], Velocity] = {}
        for name, alone in product((HIGH, LOW), (False, True)):
            velocity = asked.alone if alone else pair
            self._stretches[name, alone] = whole_times(velocity) if whole else velocity
        self._reusing: list[Reusing] = []
        if reuse:
            for stretch, velocity in self._stretches.items():
                walked = [i for i, level in enumerate(sigmas[:-1].tolist()) if self._stretch(level) == stretch]
                if walked:
                    part = sigmas[walked[0] : walked[-1] + 2]
                    self._stretches[stretch] = Reusing(velocity, reuse, part)
            self._reusing = [one for one in self._stretches.values() if isinstance(one, Reusing)]

    def history(self) -> History:
        """What reusing steps has learnt and counted, for `resume`; empty where none are reused."""
        return {
            f"{place}.{name}": tensor
            for place, one in enumerate(self._reusing)
            for name, tensor in one.history().items()
        }

    def resume(self, history: History) -> None:
        """Go on as another one would have."""
        for place, one in enumerate(self._reusing):
            start = f"{place}."
            own = {name.removeprefix(start): tensor for name, tensor in history.items() if name.startswith(start)}
            one.resume(own)

    def __call__(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        return self._stretches[self._stretch(float(sigma_BTHW.max()))](x_BCTHW, sigma_BTHW, position_BT)

    @property
    def reports(self) -> tuple[str, ...]:
        """What reusing steps has saved and cost, a sentence for each stretch of the way (expert, guided or not)."""
        return tuple(str(one.report) for one in self._reusing)

    def _stretch(self, level: float) -> tuple[str, bool]:
        """Which expert is asked where the schedule stands at `level`, and whether for the prompt's side alone."""
        told = math.floor(1000.0 * level) / 1000.0 if self._whole else level
        return self._asked.expert(told), not self._sampling.guides(level)


def _paired(first: Conditions, second: Conditions) -> Conditions:
    """Two texts over one clip, the shorter filled up as the transformer would; all else is the same on both sides."""
    length = max(first.text_BLD.shape[1], second.text_BLD.shape[1])
    texts = [
        torch.nn.functional.pad(side.text_BLD, (0, 0, 0, length - side.text_BLD.shape[1])) for side in (first, second)
    ]
    image_BLD = None if first.image_BLD is None else first.image_BLD.repeat(2, 1, 1)
    return replace(first, text_BLD=torch.cat(texts), image_BLD=image_BLD)
