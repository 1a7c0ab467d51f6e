"""Measure how well a model obeys its conditions: every condition's trials, a sheet for each, a table of all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from kinora.core.errors import InputError
from kinora.measure.control.motion_trials import brush_trials, camera_trials, photographed_brush, photographed_camera
from kinora.measure.control.people_trials import reference_trials, speech_trials
from kinora.measure.control.picture_trials import picture_trials, region_trials, seam_trials
from kinora.measure.control.report import markdown, record_of
from kinora.measure.control.trials import Outcome, Setting, Trial, carry_out
from kinora.measure.control.whole import cost_outcomes, long_outcomes
from kinora.measure.sheet import draw_sheet

__all__ = ["CONDITIONS", "Wanted", "measure_control"]

Trials = Callable[[Setting, int], Iterator[Trial]]
OnTrial = Callable[[str, int, int, float], None]
"""Hears the condition, trials done, trials in all, seconds since it began."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How much of what is measured."""

    conditions: tuple[str, ...]
    count: int
    """Trials of each condition."""
    photographs: int = 3
    long_films: int = 1
    long_seconds: float = 20.0


TRIALS: dict[str, tuple[Trials, ...]] = {
    "pictures": (picture_trials,),
    "seams": (seam_trials,),
    "camera": (camera_trials, photographed_camera),
    "brush": (brush_trials, photographed_brush),
    "region": (region_trials,),
    "reference": (reference_trials,),
    "speech": (speech_trials,),
}
"""By condition: its trials in the theatre, then those on photographs where there are any."""
CONDITIONS = (*TRIALS, "long", "cost")
"""In the order of the table."""


def measure_control(setting: Setting, wanted: Wanted, on_trial: OnTrial | None = None) -> str:
    """Measure, write `control.md`, `control.json` and `control-<condition>.png`, and return the table.

    They are written anew after every condition, so a measurement that is cut off leaves what it has found; begun
    again, it takes the films it has made from the folder. Raises `InputError` for a count below 1.
    """
    if wanted.count < 1:
        raise InputError(f"At least one trial is needed to measure anything, not {wanted.count}.")
    outcomes: dict[str, list[Outcome]] = {}
    left_out: dict[str, str] = {}
    text = ""
    for condition in wanted.conditions:
        found: list[Outcome] = []
        started = time.monotonic()
        total = _total(condition, wanted)
        try:
            for outcome in _outcomes(setting, condition, wanted):
                found.append(outcome)
                if on_trial is not None:
                    on_trial(condition, len(found), max(total, len(found)), time.monotonic() - started)
        except InputError as error:
            # A condition that this model refuses, or photographs that are not there, leave the others to be measured.
            left_out[condition] = str(error)
        if found:
            outcomes[condition] = found
            _draw(setting, condition, found)
        text = _write(setting, outcomes, left_out)
    return text


def _outcomes(setting: Setting, condition: str, wanted: Wanted) -> Iterator[Outcome]:
    if condition == "long":
        return long_outcomes(setting, wanted.long_films, wanted.long_seconds)
    if condition == "cost":
        return cost_outcomes(setting, wanted.count)
    theatre, *others = TRIALS[condition]
    photographed = (trials(setting, wanted.photographs) for trials in others if wanted.photographs)
    return carry_out(setting, chain(theatre(setting, wanted.count), *photographed))


def _total(condition: str, wanted: Wanted) -> int:
    if condition == "long":
        return wanted.long_films
    photographed = len(TRIALS[condition]) > 1 if condition in TRIALS else False
    return wanted.count + (wanted.photographs if photographed else 0)


def _draw(setting: Setting, condition: str, found: Sequence[Outcome]) -> None:
    rows = [(str(number), outcome.row) for number, outcome in enumerate(found, start=1) if outcome.row is not None]
    if rows:
        draw_sheet(setting.folder / f"control-{condition}.png", rows)


def _write(setting: Setting, outcomes: Mapping[str, Sequence[Outcome]], left_out: Mapping[str, str]) -> str:
    about = {"model": setting.model, "weights": setting.weights, "quality": setting.quality}
    record = record_of(about, outcomes, left_out)
    text = markdown(record)
    (setting.folder / "control.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (setting.folder / "control.md").write_text(text, encoding="utf-8")
    return text
