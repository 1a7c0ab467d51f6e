"""Recipe: the model card, from a model's own records and from what `kinora measure` wrote.

Nothing in it is typed by hand but two short texts: where the clips come from, and what no training on them can give.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from kinora.core.errors import InputError
from kinora.core.wording import OBEYED
from kinora.presets import Preset, preset_for
from kinora.training.files import write_atomically
from kinora.weights.manifest import Manifest, read_manifest, weights_hash
from kinora.weights.quantise import SCALE_SUFFIX

__all__ = ["NOT_RECORDED", "Measured", "card_recipe", "model_card", "stored_parts", "without_figures"]

NOT_RECORDED = "not recorded"
FIGURES, LIMITS = "## Figures", "## What it cannot do"
"""Headings: what stands between them depends on measurements, all else on the model's folder alone."""

SHOWN = ("width", "layers", "heads", "ffn_width", "channels", "patch", "text_length", "length", "vocabulary", "size")
"""What of a part's configuration tells its size."""
NOTED = ("linear_psnr", "psnr", "read_back", "strayed")
"""What a recipe found at the end of its own run."""
GROUPS = {"train": "as in training", "held_out": "held-out pairs", "out_of_range": "out of range"}
WORST = 8

DATA = """Every clip is drawn by Kinora's own renderer from a seed, with captions, masks and motion that are true
because they come from the scene itself. No recorded picture, film or voice is in it, and nothing was downloaded."""

CANNOT = """- Show anything but the theatre it was taught: simple bodies and figures, grounds, skies and panels, in
  words of [the vocabulary](vocabulary.md). A word it does not know is named before the film is made, and has no effect.
- Look like a photograph, show real people or places, or write legible text. It makes no sound.
- Know physics: it has seen falls and collisions, and imitates them. The figures above say how far off it is.
- See more than its window at once: longer films are made by continuation, and what drifts in one window stays so in
  the next."""


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


def card_recipe(out: Path, model: Path, measures: Sequence[Path] = ()) -> str:
    """Write the card of the model in the folder `model` to `out`, with the folders of `measures` side by side."""
    card = model_card(read_manifest(model), stored_parts(model), [Measured.read(folder) for folder in measures])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: file.write(card.encode("utf-8")))
    return card


def stored_parts(folder: Path) -> dict[str, tuple[int, str]]:
    """For each part of a model, how many numbers it has, and as what they are kept; read from the shards' headers."""
    counts: dict[str, int] = {}
    kinds: dict[str, set[str]] = {}
    for entry in read_manifest(folder).shards:
        with safe_open(folder / entry.name, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - no mapping, only a reader
                if name.endswith(SCALE_SUFFIX):
                    continue
                part, held = name.split(".")[0], shard.get_slice(name)
                counts[part] = counts.get(part, 0) + math.prod(held.get_shape())
                kinds.setdefault(part, set()).add(held.get_dtype())
    return {part: (counts[part], ", ".join(sorted(kinds[part]))) for part in counts}


def model_card(manifest: Manifest, stored: Mapping[str, tuple[int, str]], measured: Sequence[Measured] = ()) -> str:
    """The card as Markdown; `stored` as from `stored_parts`."""
    preset = preset_for(manifest.name, manifest.sampling)
    sections = (
        _head(manifest),
        _parts(manifest, stored),
        _sampling(manifest, preset),
        ["## Data", "", DATA, "", *_libraries(manifest)],
        ["## Recipe and compute", "", *_runs(manifest), *_pace(manifest), *_probed(manifest)],
        [FIGURES, "", *_figures(measured, weights_hash(manifest))],
        ["## Failures", "", *_failures(measured, weights_hash(manifest))],
        [LIMITS, "", CANNOT, *_refused(preset)],
    )
    return "\n\n".join("\n".join(section).strip() for section in sections) + "\n"


def without_figures(card: str) -> str:
    """The card without what was measured: the model's folder alone decides this."""
    before, _, rest = card.partition(FIGURES)
    return before + rest.partition(LIMITS)[2]


# What the folder says


def _head(manifest: Manifest) -> list[str]:
    return [
        f"# Model card: {manifest.name}",
        "",
        "Written by `kinora train card` from the model's manifest and from what `kinora measure` found; do not edit.",
        "",
        f"Weights `{weights_hash(manifest)[:12]}`, world {manifest.world}.",
    ]


def _parts(manifest: Manifest, stored: Mapping[str, tuple[int, str]]) -> list[str]:
    rows = []
    for part, config in manifest.parts.items():
        count, kinds = stored.get(part, (None, NOT_RECORDED))
        told = ", ".join(f"{name} {config[name]}" for name in SHOWN if name in config)
        rows.append((part, NOT_RECORDED if count is None else f"{count:,}", kinds, told))
    sizes = ", ".join(f"{aspect} {width} x {height}" for aspect, (height, width) in manifest.sizes.items())
    whole = sum(entry.bytes for entry in manifest.shards) / 2**20
    return [
        "## What it is",
        "",
        *_table(("part", "numbers", "kept as", "configuration"), rows),
        "",
        f"{whole:.1f} MiB in {len(manifest.shards)} shards. {manifest.frame_rate:g} frames a second; {sizes}.",
    ]


def _sampling(manifest: Manifest, preset: Preset) -> list[str]:
    rows = [
        (
            quality, str(entry.steps), f"{entry.guidance:g}", str(entry.steps * (1 if entry.guidance == 1.0 else 2)),
            f"{entry.shift:g} / {entry.image_shift:g}", entry.solver,
        )
        for quality, entry in preset.sampling.items()
    ]  # fmt: skip
    source = "its manifest" if manifest.sampling else f"the preset {preset.name}"
    head = ("quality", "steps", "guidance", "calls a window", "shift, clips / pictures", "solver")
    return [f"How it is sampled, as {source} says:", "", *_table(head, rows), *_distilled(manifest)]


def _distilled(manifest: Manifest) -> list[str]:
    told = manifest.training.get("transformer", {}).get("distilled")
    if told is None:
        return []
    taught = f"Guidance {told['guidance']:g} was taught to it: one call a step, no negative prompt."
    if told["steps"] is not None:
        taught += (
            f" So was a schedule of {told['steps']} steps. The teacher is not in the folder; with more steps than that "
            "(pro) it is the same student off its schedule, not the full sampler."
        )
    return ["", taught]


def _libraries(manifest: Manifest) -> list[str]:
    rows = []
    for run, record in _records(manifest):
        held = record.get("library")
        library = held if isinstance(held, Mapping) else {}
        clips = library.get("count", record.get("clips"))
        sides = [library.get(side) for side in ("height", "width")]
        rows.append(
            (
                run, _said(clips), NOT_RECORDED if None in sides else " x ".join(map(str, sides)),
                *(_said(library.get(name)) for name in ("latent_frames", "split", "mix", "first_seed", "world")),
            )
        )  # fmt: skip
    head = ("taught", "clips", "height x width", "latent frames of each", "split", "mix", "first seed", "world")
    return _table(head, rows)


def _runs(manifest: Manifest) -> list[str]:
    rows = []
    for run, record in _records(manifest):
        noted = ", ".join(f"{name.replace('_', ' ')} {_said(record[name])}" for name in NOTED if name in record)
        fields = ("steps", "planned", "seconds", "seed", "device", "threads", "optimiser")
        rows.append((run, *(_said(record.get(name)) for name in fields), noted))
    bundle = manifest.training.get("bundle", {})
    head = ("run", "steps", "planned", "budget, s", "seed", "device", "threads", "optimiser", "found at its end")
    sources = ", ".join(f"{name} {_said(bundle.get(name))}" for name in ("kinora", "commit", "torch"))
    return [*_table(head, rows), "", f"Bundled by: {sources}. `runs/` makes it again from nothing."]


def _pace(manifest: Manifest) -> list[str]:
    """Throughput of each run, where it was noted: against the matrix product of the same device in the same run."""
    rows = []
    for run, record in _records(manifest):
        for stage, told in record.get("throughput", {}).items():
            share = _share(told["share_of_limit"]) if "share_of_limit" in told else NOT_RECORDED
            pace = (f"{told['seconds_a_step']:.3g}", f"{told['a_second']:.3g}", _said(told.get("gflops")), share)
            rows.append((f"{run}, {stage}", *pace))
        if rendering := record.get("rendering"):
            on = f"{_said(rendering.get('device'))}, {_said(rendering.get('processes'))} processes"
            pace = ("-", f"{rendering['clips_a_second']:.3g}", "-", "-")
            rows.append((f"rendering for {run} ({on})", *pace))
    if not rows:
        return []
    head = ("throughput of", "seconds a step", "clips or texts a second", "GFLOP/s", "share of the matrix product")
    return ["", *_table(head, rows)]


def _probed(manifest: Manifest) -> list[str]:
    """What the probe chose between, and why."""
    probed = manifest.training.get("probe")
    if probed is None:
        return []
    renderer, codec = probed["renderer"], probed["codec"]
    rows = [
        (
            f"width {c['width']}, layers {c['layers']} ({c['parameters'] / 1e6:.1f} M)", str(c["batch"]),
            f"{c['seconds_a_step']:.3g}", f"{c['clips_a_second']:.1f}", f"{c['gflops']:.0f}",
            _share(c["share_of_limit"]),
        )
        for c in probed["candidates"]
    ]  # fmt: skip
    head = ("transformer", "batch", "seconds a step", "clips a second", "GFLOP/s", "share of the matrix product")
    about = (
        f"The probe before the run, on {probed['device']} (matrix product {probed['peak_gflops']:.0f} GFLOP/s): "
        f"renderer {renderer['clips_a_second']:.1f} clips a second of {renderer['frames_a_clip']} frames of "
        f"{renderer['height']} x {renderer['width']}; codec {codec['encode_clips_a_second']:.1f} encoded a second, its "
        f"decoder's training {_share(codec['share_of_limit'])} of the limit."
    )
    return ["", about, "", *_table(head, rows), "", f"Chosen: {probed['choice']['reason']}."]


def _records(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every run's record, once, by the names of what it taught; the teachers of a student come behind it."""
    chains = {part: record for part, record in manifest.training.items() if part not in ("bundle", "probe")}
    told: list[tuple[list[str], Mapping[str, Any]]] = []
    for name, record in chains.items():
        while record is not None:
            same = next((names for names, other in told if other == record), None)
            if same is None:
                told.append(([name], record))
            else:
                same.append(name)
            name, record = f"{name}'s teacher", record.get("teacher")
    for names, record in told:
        yield " and ".join(names), record


def _refused(preset: Preset) -> list[str]:
    missing = sorted(set(OBEYED.values()) - preset.obeys)
    return [f"- Follow these conditions: {', '.join(missing)}. They are refused by name."] if missing else []


# What was measured


def _figures(measured: Sequence[Measured], weights: str) -> list[str]:
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
        ours = (f"{_share(report[figure])} ({_share(report[f'true_{figure}'])})" for report in reports)
        rows.append((f"{words}, all clips", *ours))
        for group, said in GROUPS.items():
            rows.append((f"{words}, {said}", *(_group(report, group, figure) for report in reports)))
    for name in _in_order(report.get("motion", {}) for report in reports):
        rows += [(name.replace("_", " "), *(_motion(report, name) for report in reports))]
    for name in _in_order([figure["name"] for figure in report.get("codec", ())] for report in reports):
        rows += [(f"codec PSNR, {name}", *(_psnr(report, name) for report in reports))]
    return _table(("slots, motion, codec", *(entry.title(weights) for entry in entries)), rows)


def _slot_table(entries: Sequence[Measured], weights: str) -> list[str]:
    """Every slot that any of the measurements asked, side by side."""
    by_slot = [(entry.report or {}).get("slots", {}) for entry in entries]

    def told(slot: Mapping[str, Any] | None) -> str:
        return "-" if slot is None else f"{_share(slot['generated'])} ({_share(slot['true'])}) of {slot['asked']}"

    rows = [(name, *(told(slots.get(name)) for slots in by_slot)) for name in sorted(_in_order(by_slot))]
    return _table(("right by slot", *(entry.title(weights) for entry in entries)), rows)


def _control_table(entries: Sequence[Measured], weights: str) -> list[str]:
    by_figure = [
        {(f["condition"], f["words"]): f for f in (entry.control or {}).get("figures", ())} for entry in entries
    ]
    rows = []
    for key in _in_order(by_figure):
        told = [figures.get(key) for figures in by_figure]
        target = next(figure["target"] for figure in reversed(told) if figure is not None)
        shown = ("-" if f is None else f"{f['film']} ({f['true']}), {f['trials']}" for f in told)
        rows.append((*key, target or "-", *shown))
    titles = (f"{entry.title(weights)}: film (true film), trials" for entry in entries)
    return _table(("condition", "figure", "target", *titles), rows)


def _failures(measured: Sequence[Measured], weights: str) -> list[str]:
    """Of the last report and the last table of conditions: the weakest of each."""
    lines: list[str] = []
    reports = [entry for entry in measured if entry.report is not None]
    controls = [entry for entry in measured if entry.control is not None]
    if reports and (report := reports[-1].report) is not None:
        weakest = sorted(report["slots"].items(), key=lambda item: (item[1]["generated"], item[0]))[:WORST]
        slots = ((name, str(s["asked"]), _share(s["generated"]), _share(s["true"])) for name, s in weakest)
        lines += [f"Slots least often right ({reports[-1].title(weights)}):", ""]
        lines += [*_table(("slot", "asked", "films", "true renders"), slots), "", "Prompts least obeyed:", ""]
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
    return f"{_share(found[figure])} of {found['clips']}" if found and found["clips"] else "-"


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


# Words and tables


def _said(value: object) -> str:
    """A recorded value in words."""
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_said(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"


def _in_order(many: Iterable[Iterable[Any]]) -> list[Any]:
    """Everything that occurs in any of them, once, in the order of first sight."""
    return list(dict.fromkeys(entry for entries in many for entry in entries))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
