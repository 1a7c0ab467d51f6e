"""How long a run is: a time budget becomes a number of steps once, and is written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinora.core.errors import InputError
from kinora.training.files import write_json

__all__ = ["RunPlan", "Stage", "plan_steps"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of a run with one shape of batch."""

    name: str
    share: float
    """Of the run's time."""
    size: int
    """Clips (or texts) in one step."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What is fixed when a run begins; kept in `run.json`."""

    seed: int
    steps: int
    starts: Mapping[str, int]
    """First step of every stage, in order."""
    seconds: float
    """Budget that led to `steps`; 0 when the number was given."""
    step_seconds: Mapping[str, float]
    """Measured by the probe."""
    device: str
    threads: int
    step_flops: Mapping[str, float] = field(default_factory=dict)
    """Operations of one step of every stage, forward and backward; empty in plans of older runs."""
    peak_flops: float = 0.0
    """Operations a second of a large matrix product, measured beside the steps."""
    amended: Sequence[Mapping[str, float]] = field(default_factory=tuple)
    """Later changes of `steps`: at which step, from how many, to how many."""

    def stage_at(self, step: int) -> str:
        """Name of the stage that `step` belongs to."""
        return max((start, n, name) for n, (name, start) in enumerate(self.starts.items()) if start <= step)[2]

    def write(self, path: Path) -> None:
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> RunPlan:
        """The inverse of `write`."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "amended": tuple(values["amended"])})


def plan_steps(stages: Sequence[Stage], step_seconds: Mapping[str, float], seconds: float) -> dict[str, int]:
    """Steps of each stage when `seconds` are shared out; at least one each. Raises `InputError` for a bad budget."""
    if not seconds > 0:
        raise InputError(f"A run needs a time budget above zero, not {seconds:g} seconds.")
    whole = sum(stage.share for stage in stages)
    return {stage.name: max(1, round(seconds * stage.share / whole / step_seconds[stage.name])) for stage in stages}
