"""What the model card says of measurements: the figures that `kinora measure` wrote, side by side, and the worst."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinora.core.errors import InputError
from kinora.recipes.card_words import in_order, share, table

__all__ = ["Measured", "failures", "figures"]

GROUPS = {"train": "as in training", "held_out": "held-out pairs", "out_of_range": "out of range"}
WORST = 8
"""Slots and prompts of which the failures are told."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What one folder of `kinora measure` holds; either may be missing."""

    report: Mapping[str, Any] | None
    control: Mapping[str, Any] | None

    @classmethod
    def read(cls, folder: Path) -> Measured:
        """Raises `InputError` when there is neither report in `folder`, or one that is cut off."""
        found = {}
        for name in ("report", "control"):
            path = folder / f"{name}.json"
            try:
                found[name] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
            except ValueError as error:
                raise InputError(f"{path} is no report ({error}); measure again.") from error
        if not any(found.values()):
            raise InputError(f"{folder} holds no report.json and no control.json; `kinora measure` writes them.")
        return cls(**found)

    def title(self, weights: str) -> str:
        """Which weights were measured, and how: the head of a column."""
        about = self.report or self.control or {}
        whose = "these" if about["weights"] == weights else "other"
        asked = f", prompts of world {about['world']}" if "world" in about else ""
        return f"{whose} weights `{about['weights'][:8]}`, {about['quality']}{asked}"


def figures(measured: Sequence[Measured], weights: str) -> list[str]:
    if not measured:
        return ["Not measured yet: `kinora measure` and `kinora measure control` write what stands here."]
    reports = [entry for entry in measured if entry.report is not None]
    controls = [entry for entry in measured if entry.control is not None]
    lines = ["Films beside true renders of the same scenes, which are the judge's own ceiling (in brackets)."]
    if reports:
        lines += ["", *_report_table(reports, weights), "", *_slot_table(reports, weights)]
    if controls:
        lines += ["", *_control_table(controls, weights)]
    return lines


def _report_table(entries: Sequence[Measured], weights: str) -> list[str]:
    reports = [entry.report or {} for entry in entries]
    rows = [("clips", *(str(report["clips"]) for report in reports))]
    for figure, words in (("macro", "right, mean over slots"), ("all_right", "all stated slots right")):
        ours = (f"{share(report[figure])} ({share(report[f'true_{figure}'])})" for report in reports)
        rows.append((f"{words}, all clips", *ours))
        for group, said in GROUPS.items():
            rows.append((f"{words}, {said}", *(_group(report, group, figure) for report in reports)))
    for name in in_order(report.get("motion", {}) for report in reports):
        rows += [(name.replace("_", " "), *(_motion(report, name) for report in reports))]
    for name in in_order([figure["name"] for figure in report.get("codec", ())] for report in reports):
        rows += [(f"codec PSNR, {name}", *(_psnr(report, name) for report in reports))]
    return table(("slots, motion, codec", *(entry.title(weights) for entry in entries)), rows)


def _slot_table(entries: Sequence[Measured], weights: str) -> list[str]:
    """Every slot that any of the measurements asked, side by side."""
    by_slot = [(entry.report or {}).get("slots", {}) for entry in entries]

    def told(slot: Mapping[str, Any] | None) -> str:
        return "-" if slot is None else f"{share(slot['generated'])} ({share(slot['true'])}) of {slot['asked']}"

    rows = [(name, *(told(slots.get(name)) for slots in by_slot)) for name in sorted(in_order(by_slot))]
    return table(("right by slot", *(entry.title(weights) for entry in entries)), rows)


def _control_table(entries: Sequence[Measured], weights: str) -> list[str]:
    by_figure = [
        {(f["condition"], f["words"]): f for f in (entry.control or {}).get("figures", ())} for entry in entries
    ]
    rows = []
    for key in in_order(by_figure):
        told = [figures.get(key) for figures in by_figure]
        target = next(figure["target"] for figure in reversed(told) if figure is not None)
        shown = ("-" if f is None else f"{f['film']} ({f['true']}), {f['trials']}" for f in told)
        rows.append((*key, target or "-", *shown))
    titles = (f"{entry.title(weights)}: film (true film), trials" for entry in entries)
    return table(("condition", "figure", "target", *titles), rows)


def failures(measured: Sequence[Measured], weights: str) -> list[str]:
    """Of the last report and the last table of conditions: the weakest of each."""
    lines: list[str] = []
    reports = [entry for entry in measured if entry.report is not None]
    controls = [entry for entry in measured if entry.control is not None]
    if reports and (report := reports[-1].report) is not None:
        weakest = sorted(report["slots"].items(), key=lambda item: (item[1]["generated"], item[0]))[:WORST]
        slots = ((name, str(s["asked"]), share(s["generated"]), share(s["true"])) for name, s in weakest)
        lines += [f"Slots least often right ({reports[-1].title(weights)}):", ""]
        lines += [*table(("slot", "asked", "films", "true renders"), slots), "", "Prompts least obeyed:", ""]
        cases = sorted(report["cases"], key=lambda case: (case["right"] / max(1, case["asked"]), case["name"]))
        lines += [f"- {case['right']} of {case['asked']}: {case['prompt']}" for case in cases[:WORST]]
    if controls and (control := controls[-1].control) is not None:
        unmet = [figure for figure in control["figures"] if figure["met"] is False]
        lines += ["", f"Targets of conditions that were missed ({controls[-1].title(weights)}):", ""]
        lines += [f"- {f['condition']}: {f['words']} {f['film']}, target {f['target']}" for f in unmet] or ["- none"]
        lines += [f"- {condition} was left out: {reason}" for condition, reason in control["left_out"].items()]
    return lines or ["Not measured yet."]


def _group(report: Mapping[str, Any], group: str, figure: str) -> str:
    found = report.get("groups", {}).get(group)
    return f"{share(found[figure])} of {found['clips']}" if found and found["clips"] else "-"


def _motion(report: Mapping[str, Any], name: str) -> str:
    found = report.get("motion", {}).get(name)
    if found is None or found["generated"]["value"] is None:
        return "-"
    film, true = found["generated"], found["true"]
    ceiling = "-" if true["value"] is None else f"{true['value']:.2f}"
    return f"{film['value']:.2f} ({ceiling}), {film['clips']} clips"


def _psnr(report: Mapping[str, Any], name: str) -> str:
    found = next((figure for figure in report.get("codec", ()) if figure["name"] == name), None)
    return "-" if found is None or found["psnr"] is None else f"{found['psnr']:.1f} dB"
