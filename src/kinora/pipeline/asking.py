"""Asking the transformer for velocities: under which prompt, which expert, how strongly guided.

Axes: B batch, C channels, T latent frames, H W grid, L text positions, D text width.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
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
    once more where a model's second expert takes over.
    """

    def __init__(self, model: Model, resident: Resident, sides: tuple[Conditions, ...], tokens: int) -> None:
        """`sides` is what to make, and, with guidance, what to push away from; `tokens` the length of the window."""
        self._model = model
        self._resident = resident
        self.sides = len(sides)
        self._rounds = (_paired(*sides),) if len(sides) == 2 and tokens <= PAIR_TOKENS else sides
        self._stack = ExitStack()
        self._name = ""
        self._transformer: Transformer | None = None
        self._prepared: tuple[Prepared, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def __call__(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity with the prompt and that without it, float32."""
        self._turn_to(self.expert(float(sigma_BTHW.max())))
        assert self._transformer is not None
        model, found = self._model, []
        with torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32):
            for prepared in self._prepared:
                v_BCTHW: Tensor = self._transformer(x_BCTHW, sigma_BTHW, position_BT, prepared)
                found += v_BCTHW.split(1)
        # Without guidance there is one side, and nobody looks at the second.
        return found[0], found[-1]

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
        model = self._model
        with torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32):
            self._prepared = tuple(self._transformer.prepare(conditions) for conditions in self._rounds)

    def _let_go(self) -> None:
        self._name, self._transformer, self._prepared = "", None, ()
        self._stack.close()


class Guided:
    """The velocity that a sampler follows: both sides guided, as strongly as each expert wants it, steps reused where
    that is asked for.
    """

    def __init__(self, asked: Asked, sampling: Sampling, sigmas: Tensor, *, whole: bool, reuse: float = 0.0) -> None:
        """`sigmas` is the schedule; with `whole` the model is told its times as whole thousandths; `reuse` is the
        threshold of `kinora.flow.reuse`.
        """
        self._whole = whole
        self._asked = asked
        low = sampling.guidance if sampling.low_guidance is None else sampling.low_guidance
        velocity = guided_pair(asked, lambda level: low if asked.expert(level) == LOW else sampling.guidance)
        if asked.sides == 1:
            velocity = self._alone
        velocity = whole_times(velocity) if whole else velocity
        self._by_expert: dict[str, Velocity] = {HIGH: velocity, LOW: velocity}
        self._reusing: list[Reusing] = []
        if reuse:
            for name in self._by_expert:
                walked = [i for i, level in enumerate(sigmas[:-1].tolist()) if self._expert(level) == name]
                if walked:
                    part = sigmas[walked[0] : walked[-1] + 2]
                    self._by_expert[name] = Reusing(velocity, reuse, part)
            self._reusing = [one for one in self._by_expert.values() if isinstance(one, Reusing)]

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
        return self._by_expert[self._expert(float(sigma_BTHW.max()))](x_BCTHW, sigma_BTHW, position_BT)

    @property
    def reports(self) -> tuple[str, ...]:
        """What reusing steps has saved and cost, a sentence for each expert."""
        return tuple(str(one.report) for one in self._reusing)

    def _expert(self, level: float) -> str:
        return self._asked.expert(math.floor(1000.0 * level) / 1000.0 if self._whole else level)

    def _alone(self, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        return self._asked(x_BCTHW, sigma_BTHW, position_BT)[0]


def _paired(first: Conditions, second: Conditions) -> Conditions:
    """Two texts over one clip, the shorter filled up as the transformer would; all else is the same on both sides."""
    length = max(first.text_BLD.shape[1], second.text_BLD.shape[1])
    texts = [
        torch.nn.functional.pad(side.text_BLD, (0, 0, 0, length - side.text_BLD.shape[1])) for side in (first, second)
    ]
    image_BLD = None if first.image_BLD is None else first.image_BLD.repeat(2, 1, 1)
    return replace(first, text_BLD=torch.cat(texts), image_BLD=image_BLD)
