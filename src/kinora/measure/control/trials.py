"""One trial: a request with conditions, what its film is measured by, and what the true film would be.

Every condition offers its trials as a function from a setting and a count; `carry_out` makes each film (or takes it
from the cache), measures it, and measures the true film beside it: the best that the instrument can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from kinora.codec import Codec
from kinora.core.clip import Clip
from kinora.core.plan import Plan
from kinora.core.request import Request
from kinora.measure.clips import ClipCache, Filmmaker
from kinora.measure.model import Judge
from kinora.measure.sheet import strip

__all__ = ["Figures", "Outcome", "Planner", "Setting", "Trial", "carry_out"]

Figures = Mapping[str, float | None]
"""By name; None where a figure could not be taken."""


class Planner(Filmmaker, Protocol):
    """Makes films and tells beforehand how; a pipeline is one."""

    def plan(self, request: Request) -> Plan:
        """What `generate` would do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """Who is measured, and how its films are asked for; all films are square."""

    model: str
    """Name or folder, for measures that load it in a process of their own."""
    weights: str
    maker: Planner
    codec: Codec
    judge: Callable[[], Judge]
    """Loads the judge; not every measure needs one."""
    folder: Path
    side: int = 256
    seconds: float = 5.0
    quality: str = "standard"
    cache: ClipCache = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cache", ClipCache(self.folder / "clips"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One film to be made and measured."""

    name: str
    """Says what was asked, in a few words of plain ASCII; unique within its condition."""
    request: Request
    asked_HW3: npt.NDArray[np.uint8]
    """The first picture, with what was asked drawn on it."""
    measure: Callable[[Clip], Figures]
    truth: Callable[[], Clip] | None = None
    """What the film would be if everything were obeyed; None where that cannot be known."""
    truth_key: str = ""
    """Everything that the truth depends on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What came of one trial."""

    name: str
    figures: Figures
    true_figures: Figures = field(default_factory=dict)
    """The same measures of the true film."""
    row: Image.Image | None = None
    """What was asked, then the film."""


def carry_out(setting: Setting, trials: Iterable[Trial]) -> Iterator[Outcome]:
    """Make and measure, one after the other; films made before are not made again."""
    for trial in trials:
        film = setting.cache.generated(trial.request, setting.weights, setting.maker)
        true: Figures = {}
        if trial.truth is not None:
            true = trial.measure(setting.cache.made(f"truth {trial.truth_key}", trial.truth))
        row = beside(trial.asked_HW3, strip(film))
        yield Outcome(name=trial.name, figures=trial.measure(film), true_figures=true, row=row)


def beside(asked_HW3: npt.NDArray[np.uint8], film: Image.Image) -> Image.Image:
    """A picture of what was asked, and to its right a strip of moments as high as it."""
    asked = Image.fromarray(asked_HW3)
    asked = asked.resize((round(asked.width * film.height / asked.height), film.height), Image.Resampling.LANCZOS)
    row = Image.new("RGB", (asked.width + 4 + film.width, film.height), "white")
    row.paste(asked, (0, 0))
    row.paste(film, (asked.width + 4, 0))
    return row
