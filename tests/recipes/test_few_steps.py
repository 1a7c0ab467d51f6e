"""From a teacher to a model folder with a sampling table of its own, by way of the recipe and the command line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kinora.cli.main import main
from kinora.codec import Codec, CodecConfig
from kinora.core.errors import InputError, WeightsError
from kinora.core.request import QUALITIES, Request
from kinora.language.encoder import TextEncoder
from kinora.language.tokenizer import build_vocabulary
from kinora.pipeline import Pipeline
from kinora.pipeline.model import load_model
from kinora.pipeline.planning import plan_film, plan_image
from kinora.presets import Sampling, preset_for, tiny
from kinora.recipes.bundle import bundle_recipe, sampling_table
from kinora.recipes.distil import Course, distil_recipe, lesson_plan
from kinora.recipes.library import transformer_library
from kinora.recipes.sizes import size_named
from kinora.training.objective import ObjectiveConfig
from kinora.training.parts import Part, load_part, save_part
from kinora.training.run import RunConfig
from kinora.transformer.model import Transformer
from kinora.weights.manifest import Manifest, read_manifest, weights_hash
from kinora.world.scene import WORLD_VERSION

TINY = dataclasses.replace(
    size_named("smoke"), height=32, width=32, codec=CodecConfig(channels=8, trunk_blocks=0, picture_blocks=0),
    transformer_width=32, transformer_layers=2, transformer_heads=2, ffn_width=64, text_width=32, text_layers=1,
    image_batch=4, video_batch=4, latent_frames=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library, and codec, text encoder and teacher with random weights."""
    work = tmp_path_factory.mktemp("few")
    torch.manual_seed(0)
    codec = Codec(TINY.codec)
    save_part(
        work / "codec.safetensors",
        Part(kind="codec", config=TINY.codec.to_dict(), tensors=codec.state_dict(), record={}),
    )
    library = transformer_library(work / "library", TINY, clips=6, first_seed=40, codec=work / "codec.safetensors")
    tokenizer = build_vocabulary(text for texts in library.captions() for text in texts)
    record = {"steps": 100, "world": WORLD_VERSION, "library": dataclasses.asdict(library.config)}
    text, transformer = TextEncoder(TINY.text(len(tokenizer))), Transformer(TINY.transformer())
    torch.nn.init.normal_(transformer.head.head.weight, std=0.2)
    torch.nn.init.normal_(transformer.text_embedding[2].weight, std=0.3)
    for kind, module, told in (
        ("text", text, {**record, "vocabulary": tokenizer.to_json()}),
        ("transformer", transformer, record),
    ):
        config = dataclasses.asdict(module.config)
        part = Part(kind=kind, config=config, tensors=dict(module.state_dict()), record=told)
        save_part(work / f"{kind}.safetensors", part)
    return work


def distil(work: Path, name: str, course: Course, config: RunConfig, teacher: str = "transformer") -> bool:
    return distil_recipe(
        work / f"{name}.safetensors", work / f"{name}-run", TINY, config, course,
        teacher_path=work / f"{teacher}.safetensors", text_path=work / "text.safetensors",
        codec_path=work / "codec.safetensors", library_folders=[work / "library"], say=lambda _: None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def student(work: Path) -> Part:
    """Guidance taught in a few steps."""
    assert distil(work, "student", Course(stage="guidance"), RunConfig(steps=4, log_steps=2))
    return load_part(work / "student.safetensors", "transformer")


@pytest.fixture(scope="module")
def quick(work: Path, student: Part) -> Part:
    """Three steps taught by that student."""
    course = Course(stage="steps", few_steps=3, small_steps=2)
    assert distil(work, "quick", course, RunConfig(steps=3, log_steps=1), teacher="student")
    return load_part(work / "quick.safetensors", "transformer")


def bundle(work: Path, name: str, transformer: str, few_steps: int | None = None) -> Manifest:
    return bundle_recipe(
        work / name, name=name, codec=work / "codec.safetensors", text=work / "text.safetensors",
        transformer=work / f"{transformer}.safetensors", few_steps=few_steps,
    )  # fmt: skip


def test_a_student_is_a_transformer_like_its_teacher(work: Path, student: Part) -> None:
    teacher = load_part(work / "transformer.safetensors", "transformer")
    assert student.config == teacher.config
    assert {name: tensor.shape for name, tensor in student.tensors.items()} == {
        name: tensor.shape for name, tensor in teacher.tensors.items()
    }
    assert any(not torch.equal(student.tensors[name], teacher.tensors[name]) for name in teacher.tensors)
    assert student.record["distilled"] == {
        "guidance": 4.0, "steps": None, "small_steps": None, "shift": 5.0, "image_shift": 3.0,
    }  # fmt: skip
    assert student.record["teacher"] == teacher.record
    assert student.record["optimiser"]["muon_rate"] > 0
    assert student.record["library"]["count"] == 6


def test_the_schedule_that_was_taught_is_on_record(quick: Part, student: Part) -> None:
    told = quick.record["distilled"]
    assert told == {"guidance": 4.0, "steps": 3, "small_steps": 2, "shift": 5.0, "image_shift": 3.0}
    assert quick.record["teacher"]["distilled"] == student.record["distilled"]


def test_cut_off_and_resumed_ends_in_the_same_bits(work: Path) -> None:
    course = Course(stage="steps", few_steps=3, small_steps=2)
    assert distil(work, "unbroken", course, RunConfig(steps=5))
    stops = 0
    while not distil(work, "broken", course, RunConfig(steps=5, stop_after=0.0)):
        stops += 1
    assert stops >= 3
    unbroken, broken = (
        (work / f"{name}-run" / "checkpoint.safetensors").read_bytes() for name in ("unbroken", "broken")
    )
    assert hashlib.sha256(broken).hexdigest() == hashlib.sha256(unbroken).hexdigest()


def test_a_run_keeps_its_teacher_and_its_lessons(work: Path, student: Part) -> None:
    for course, teacher in ((Course(stage="steps"), "transformer"), (Course(stage="guidance", small_steps=9), "quick")):
        with pytest.raises(InputError):
            distil(work, "student", course, RunConfig(steps=4), teacher=teacher)
    kept = json.loads((work / "student-run" / "recipe.json").read_text(encoding="utf-8"))
    assert kept["lessons"]["stage"] == "guidance"


PLAIN = Sampling(steps=16, guidance=6.0)


def plan(record: dict[str, Any], **course: Any) -> Any:
    return lesson_plan(record, Course(**course), ObjectiveConfig(), PLAIN)


def test_a_teacher_without_guidance_of_its_own_is_asked_with_it() -> None:
    lessons = plan({}, stage="steps", few_steps=6)
    assert (lessons.guidance, lessons.steps, lessons.small_steps, lessons.shift) == (6.0, 6, 4, 5.0)
    assert lessons.objective.drop_text == 0.0
    held = {"distilled": {"guidance": 6.0, "steps": None, "shift": 4.0, "image_shift": 1.0}}
    lessons = plan(held, stage="steps", few_steps=6)
    assert (lessons.guidance, lessons.shift, lessons.image_shift) == (1.0, 4.0, 1.0)
    with pytest.raises(InputError, match="--stage steps"):
        plan(held, stage="guidance")


def test_a_teacher_of_few_steps_teaches_a_part_of_them() -> None:
    held = {"distilled": {"guidance": 6.0, "steps": 8, "shift": 5.0, "image_shift": 3.0}}
    assert plan(held, stage="steps", few_steps=4).small_steps == 2
    for few in (8, 6, 16):
        with pytest.raises(InputError, match="takes 8 steps"):
            plan(held, stage="steps", few_steps=few)


# The bundle


def test_a_student_of_guidance_is_asked_once_a_step(work: Path, student: Part) -> None:
    manifest = bundle(work, "half", "student")
    assert {quality: entry["guidance"] for quality, entry in manifest.sampling.items()} == dict.fromkeys(QUALITIES, 1.0)
    model = load_model(work / "half")
    for quality in QUALITIES:
        request = Request(prompt="a red ball", quality=quality)
        steps = model.preset.sampling_for(quality).steps
        assert (
            plan_film(request, model.facts, model.preset).forwards
            == steps
            < plan_film(request, model.facts, tiny()).forwards
        )
        assert plan_image(request, model.facts, model.preset).forwards == steps
    with pytest.raises(InputError, match="no negative prompt"):
        plan_film(Request(prompt="a ball", negative="grass"), model.facts, model.preset)


def test_few_steps_are_what_the_product_takes(work: Path, quick: Part) -> None:
    manifest = bundle(work, "quick", "quick")
    assert read_manifest(work / "quick").sampling == manifest.sampling
    pipeline = Pipeline(load_model(work / "quick"))
    steps = [pipeline.plan(Request(prompt="a ball", quality=quality)).steps for quality in QUALITIES]
    assert steps == [3, 3, 6]
    standard = pipeline.model.preset.sampling_for("standard")
    assert standard == Sampling(steps=3, guidance=1.0, shift=5.0, image_shift=3.0, solver="euler")
    calls = []
    pipeline.model.transformer.register_forward_hook(lambda *_: calls.append(1))
    clip = pipeline.generate(Request(prompt="a red ball on grass", seconds=1.0))
    assert len(calls) == 3
    assert clip.shape.height == 32


def test_a_bundle_says_how_its_films_are_sketched() -> None:
    assert sampling_table({}) == {}
    table = sampling_table({}, few_steps=8, sketch=5)
    assert {quality: (entry["sketch"], entry["steps"]) for quality, entry in table.items()} == {
        "draft": (5, 8), "standard": (5, 8), "pro": (5, tiny().sampling["pro"].steps),
    }  # fmt: skip
    preset = preset_for("one of mine", json.loads(json.dumps(table)))
    assert preset.sampling_for("standard").sketch == 5
    # What a painter draws anew needs no room to move.
    painted = sampling_table({}, few_steps=8, sketch=5, painted=True)
    assert painted["standard"]["sketch_cap"] < table["standard"]["sketch_cap"] == tiny().sampling["standard"].sketch_cap


def test_a_model_without_a_table_is_sampled_as_its_preset_says(work: Path) -> None:
    manifest = bundle(work, "plain", "transformer")
    assert manifest.sampling == {}
    assert load_model(work / "plain").preset == tiny()
    older = json.loads(manifest.to_json())
    del older["sampling"]
    assert Manifest.from_json(json.dumps(older)) == manifest
    assert manifest.training["bundle"]["kinora"]


def test_steps_given_by_hand_are_for_draft_and_standard() -> None:
    table = sampling_table({}, 8)
    assert [table[quality]["steps"] for quality in QUALITIES] == [8, 8, 40]
    assert {entry["guidance"] for entry in table.values()} == {4.0}
    told = {"distilled": {"guidance": 6.0, "steps": 6, "shift": 5.0, "image_shift": 3.0}}
    assert sampling_table(told, 6) == sampling_table(told)
    with pytest.raises(InputError, match="taught 6 steps, not 4"):
        sampling_table(told, 4)


def test_another_table_is_another_model_to_the_cache(work: Path) -> None:
    manifest = bundle(work, "plain", "transformer")
    other = dataclasses.replace(manifest, sampling=sampling_table({}, 8))
    assert weights_hash(other) != weights_hash(manifest)


def test_a_table_of_a_later_version_is_refused() -> None:
    with pytest.raises(WeightsError, match="Update Kinora"):
        preset_for("tiny", {"draft": {"steps": 4, "guidance": 1.0, "dreams": 3}})


def test_the_command_line_teaches_and_bundles(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {name: str(work / f"{name}.safetensors") for name in ("codec", "text", "transformer")}
    out = work / "told.safetensors"
    asks = [
        "train", "distil", "--size", "smoke", "--height", "32", "--width", "32", "--batch", "2", "--stage", "steps",
        "--few-steps", "4", "--small-steps", "2", "--teacher", parts["transformer"], "--text", parts["text"],
        "--codec", parts["codec"], "--library", str(work / "library"), "--run", str(work / "told-run"),
        "--steps", "2", "--out", str(out),
    ]  # fmt: skip
    assert main(asks) == 0
    assert "from where the teacher ends" in capsys.readouterr().err
    bundled = ["--codec", parts["codec"], "--text", parts["text"], "--transformer", str(out)]
    assert main(["train", "bundle", *bundled, "--out", str(work / "told")]) == 0
    assert read_manifest(work / "told").sampling["standard"]["steps"] == 4
    assert main(["train", "bundle", *bundled, "--few-steps", "5", "--out", str(work / "told")]) == 2
    assert "taught 4 steps, not 5" in capsys.readouterr().err
