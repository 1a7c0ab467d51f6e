"""What a measurement of controls found, as numbers and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinora.measure.control.trials import Outcome

__all__ = ["ASKED", "Asked", "markdown", "record_of", "summary"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A figure of the table: how it is taken over trials, and what is aimed at."""

    condition: str
    figure: str
    words: str
    unit: str = "%"
    """% of a share, or a unit that is written behind the number as it stands."""
    middle: str = "mean"
    """mean or median over trials."""
    most: float | None = None
    """Aimed at: at most this."""
    least: float | None = None
    """Aimed at: at least this."""

    def told(self, value: float | None) -> str:
        """A value in the figure's unit."""
        if value is None or not math.isfinite(value):
            return "-"
        return f"{100 * value:.1f}%" if self.unit == "%" else f"{value:.2f} {self.unit}".rstrip()

    @property
    def target(self) -> str:
        """The aim in words; empty without one."""
        if self.most is not None:
            return f"at most {self.told(self.most)}"
        return f"at least {self.told(self.least)}" if self.least is not None else ""

    def met(self, value: float | None) -> bool | None:
        """Whether a value reaches the aim; None where there is no aim or no value."""
        if value is None or (self.most is None and self.least is None):
            return None
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


def _pictures(name: str) -> tuple[Asked, Asked]:
    return (
        Asked(
            condition="pictures", figure=f"{name}_gap", words=f"{name} frame, short of the codec", unit="dB", most=1.5
        ),
        Asked(condition="pictures", figure=f"{name}_psnr", words=f"{name} frame, PSNR", unit="dB"),
    )


ASKED = (
    *_pictures("first"),
    *_pictures("last"),
    *_pictures("middle"),
    Asked(condition="seams", figure="jump", words="difference at a seam over the median inside", unit="x", most=1.3),
    Asked(condition="seams", figure="jump_latent", words="over the median between latent frames", unit="x", most=1.3),
    Asked(condition="seams", figure="slots_kept", words="lasting slots read alike on both sides"),
    Asked(condition="camera", figure="error", words="pose error over the asked motion", middle="median", most=0.15),
    Asked(condition="camera", figure="sign", words="sign right", least=1.0),
    Asked(condition="camera", figure="amount", words="share of the asked move that was made", middle="median"),
    Asked(condition="camera", figure="lasting", words="points that could be followed to the end"),
    Asked(condition="camera", figure="photograph_error", words="photographs: error", middle="median", most=0.15),
    Asked(condition="camera", figure="photograph_sign", words="photographs: sign right", least=1.0),
    Asked(condition="brush", figure="end_error", words="end-point error over the width", most=0.04),
    Asked(condition="brush", figure="path_error", words="error along the path over the width"),
    Asked(condition="brush", figure="near_error", words="the same, looked for near the path only"),
    Asked(condition="brush", figure="lost", words="frames in which the object is not found"),
    Asked(condition="brush", figure="leakage", words="leakage: motion outside the brush", unit="px", most=0.5),
    Asked(condition="brush", figure="photograph_end_error", words="photographs: end-point error", most=0.04),
    Asked(condition="brush", figure="photograph_path_error", words="photographs: error along the path"),
    Asked(condition="brush", figure="photograph_leakage", words="photographs: leakage", unit="px", most=0.5),
    Asked(condition="region", figure="outside", words="outside the region, PSNR against the footage", unit="dB"),
    Asked(condition="region", figure="inside", words="inside, mean difference from the footage", unit="levels"),
    Asked(condition="region", figure="asked", words="the reader sees what was asked for"),
    Asked(condition="reference", figure="attributes", words="hair and clothes as on the reference", least=0.8),
    Asked(condition="reference", figure="line_up", words="told from seven others by colour alone"),
    Asked(condition="speech", figure="correlation", words="mouth and track, correlation", unit="", least=0.8),
    Asked(condition="speech", figure="lag", words="lag, either way", unit="frames", most=1.0),
    Asked(condition="speech", figure="existing_correlation", words="existing film, correlation", unit="", least=0.8),
    Asked(condition="speech", figure="existing_lag", words="existing film, lag", unit="frames", most=1.0),
    Asked(condition="speech", figure="existing_outside", words="existing film, PSNR outside the face", unit="dB"),
    Asked(condition="long", figure="slots_kept", words="lasting slots kept to the end", least=0.8),
    Asked(condition="long", figure="count_kept", words="number of things kept to the end", least=0.8),
    Asked(condition="long", figure="drift", words="drift of the colour histogram"),
    Asked(condition="long", figure="peak_ratio", words="peak memory over that of 10 s", unit="x", most=1.1),
    Asked(condition="long", figure="time_spread", words="time per second of film, largest deviation", most=0.1),
    Asked(condition="long", figure="jump", words="difference at a seam over the median inside", unit="x", most=1.3),
    Asked(condition="cost", figure="added", words="added to the time of a clip", most=0.1),
)  # fmt: skip
"""Every figure of the table, in its order."""


def summary(asked: Asked, figures: Sequence[Mapping[str, float | None]]) -> float | None:
    """The figure over trials; None when no trial has it."""
    values = [value for one in figures if (value := one.get(asked.figure)) is not None]
    if not values:
        return None
    return float(np.median(values) if asked.middle == "median" else np.mean(values))


def record_of(
    about: Mapping[str, str], outcomes: Mapping[str, Sequence[Outcome]], left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Everything as plain values, ready for JSON. `about`: model, weights, quality; `left_out`: why, by condition."""
    figures = [
        {
            "condition": asked.condition,
            "figure": asked.figure,
            "words": asked.words,
            "film": asked.told(film := summary(asked, [outcome.figures for outcome in found])),
            "value": film,
            "true": asked.told(summary(asked, [outcome.true_figures for outcome in found])),
            "target": asked.target,
            "met": asked.met(film),
            "trials": sum(outcome.figures.get(asked.figure) is not None for outcome in found),
        }
        for asked in ASKED
        if (found := outcomes.get(asked.condition)) and any(asked.figure in outcome.figures for outcome in found)
    ]
    trials = {
        condition: [
            {"name": outcome.name, "figures": dict(outcome.figures), "true": dict(outcome.true_figures)}
            for outcome in found
        ]
        for condition, found in outcomes.items()
    }
    return {**about, "figures": figures, "left_out": dict(left_out), "trials": trials}


def markdown(record: Mapping[str, Any]) -> str:
    """The tables of a record."""
    lines = [
        f"# How {record['model']} obeys its conditions",
        "",
        f"Weights `{record['weights'][:12]}`, quality {record['quality']}.",
        "Beside each figure stands the same of the true films (rendered as asked): what the instrument itself says.",
        "",
        "| condition | figure | trials | film | true film | target | met |",
        "|---|---|---|---|---|---|---|",
        *(_row(figure) for figure in record["figures"]),
    ]
    if record["left_out"]:
        lines += ["", *(f"- {condition}: {reason}" for condition, reason in record["left_out"].items())]
    for condition, trials in record["trials"].items():
        lines += ["", f"## {condition}", "", *_trial_lines(trials)]
    return "\n".join(lines) + "\n"


def _row(figure: Mapping[str, Any]) -> str:
    met = {True: "yes", False: "no", None: ""}[figure["met"]]
    cells = (
        figure["condition"],
        figure["words"],
        figure["trials"],
        figure["film"],
        figure["true"],
        figure["target"],
        met,
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _trial_lines(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{number}. {trial['name']}: "
        + ", ".join(f"{name} {'-' if value is None else f'{value:.3g}'}" for name, value in trial["figures"].items())
        for number, trial in enumerate(trials, start=1)
    ]
