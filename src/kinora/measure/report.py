"""What a measurement found, as numbers and as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from kinora.core.slots import SceneSlots
from kinora.measure.cases import LANGUAGES, Case
from kinora.measure.codec import CodecFigure
from kinora.measure.physics import Motion
from kinora.measure.score import Tally, score
from kinora.world.splits import SPLITS

__all__ = ["CaseResult", "Report", "markdown"]

MOTIONS = ("gravity_error", "speed_error", "permanence")
MOTION_NAMES = {
    "gravity_error": "gravity error (median)",
    "speed_error": "speed error (median)",
    "permanence": "object permanence (mean)",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseResult:
    """One prompt: what was read in the generated clip, and in the true render of the scene it was written about."""

    case: Case
    read: SceneSlots
    motion: Motion
    true_read: SceneSlots
    true_motion: Motion

    @property
    def right(self) -> int:
        return sum(right for right, _ in score(self.case.stated, self.read).values())

    @property
    def asked(self) -> int:
        return sum(asked for _, asked in score(self.case.stated, self.read).values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """A whole measurement."""

    model: str
    weights: str
    world: str
    quality: str
    results: Sequence[CaseResult]
    codec: Sequence[CodecFigure]
    falls: Sequence[tuple[Motion, Motion]] = ()
    """Of prompts beside, for gravity: the motion in generated clips and in true renders."""

    def tally(self, which: Callable[[CaseResult], bool] = lambda _: True) -> Tally:
        """The generated clips' scores, of the results that `which` picks."""
        return Tally.of((result.case.stated, result.read) for result in self.results if which(result))

    def true_tally(self) -> Tally:
        """The true renders' scores: the reader's own accuracy on the same questions."""
        return Tally.of((result.case.stated, result.true_read) for result in self.results)

    def to_record(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        generated, true = self.tally(), self.true_tally()
        return {
            "model": self.model,
            "weights": self.weights,
            "world": self.world,
            "quality": self.quality,
            "clips": generated.clips,
            "macro": generated.macro,
            "all_right": generated.share_all_right,
            "true_macro": true.macro,
            "true_all_right": true.share_all_right,
            "groups": {name: _summary(self.tally(which)) for name, which in groups().items()},
            "slots": {slot: _slot(generated, true, slot) for slot in sorted(generated.slots)},
            "motion": {name: self._motion(name) for name in MOTIONS},
            "codec": [asdict(figure) for figure in self.codec],
            "cases": [_case_record(result) for result in self.results],
        }

    def _motion(self, name: str) -> dict[str, dict[str, float | int | None]]:
        """One figure of motion. Gravity is that of the falls beside where there are any: few prompts show it."""
        motions = [(result.motion, result.true_motion) for result in self.results]
        shown = self.falls if self.falls and name == "gravity_error" else motions
        return {
            "generated": typical(name, [motion for motion, _ in shown]),
            "true": typical(name, [true for _, true in shown]),
        }


def groups() -> dict[str, Callable[[CaseResult], bool]]:
    """The splits and the languages, each as a choice among results."""
    traits = [("split", split) for split in SPLITS] + [("language", language) for language in LANGUAGES]
    return {value: partial(_belongs, trait, value) for trait, value in traits}


def _belongs(trait: str, value: str, result: CaseResult) -> bool:
    return bool(getattr(result.case, trait) == value)


def typical(name: str, motions: Sequence[Motion]) -> dict[str, float | int | None]:
    """The figure over clips, and over how many: errors by their median (one lost track must not drown the rest)."""
    values = [value for motion in motions if (value := getattr(motion, name)) is not None]
    middle = np.mean if name == "permanence" else np.median
    return {"value": float(middle(values)) if values else None, "clips": len(values)}


def _summary(tally: Tally) -> dict[str, float | int]:
    return {"clips": tally.clips, "macro": tally.macro, "all_right": tally.share_all_right}


def _slot(generated: Tally, true: Tally, slot: str) -> dict[str, float | int]:
    right, asked = generated.slots[slot]
    return {"asked": asked, "generated": right / asked, "true": true.accuracy()[slot]}


def _case_record(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "name": case.name,
        "split": case.split,
        "language": case.language,
        "prompt": case.prompt,
        "right": result.right,
        "asked": result.asked,
        "stated": asdict(case.stated),
        "read": asdict(result.read),
        "motion": asdict(result.motion),
        "true_motion": asdict(result.true_motion),
    }


def markdown(record: Mapping[str, Any]) -> str:
    """The tables of a report's record."""
    lines = [
        f"# What {record['model']} makes of {record['clips']} held-out prompts",
        "",
        f"Weights `{record['weights'][:12]}`, world {record['world']}, quality {record['quality']}.",
        "Beside each figure stands the reader's own on true renders of the same scenes: the ceiling.",
        "",
        *_slot_table(record),
        "",
        *_group_table(record),
        "",
        *_motion_table(record),
    ]
    if record["codec"]:
        lines += ["", *_codec_table(record)]
    lines += ["", "## The prompts", "", *_case_lines(record)]
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _slot_table(record: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {slot} | {figures['asked']} | {_percent(figures['generated'])} | {_percent(figures['true'])} |"
        for slot, figures in record["slots"].items()
    ]
    return [
        "| slot | stated | generated clips | true renders |",
        "|---|---|---|---|",
        *rows,
        f"| **macro over slots** | | **{_percent(record['macro'])}** | {_percent(record['true_macro'])} |",
        f"| **all stated right** | | **{_percent(record['all_right'])}** | {_percent(record['true_all_right'])} |",
    ]


def _group_table(record: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {figures['clips']} | {_percent(figures['macro'])} | {_percent(figures['all_right'])} |"
        for name, figures in record["groups"].items()
    ]
    return ["| prompts | clips | macro over slots | all stated slots right |", "|---|---|---|---|", *rows]


def _motion_table(record: Mapping[str, Any]) -> list[str]:
    def told(figure: Mapping[str, Any]) -> str:
        return "-" if figure["value"] is None else f"{_percent(figure['value'])} ({figure['clips']} clips)"

    rows = [
        f"| {MOTION_NAMES[name]} | {told(figures['generated'])} | {told(figures['true'])} |"
        for name, figures in record["motion"].items()
    ]
    return ["| motion, by colour alone | generated clips | true renders |", "|---|---|---|", *rows]


def _codec_table(record: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {figure['name']} | {figure['clips']} | {figure['note']} | |"
        if figure["psnr"] is None
        else f"| {figure['name']} | {figure['clips']} | {figure['psnr']:.2f} dB | {figure['worst']:.2f} dB |"
        for figure in record["codec"]
    ]
    return ["| codec on | clips | PSNR | worst clip |", "|---|---|---|---|", *rows]


def _case_lines(record: Mapping[str, Any]) -> list[str]:
    return [
        f"{number}. ({case['split']}, {case['right']} of {case['asked']}) {case['prompt']}"
        for number, case in enumerate(record["cases"], start=1)
    ]
