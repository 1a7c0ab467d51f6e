"""The model card says what the records say, and the one in docs is of the bundled model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from kinora.cli.main import main
from kinora.core.errors import InputError
from kinora.presets import find_model
from kinora.recipes.card import card_recipe, model_card, stored_parts
from kinora.recipes.card_figures import Measured
from kinora.recipes.card_words import NOT_RECORDED
from kinora.weights.manifest import Manifest, read_manifest, stored, weights_hash

CARD = Path(__file__).parents[2] / "docs" / "model-card.md"
RECORD: dict[str, Any] = {
    "steps": 700, "planned": 800, "seconds": 90.5, "seed": 3, "device": "cuda", "threads": 8,
    "optimiser": {"muon_rate": 0.02, "betas": [0.9, 0.95]}, "world": "1.0",
    "library": {
        "count": 4096, "height": 64, "width": 96, "latent_frames": 5, "split": "train", "mix": "richest",
        "first_seed": 77, "world": "1.0",
    },
}  # fmt: skip
MANIFEST = Manifest(
    name="own",
    world="1.0",
    frame_rate=16.0,
    sizes={"16:9": (192, 320)},
    parts={"transformer": {"width": 256, "layers": 6, "eps": 1e-6}, "text": {"vocabulary": 656}},
    training={"transformer": RECORD, "text": RECORD, "codec": {"clips": 12, "psnr": {"theatre": 31.25}}},
    shards=(stored("shard-000.safetensors", b"abc"),),
)
STORED = {"transformer": (1_234_567, "BF16")}


def report(**changes: Any) -> dict[str, Any]:
    """As `kinora measure` writes it."""
    return {
        "weights": weights_hash(MANIFEST), "quality": "standard", "clips": 9, "macro": 0.815, "all_right": 0.25,
        "true_macro": 0.99, "true_all_right": 0.97,
        "groups": {
            "train": {"clips": 3, "macro": 0.9, "all_right": 0.5},
            "held_out": {"clips": 3, "macro": 0.625, "all_right": 0.0},
            "out_of_range": {"clips": 0, "macro": 0.0, "all_right": 0.0},
        },
        "slots": {
            "sky": {"asked": 6, "generated": 1.0, "true": 1.0},
            "camera": {"asked": 4, "generated": 0.125, "true": 0.75},
        },
        "motion": {
            "gravity_error": {"generated": {"value": 0.31, "clips": 4}, "true": {"value": 0.02, "clips": 5}},
            "speed_error": {"generated": {"value": None, "clips": 0}, "true": {"value": None, "clips": 0}},
        },
        "codec": [{"name": "theatre", "psnr": 34.92}, {"name": "photographs", "psnr": None}],
        "cases": [
            {"name": "b", "prompt": "a red | ball", "right": 3, "asked": 3},
            {"name": "a", "prompt": "一个蓝色的方块", "right": 1, "asked": 4},
        ],
        **changes,
    }  # fmt: skip


def control(**changes: Any) -> dict[str, Any]:
    figure = {
        "condition": "speech", "words": "lag", "film": "2.00 frames", "true": "0.00 frames",
        "target": "at most 1.00 frames", "met": False, "trials": 3,
    }  # fmt: skip
    return {
        "weights": weights_hash(MANIFEST), "quality": "draft", "figures": [figure], "left_out": {"long": "too long"},
        **changes,
    }  # fmt: skip


def row(card: str, first: str) -> list[str]:
    """The cells of the one row that begins with `first`."""
    lines = [line for line in card.splitlines() if line.startswith(f"| {first} |")]
    assert len(lines) == 1, (first, lines)
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def section(card: str, heading: str) -> str:
    return card.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_committed_card_is_what_the_bundled_model_and_its_kept_measures_give_now() -> None:
    """`kinora train card --model src/kinora/presets/tiny --measures docs/measured/* --out docs/model-card.md`."""
    folder = find_model("tiny")
    kept = [Measured.read(measured) for measured in sorted((CARD.parent / "measured").iterdir())]
    assert CARD.read_text(encoding="utf-8") == model_card(read_manifest(folder), stored_parts(folder), kept)
    assert weights_hash(read_manifest(folder)) in {(m.report or m.control or {})["weights"] for m in kept}


def test_records_stand_in_the_tables() -> None:
    card = model_card(MANIFEST, STORED)
    assert row(card, "transformer")[1:] == ["1,234,567", "BF16", "width 256, layers 6"]
    assert row(card, "text")[1:3] == [NOT_RECORDED, NOT_RECORDED]
    data, runs = section(card, "Data"), section(card, "Recipe and compute")
    assert row(data, "transformer and text")[1:] == ["4096", "64 x 96", "5", "train", "richest", "77", "1.0"]
    assert row(runs, "transformer and text")[1:] == [
        "700", "800", "90.5", "3", "cuda", "8", "muon_rate 0.02, betas 0.9 0.95", "",
    ]  # fmt: skip
    assert row(card, "standard")[1:5] == ["16", "4 above level 0.92", "21", "5 / 3"]
    assert "Down to noise level 0.6 each step draws part of the noise anew (eta 1)." in card


def test_what_is_missing_is_called_so() -> None:
    card = model_card(MANIFEST, STORED)
    assert row(section(card, "Data"), "codec")[1:] == ["12", *[NOT_RECORDED] * 6]
    assert row(section(card, "Recipe and compute"), "codec")[1] == NOT_RECORDED
    assert row(section(card, "Recipe and compute"), "codec")[-1] == "psnr theatre 31.25"
    assert "commit not recorded" in card
    assert "Not measured yet" in section(card, "Figures")
    assert section(card, "Failures").strip() == "Not measured yet."


def test_a_student_s_card_names_its_teacher_and_what_it_cannot() -> None:
    told = {"guidance": 6.0, "steps": 5, "shift": 5.0, "image_shift": 1.5}
    student = {**RECORD, "steps": 60, "distilled": told, "teacher": RECORD, "strayed": {"before": 0.7, "after": 0.1}}
    few = {"steps": 5, "guidance": 1.0, "solver": "euler"}
    manifest = dataclasses.replace(
        MANIFEST,
        training={"transformer": student, "text": RECORD, "bundle": {"kinora": "0.1", "commit": "abc+", "torch": None}},
        sampling={"standard": few},
    )
    card = model_card(manifest, STORED)
    assert row(card, "standard")[1:4] == ["5", "1", "5"]
    assert "as its manifest says" in card
    assert "schedule of 5 steps" in card
    runs = section(card, "Recipe and compute")
    assert row(runs, "transformer")[1] == "60"
    assert row(runs, "transformer's teacher and text")[1] == "700"
    assert "before 0.7, after 0.1" in runs
    assert "kinora 0.1, commit abc+, torch not recorded" in runs


def test_a_run_that_went_on_tells_the_runs_before_it_and_all_its_libraries() -> None:
    first = {**RECORD, "steps": 100}
    second = {**RECORD, "steps": 200, "start": first}
    told = [{"count": count, "height": 64, "width": 64, "mix": mix} for count, mix in ((8, "wide"), (9, "training"))]
    last = {**RECORD, "steps": 300, "start": second, "libraries": told}
    few = {"steps": 5, "guidance": 6.0, "sketch": 4, "sketch_shift": 2.0, "sketch_cap": 0.5}
    manifest = dataclasses.replace(MANIFEST, training={"transformer": last}, sampling={"standard": few})
    card = model_card(manifest, STORED)
    runs = section(card, "Recipe and compute")
    names = ("transformer", "transformer, 1 run before", "transformer, 2 runs before")
    assert [row(runs, name)[1] for name in names] == ["300", "200", "100"]
    data = section(card, "Data")
    assert "| transformer | 8 | 64 x 64 |" in data
    assert "| transformer | 9 | 64 x 64 |" in data
    assert "4 moments of it at shift 2, then all of it from noise level 0.5" in card


def test_a_director_is_told_with_the_scenes_that_nobody_rendered() -> None:
    scenes = {"count": 8, "height": 0, "width": 0, "latent_frames": 11, "split": "train", "mix": "wide", "world": "2.0"}
    record = {"steps": 30, "seconds": 0, "libraries": [scenes], "held_out": 1.25}
    parts = {**MANIFEST.parts, "director": {"width": 8, "layers": 1}}
    card = model_card(dataclasses.replace(MANIFEST, parts=parts, training={"director": record}), STORED)
    assert "its director reads the prompt" in card
    assert "| director | 8 | never rendered | 11 | train | wide |" in section(card, "Data")
    assert "held out 1.25" in section(card, "Recipe and compute")
    assert "its director reads the prompt" not in model_card(MANIFEST, STORED)
    sampling = {"standard": {"steps": 5, "guidance": 6.0, "sketch": 4, "painted_cap": 0.2}}
    painting = dataclasses.replace(MANIFEST, parts={**parts, "painter": {"widths": [8, 8, 8]}}, sampling=sampling)
    assert "its painter draws what stands where, known up to level 0.2" in model_card(painting, STORED)
    without = dataclasses.replace(painting, parts=parts)
    assert "its painter draws" not in model_card(without, STORED)


def test_measurements_stand_side_by_side() -> None:
    before = Measured(report=report(weights="f" * 64, macro=0.2), control=None)
    after = Measured(report=report(), control=control())
    card = model_card(MANIFEST, STORED, [before, after])
    figures = section(card, "Figures")
    titles = row(figures, "slots, motion, codec")[1:]
    assert titles == ["other weights `ffffffff`, standard", f"these weights `{weights_hash(MANIFEST)[:8]}`, standard"]
    assert row(figures, "right, mean over slots, all clips")[1:] == ["20.0% (99.0%)", "81.5% (99.0%)"]
    assert row(figures, "right, mean over slots, held-out pairs")[1:] == ["62.5% of 3"] * 2
    assert row(figures, "all stated slots right, out of range")[1:] == ["-", "-"]
    assert row(figures, "gravity error")[1] == "0.31 (0.02), 4 clips"
    assert row(figures, "speed error")[1] == "-"
    assert row(figures, "codec PSNR, theatre")[1] == "34.9 dB"
    assert row(figures, "codec PSNR, photographs")[1] == "-"
    assert row(figures, "sky")[1:] == ["100.0% (100.0%) of 6"] * 2
    assert row(figures, "speech")[1:] == ["lag", "at most 1.00 frames", "2.00 frames (0.00 frames), 3"]


def test_slots_that_only_one_measurement_asked_stand_beside_nothing() -> None:
    weather = {"weather": {"asked": 2, "generated": 0.5, "true": 1.0}}
    before = Measured(report=report(world="1.0"), control=None)
    after = Measured(report=report(world="2.0", slots=weather), control=None)
    figures = section(model_card(MANIFEST, STORED, [before, after]), "Figures")
    assert row(figures, "weather")[1:] == ["-", "50.0% (100.0%) of 2"]
    assert row(figures, "camera")[1:] == ["12.5% (75.0%) of 4", "-"]
    titles = row(figures, "right by slot")[1:]
    assert [title.rpartition(" ")[2] for title in titles] == ["1.0", "2.0"]


def test_throughput_and_the_probe_s_choice_are_told() -> None:
    pace = {"seconds_a_step": 0.125, "a_second": 512.0, "gflops": 210_000.0, "share_of_limit": 0.34}
    slow = {"seconds_a_step": 2.0, "a_second": 32.0}
    rendering = {"clips_a_second": 61.5, "clips": 4096, "device": "cuda", "processes": 8}
    fast = {**RECORD, "throughput": {"video": pace}, "rendering": rendering}
    probe = {
        "device": "a large GPU", "peak_gflops": 620_000.0,
        "renderer": {"clips_a_second": 60.0, "frames_a_clip": 17, "height": 256, "width": 256},
        "codec": {"encode_clips_a_second": 900.0, "share_of_limit": 0.11},
        "candidates": [{
            "width": 384, "layers": 12, "parameters": 30_000_000, "batch": 64, "seconds_a_step": 0.125,
            "clips_a_second": 512.0, "gflops": 210_000.0, "share_of_limit": 0.34,
        }],
        "choice": {"reason": "30.0 M parameters at batch 64"},
    }  # fmt: skip
    training = {
        **MANIFEST.training,
        "transformer": fast,
        "text": {**fast, "throughput": {"slots": slow}},
        "probe": probe,
    }
    runs = section(model_card(dataclasses.replace(MANIFEST, training=training), STORED), "Recipe and compute")
    assert row(runs, "transformer, video")[1:] == ["0.125", "512", "2.1e+05", "34.0%"]
    assert row(runs, "text, slots")[-1] == NOT_RECORDED
    assert row(runs, "rendering for transformer (cuda, 8 processes)")[2] == "61.5"
    assert row(runs, "width 384, layers 12 (30.0 M)")[1:] == ["64", "0.125", "512.0", "210000", "34.0%"]
    assert "a large GPU (matrix product 620000 GFLOP/s)" in runs
    assert "Chosen: 30.0 M parameters at batch 64." in runs
    assert "throughput of" not in model_card(MANIFEST, STORED)


def test_failures_are_the_weakest_of_the_last_measurement() -> None:
    failures = section(model_card(MANIFEST, STORED, [Measured(report=report(), control=control())]), "Failures")
    slots = [line.split("|")[1].strip() for line in failures.splitlines() if line.startswith("| ")]
    assert slots[2:] == ["camera", "sky"]
    prompts = [line for line in failures.splitlines() if " of " in line and line.startswith("- ")]
    assert prompts == ["- 1 of 4: 一个蓝色的方块", "- 3 of 3: a red | ball"]
    assert "- speech: lag 2.00 frames, target at most 1.00 frames" in failures
    assert "- long was left out: too long" in failures


def test_figures_of_conditions_alone_are_enough() -> None:
    card = model_card(MANIFEST, STORED, [Measured(report=None, control=control(figures=[], left_out={}))])
    assert "Slots least" not in card
    assert "- none" in section(card, "Failures")


def test_the_card_is_written_from_the_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measures, model, out = tmp_path / "measures", str(find_model("tiny")), tmp_path / "docs" / "card.md"
    measures.mkdir()
    asks = ["train", "card", "--model", model, "--out", str(out), "--measures", str(measures)]
    assert main(asks) == 2
    assert "holds no report.json" in capsys.readouterr().err
    (measures / "report.json").write_text(json.dumps(report())[:-9], encoding="utf-8")
    with pytest.raises(InputError, match="is no report"):
        card_recipe(out, Path(model), [measures])
    (measures / "report.json").write_text(json.dumps(report()), encoding="utf-8")
    assert main(asks) == 0
    card = out.read_text(encoding="utf-8")
    assert "other weights" in card
    assert str(tmp_path) not in card
    assert row(card, "right, mean over slots, all clips")[1] == "81.5% (99.0%)"


def test_numbers_are_counted_from_the_shards(model_folder: Path) -> None:
    from kinora.pipeline.model import load_model

    held, model = stored_parts(model_folder), load_model(model_folder)
    assert held["transformer"] == (sum(p.numel() for p in model.transformer.parameters()), "F32")
    assert set(held) == {"codec", "transformer", "text"}
