"""Saves inside a segment: where denoising stands, so that a killed film goes on between two steps with the same bits.

A save is a safetensors file in memory. It belongs to one walk of one film by one set of weights, and says so; for any
other it counts for nothing. Axes: B batch, C channels, T latent frames, H W grid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from kinora.core.plan import Plan
from kinora.flow.solvers import Standing
from kinora.pipeline.model import Model, weights_hash

__all__ = ["Found", "Saves", "Saving"]


def _never() -> bool:
    return False


@dataclass(kw_only=True, eq=False)
class Saves:
    """What a caller of `Pipeline.stream` keeps of a film under way."""

    every: int
    """Steps between two saves; 0 for none but those that `now` asks for. The last step of a walk is saved too."""
    keep: Callable[[bytes], None]
    """Takes a save, which replaces the one before. All earlier chunks of the film have been given then."""
    found: bytes | None = None
    """The last save of an earlier attempt at the same film. One of another film, and a damaged one, is passed over."""
    now: Callable[[], bool] = _never
    """Asked after every step whether to save at once, because the work is about to end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A save, read."""

    standing: Standing
    reuse: Mapping[str, Tensor]
    """Of `Guided.history`."""
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    """What was imagined before this walk began, and is needed after it."""


class Saving:
    """The saves of one film."""

    def __init__(self, saves: Saves | None, model: Model, plan: Plan) -> None:
        self._saves = saves
        self._device = model.device
        self._film = "" if saves is None else _fingerprint(model, plan)

    def found(self, walk: str) -> Found | None:
        """Where an earlier attempt at this film stood in a walk."""
        if self._saves is None or self._saves.found is None:
            return None
        try:
            tensors = safetensors.torch.load(self._saves.found)
        except safetensors.SafetensorError:
            return None
        if "of" not in tensors or bytes(tensors["of"].tolist()) != self._of(walk):
            return None
        placed = {name: tensor.to(self._device) for name, tensor in tensors.items() if name != "of"}
        standing = Standing(steps=int(tensors["steps"]), x_BCTHW=placed["x"], history=_under("solver.", placed))
        return Found(standing=standing, reuse=_under("reuse.", placed), carried=_under("carried.", placed))

    def stands(
        self,
        walk: str,
        standing: Standing,
        total: int,
        reuse: Callable[[], Mapping[str, Tensor]],
        carried: Mapping[str, Tensor],
    ) -> None:
        """Keep where a walk of `total` steps stands, if it is time."""
        saves = self._saves
        if saves is None or not (saves.now() or (saves.every and self._due(standing.steps, total))):
            return
        tensors = {
            "of": torch.tensor(list(self._of(walk)), dtype=torch.uint8),
            "steps": torch.tensor(standing.steps),
            "x": standing.x_BCTHW,
            **{f"solver.{name}": tensor for name, tensor in standing.history.items()},
            **{f"reuse.{name}": tensor for name, tensor in reuse().items()},
            **{f"carried.{name}": tensor for name, tensor in carried.items()},
        }
        # A file holds no two names for one memory.
        data = safetensors.torch.save({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()})
        saves.found = data  # where memory gives out, the next rung goes on from here
        saves.keep(data)

    def _due(self, steps: int, total: int) -> bool:
        assert self._saves is not None
        return steps == total or steps % self._saves.every == 0

    def _of(self, walk: str) -> bytes:
        return f"{self._film} {walk}".encode()


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _fingerprint(model: Model, plan: Plan) -> str:
    """One sha256 of all that decides a film's bits, but for the machine."""
    from kinora import __version__

    told = {
        "kinora": __version__,
        "weights": weights_hash(model.manifest),
        "request": plan.request.to_record(),
        "sampling": repr(model.preset.sampling_for(plan.request.quality)),
        "grid": repr(
            (plan.pixels, plan.latent, plan.segments, plan.picture_first, plan.sketch, plan.sketch_steps, plan.directed)
        ),
        "dtype": str(model.dtype),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
