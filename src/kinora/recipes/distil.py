"""Recipe: a student of the trained transformer that makes a film with one call a step, or with few steps.

Teacher and student share the text encoder, which stays as it is, so the same one is bundled with either.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinora.core.errors import InputError
from kinora.presets import Sampling, tiny
from kinora.recipes.sizes import Size
from kinora.recipes.transformer import feed
from kinora.training.batches import Batches
from kinora.training.distil import DistilConfig, DistilJob
from kinora.training.files import write_json
from kinora.training.generator import GeneratorStage
from kinora.training.library import Library, widest
from kinora.training.objective import ObjectiveConfig
from kinora.training.optimise import OptimiserConfig
from kinora.training.parts import Part, load_part, load_text, save_part
from kinora.training.plan import Stage
from kinora.training.run import Run, RunConfig
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer

__all__ = ["OPTIMISERS", "Course", "distil_recipe", "lesson_plan"]

_GUIDANCE = OptimiserConfig(muon_rate=0.01, adam_rate=5e-4, weight_decay=0.0, cool_down=0.5, average=0.99)
OPTIMISERS: Mapping[str, OptimiserConfig] = {
    "guidance": _GUIDANCE,
    "steps": dataclasses.replace(_GUIDANCE, muon_rate=0.002, adam_rate=1e-4),
}
"""By stage. Rates fall for half of a run, and nothing pulls the weights towards zero. Tried with a hundred lessons at
size `smoke`, one seed, by how far off the teacher the student ends (`DistilJob.strayed`): guidance from 68.1% to 49.2%
at muon 0.001, 31.2% at 0.004, 28.7% at 0.01, 34.1% at 0.02; four steps from 14.5% to 10.5% at 0.001, 9.8% at 0.002,
10.1% at 0.004, 15.5% at 0.01.
"""
CHECK_SEED = 77_000_000
"""Seed of the batch that teacher and student are compared on: the run's own batches have the run's seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """What a student is to learn."""

    stage: str
    """`guidance` or `steps`."""
    few_steps: int = 6
    """Steps of the taught schedule, in the stage `steps`."""
    small_steps: int = 4
    """Steps of the teacher in each of them."""


def distil_recipe(
    out: Path,
    folder: Path,
    size: Size,
    config: RunConfig,
    course: Course,
    *,
    teacher_path: Path,
    text_path: Path,
    codec_path: Path,
    library_folders: Sequence[Path],
    image_library_folders: Sequence[Path] = (),
    compile_blocks: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Teach a student that starts as the teacher; writes the transformer `out`. True when finished.

    Of `size` only batch sizes and what a step draws count; the model is the teacher's. Raises `InputError` for a course
    that this teacher cannot give, or another one than the run in `folder` began with.
    """
    part = load_part(teacher_path, "transformer")
    text, tokenizer = load_text(text_path)
    lessons = lesson_plan(part.record, course, size.objective, tiny().sampling["standard"])
    _keep_course(folder, {"lessons": dataclasses.asdict(lessons), "teacher": _digest(teacher_path)})
    teacher, student = _transformer(part), _transformer(part)
    # A student learns from its teacher alone: no maps.
    unmapped = dataclasses.replace(size.objective, maps=0.0)
    size = dataclasses.replace(size, text_length=text.config.length, objective=unmapped)
    clips = feed(folder, library_folders, codec_path, tokenizer, size, config)
    pictures = (
        feed(folder, image_library_folders, codec_path, tokenizer, size, config) if image_library_folders else None
    )
    job = DistilJob(
        student, teacher, text, _stages(clips, pictures, size), config=lessons, device=config.device,
        compile_blocks=compile_blocks,
    )  # fmt: skip
    run = Run(folder, job, config, say)
    finished = run.go()
    averaged = {**student.state_dict(), **run.average.tensors}
    strayed, library = None, widest(map(Library, library_folders)).config
    if finished:
        before, after = (job.strayed(weights, seed=CHECK_SEED) for weights in (teacher.state_dict(), averaged))
        strayed = {"before": before, "after": after}
        say(f"distil: ends {100 * after:.1f}% from where the teacher ends; {100 * before:.1f}% before it was taught")
    record = {
        **run.record(),
        "world": part.record.get("world", library.world), "library": dataclasses.asdict(library),
        "distilled": _told(part.record, lessons), "strayed": strayed,
        "teacher": part.record,
    }  # fmt: skip
    save_part(out, Part(kind="transformer", config=part.config, tensors=averaged, record=record))
    return finished


def lesson_plan(
    teacher: Mapping[str, Any], course: Course, objective: ObjectiveConfig, sampling: Sampling
) -> DistilConfig:
    """What the course means for a teacher with this record; `sampling` is how the product asks an undistilled one."""
    held = teacher.get("distilled")
    if held is not None and course.stage == "guidance":
        raise InputError("This teacher has its guidance in itself already; go on with --stage steps, or bundle it.")
    small_steps = course.small_steps
    if held is not None and held["steps"] is not None:
        # It walks only the schedule it was taught, so that is what can be walked in fewer steps.
        small_steps, left = divmod(held["steps"], course.few_steps)
        if left or small_steps < 2:
            raise InputError(
                f"This teacher takes {held['steps']} steps and no others; it can teach a student half of them, or "
                f"another whole part, not {course.few_steps}."
            )
    return DistilConfig(
        stage=course.stage,
        guidance=sampling.guidance if held is None else 1.0,
        guidance_floor=sampling.guidance_floor if held is None else 0.0,
        shift=sampling.shift if held is None else held["shift"],
        image_shift=sampling.image_shift if held is None else held["image_shift"],
        steps=course.few_steps,
        small_steps=small_steps,
        # Without guidance nobody asks the student without text.
        objective=dataclasses.replace(objective, drop_text=0.0),
    )


def _told(teacher: Mapping[str, Any], lessons: DistilConfig) -> dict[str, Any]:
    """What a bundle must know of the student to sample it: the scale within it, and the schedule it was taught."""
    held = teacher.get("distilled")
    return {
        "guidance": lessons.guidance if held is None else held["guidance"],
        "steps": lessons.steps if lessons.stage == "steps" else None,
        "small_steps": lessons.small_steps if lessons.stage == "steps" else None,
        "shift": lessons.shift,
        "image_shift": lessons.image_shift,
    }


def _transformer(part: Part) -> Transformer:
    transformer = Transformer(TransformerConfig(**part.config))
    transformer.load_state_dict({name: tensor.to(torch.float32) for name, tensor in part.tensors.items()})
    return transformer


def _stages(clips: Batches, pictures: Batches | None, size: Size) -> list[GeneratorStage]:
    """Clips, with steps of single pictures between."""
    video = GeneratorStage(
        stage=Stage(name="video", share=1.0, size=size.video_batch), batches=clips, latent_frames=clips.kept,
        image_share=size.picture_steps if clips.kept > 1 else 0.0, pictures=pictures,
    )  # fmt: skip
    return [video]


def _keep_course(folder: Path, told: Mapping[str, Any]) -> None:
    """Note teacher and lessons when a run begins; a run that goes on with others is refused."""
    path = folder / "recipe.json"
    values = json.loads(json.dumps(told))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, values)
    elif json.loads(path.read_text(encoding="utf-8")) != values:
        raise InputError(
            f"The run in {folder} began with another teacher or other lessons; give what it began with, or another "
            "folder for a new run."
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
