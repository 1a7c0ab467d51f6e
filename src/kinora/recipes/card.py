"""Recipe: the model card, from a model's own records and from what `kinora measure` wrote.

Nothing in it is typed by hand but two short texts: where the clips come from, and what no training on them can give.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from kinora.core.wording import OBEYED
from kinora.presets import Preset, Sampling, preset_for
from kinora.recipes.card_figures import Measured, failures, figures
from kinora.recipes.card_words import NOT_RECORDED, said, share, table
from kinora.training.files import write_atomically
from kinora.weights.manifest import Manifest, read_manifest, weights_hash
from kinora.weights.quantise import SCALE_SUFFIX

__all__ = ["card_recipe", "model_card", "stored_parts"]

SHOWN = (
    "width",
    "layers",
    "heads",
    "ffn_width",
    "channels",
    "patch",
    "text_length",
    "length",
    "vocabulary",
    "size",
    "widths",
)
"""What of a part's configuration tells its size."""
NOTED = ("linear_psnr", "psnr", "read_back", "strayed", "held_out")
"""What a recipe found at the end of its own run."""

DATA = """Every clip is drawn by Kinora's own renderer from a seed, with captions, masks and motion that are true
because they come from the scene itself. No recorded picture, film or voice is in it, and nothing was downloaded."""

CANNOT = """- Show anything but the theatre it was taught: simple bodies and figures, grounds, skies and panels, in
  words of [the vocabulary](vocabulary.md). A word it does not know is named before the film is made, and has no effect.
- Look like a photograph, show real people or places, or write legible text. It makes no sound.
- Know physics: it has seen falls and collisions, and imitates them. The figures above say how far off it is.
- See more than its window at once: longer films are made by continuation, and what drifts in one window stays so in
  the next."""


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
        ["## Figures", "", *figures(measured, weights_hash(manifest))],
        ["## Failures", "", *failures(measured, weights_hash(manifest))],
        ["## What it cannot do", "", CANNOT, *_refused(preset)],
    )
    return "\n\n".join("\n".join(section).strip() for section in sections) + "\n"


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
        *table(("part", "numbers", "kept as", "configuration"), rows),
        "",
        f"{whole:.1f} MiB in {len(manifest.shards)} shards. {manifest.frame_rate:g} frames a second; {sizes}.",
    ]


def _sampling(manifest: Manifest, preset: Preset) -> list[str]:
    rows = [
        (
            quality, _steps(entry), _guidance(entry), _calls(entry), f"{entry.shift:g} / {entry.image_shift:g}",
            entry.solver,
        )
        for quality, entry in preset.sampling.items()
    ]  # fmt: skip
    source = "its manifest" if manifest.sampling else f"the preset {preset.name}"
    head = ("quality", "steps", "guidance", "calls a window", "shift, clips / pictures", "solver")
    return [
        f"How it is sampled, as {source} says:",
        "",
        *table(head, rows),
        *_directed(manifest),
        *_sketched(manifest, preset),
        *_renewed(preset),
        *_distilled(manifest),
    ]


def _guidance(sampling: Sampling) -> str:
    above = f" above level {sampling.guidance_floor:g}" if sampling.guidance_floor and sampling.guidance != 1.0 else ""
    return f"{sampling.guidance:g}{above}"


def _steps(sampling: Sampling) -> str:
    """Steps of a film of one window, those of a sketch first."""
    return f"{sampling.steps_for('sketch')} + {sampling.steps}" if sampling.sketch else str(sampling.steps)


def _calls(sampling: Sampling) -> str:
    """Calls of the transformer for a film of one window, those of a sketch first."""
    if not sampling.sketch:
        return str(sampling.calls("window"))
    return f"{sampling.calls('sketch')} + {sampling.calls('window', cap=sampling.sketch_cap)}"


def _directed(manifest: Manifest) -> list[str]:
    if "director" not in manifest.parts:
        return []
    return ["", "Before all that its director reads the prompt and says what stands where in the film's first window."]


def _sketched(manifest: Manifest, preset: Preset) -> list[str]:
    """How a film's first window is walked, where that is in two parts, and what is painted between them."""
    lines = []
    ways = {(one.sketch, one.sketch_shift, one.sketch_cap, one.painted_cap) for one in preset.sampling.values()}
    for few, shift, cap, painted in sorted(ways):
        if few:
            first, then = f"{few} moments of it at shift {shift:g}", f"all of it from noise level {cap:g}"
            lines += ["", f"A film's first window is walked twice: {first}, then {then}, each frame near its moment."]
        if few and {"director", "painter"} <= manifest.parts.keys():
            lines[-1] += f" Between the two its painter draws what stands where, known up to level {painted:g}."
    return lines


def _renewed(preset: Preset) -> list[str]:
    """How far down noise is drawn anew, by quality where they differ."""
    told = {(one.renewal, one.renewal_floor) for one in preset.sampling.values() if one.renewal}
    return [
        line
        for eta, floor in sorted(told)
        for line in ("", f"Down to noise level {floor:g} each step draws part of the noise anew (eta {eta:g}).")
    ]


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
        for library in record.get("libraries", [held if isinstance(held, Mapping) else {}]):
            clips = library.get("count", record.get("clips"))
            rows.append(
                (
                    run, said(clips), _sides(library),
                    *(said(library.get(name)) for name in ("latent_frames", "split", "mix", "first_seed", "world")),
                )
            )  # fmt: skip
    head = ("taught", "clips", "height x width", "latent frames of each", "split", "mix", "first seed", "world")
    return table(head, rows)


def _sides(library: Mapping[str, Any]) -> str:
    """Height and width of a library's clips; a director's are scenes alone."""
    sides = [library.get(side) for side in ("height", "width")]
    if None in sides:
        return NOT_RECORDED
    return " x ".join(map(str, sides)) if all(sides) else "never rendered"


def _runs(manifest: Manifest) -> list[str]:
    rows = []
    for run, record in _records(manifest):
        noted = ", ".join(f"{name.replace('_', ' ')} {said(record[name])}" for name in NOTED if name in record)
        fields = ("steps", "planned", "seconds", "seed", "device", "threads", "optimiser")
        rows.append((run, *(said(record.get(name)) for name in fields), noted))
    bundle = manifest.training.get("bundle", {})
    head = ("run", "steps", "planned", "budget, s", "seed", "device", "threads", "optimiser", "found at its end")
    sources = ", ".join(f"{name} {said(bundle.get(name))}" for name in ("kinora", "commit", "torch"))
    return [*table(head, rows), "", f"Bundled by: {sources}. `runs/` makes it again from nothing."]


def _pace(manifest: Manifest) -> list[str]:
    """Throughput of each run, where it was noted: against the matrix product of the same device in the same run."""
    rows = []
    for run, record in _records(manifest):
        for stage, told in record.get("throughput", {}).items():
            of_limit = share(told["share_of_limit"]) if "share_of_limit" in told else NOT_RECORDED
            pace = (f"{told['seconds_a_step']:.3g}", f"{told['a_second']:.3g}", said(told.get("gflops")), of_limit)
            rows.append((f"{run}, {stage}", *pace))
        if rendering := record.get("rendering"):
            on = f"{said(rendering.get('device'))}, {said(rendering.get('processes'))} processes"
            pace = ("-", f"{rendering['clips_a_second']:.3g}", "-", "-")
            rows.append((f"rendering for {run} ({on})", *pace))
    if not rows:
        return []
    head = ("throughput of", "seconds a step", "clips or texts a second", "GFLOP/s", "share of the matrix product")
    return ["", *table(head, rows)]


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
            share(c["share_of_limit"]),
        )
        for c in probed["candidates"]
    ]  # fmt: skip
    head = ("transformer", "batch", "seconds a step", "clips a second", "GFLOP/s", "share of the matrix product")
    about = (
        f"The probe before the run, on {probed['device']} (matrix product {probed['peak_gflops']:.0f} GFLOP/s): "
        f"renderer {renderer['clips_a_second']:.1f} clips a second of {renderer['frames_a_clip']} frames of "
        f"{renderer['height']} x {renderer['width']}; codec {codec['encode_clips_a_second']:.1f} encoded a second, its "
        f"decoder's training {share(codec['share_of_limit'])} of the limit."
    )
    return ["", about, "", *table(head, rows), "", f"Chosen: {probed['choice']['reason']}."]


def _records(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every run's record, once, by the names of what it taught; behind a student its teachers, behind a run that went
    on from other weights theirs.
    """
    chains = {part: record for part, record in manifest.training.items() if part not in ("bundle", "probe")}
    told: list[tuple[list[str], Mapping[str, Any]]] = []
    for name, record in chains.items():
        root, before = name, 0
        while record is not None:
            same = next((names for names, other in told if other == record), None)
            if same is None:
                told.append(([name], record))
            else:
                same.append(name)
            if "teacher" in record:
                root, before = f"{name}'s teacher", 0
                name, record = root, record["teacher"]
            else:
                before += 1
                name, record = f"{root}, {before} {'runs' if before > 1 else 'run'} before", record.get("start")
    for names, record in told:
        yield " and ".join(names), record


def _refused(preset: Preset) -> list[str]:
    missing = sorted(set(OBEYED.values()) - preset.obeys)
    return [f"- Follow these conditions: {', '.join(missing)}. They are refused by name."] if missing else []
