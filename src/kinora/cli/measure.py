"""`kinora measure`: how well a model does what prompts ask, read back from its own clips."""

from __future__ import annotations

import argparse
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.cli.main import say
from kinora.cli.progress import duration
from kinora.core.errors import InputError

if TYPE_CHECKING:
    from kinora.codec import Codec
    from kinora.measure.cases import Case
    from kinora.measure.codec import CodecFigure
    from kinora.measure.model import Subject
    from kinora.pipeline import Pipeline
    from kinora.understanding.model import Reader

__all__ = ["register", "run"]

PARTS = ("all", "clips", "codec", "reader", "gallery")
CONDITIONS = ("pictures", "seams", "camera", "brush", "region", "reference", "speech", "long", "cost")
"""As in `kinora.measure.control.run`, which needs torch."""
COUNT, CONTROL_COUNT = 60, 6
PROMPTS_A_FALL = 3
QUICK_COUNT, QUICK_CODEC_COUNT, QUICK_CONTROL_COUNT = 12, 12, 2


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "measure",
        help="how well a model follows held-out prompts",
        description="Generate held-out prompts (fixed seeds, both languages, three splits), read the clips back, and "
        "write a table, a JSON record and sheets of pictures. Cut off and started again, it goes on where it stopped. "
        "`kinora measure control MODEL` measures how well conditions are obeyed.",
    )
    parser.add_argument(
        "what", nargs="?", choices=("control",), metavar="control", help="measure conditions instead of prompts"
    )
    parser.add_argument("model", metavar="MODEL", help="tiny, a name in $KINORA_MODELS, or a model's folder")
    parser.add_argument(
        "--count", type=int, metavar="N",
        help=f"prompts (default: {COUNT}), or trials of each condition (default: {CONTROL_COUNT})",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("measured"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--quality", default="standard", metavar="Q", help="draft, standard or pro (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each clip (default: %(default)g)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} prompts, draft, few codec clips")
    parser.add_argument(
        "--only", type=_parts, default=("all",), metavar="PART",
        help=f"one of {', '.join(PARTS)} (reader: on true renders only); of conditions any, joined by commas: "
        f"{', '.join(CONDITIONS)}",
    )  # fmt: skip
    parser.add_argument(
        "--falls", type=int, metavar="N",
        help=f"prompts of falls beside, for gravity (default: one for every {PROMPTS_A_FALL} prompts)",
    )  # fmt: skip
    parser.add_argument("--films", type=int, default=1, metavar="N", help="long films (default: %(default)s)")
    parser.add_argument(
        "--long", type=float, default=20.0, metavar="S", help="seconds of a long film (default: %(default)g)"
    )
    parser.add_argument(
        "--world", metavar="V", help="version of the world that prompts are about (default: the one the model learnt)"
    )
    parser.add_argument("--reader", type=Path, metavar="FILE", help="a trained reader instead of the model's own")


def run(arguments: argparse.Namespace) -> int:
    parts = _checked_parts(arguments)
    if arguments.what == "control":
        return _measure_control(arguments, parts)
    arguments.only = parts[0]
    arguments.count = COUNT if arguments.count is None else arguments.count
    if arguments.quick:
        arguments.count, arguments.quality = min(arguments.count, QUICK_COUNT), "draft"
    if arguments.only == "reader":
        return _measure_reader(arguments)
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(arguments.model)
    if arguments.only == "gallery":
        return _draw_gallery(arguments, pipeline)
    return _measure_model(arguments, pipeline)


def _parts(text: str) -> tuple[str, ...]:
    """What `--only` names; of conditions several, joined by commas."""
    parts = tuple(part.strip() for part in text.split(","))
    unknown = [part for part in parts if part not in (*PARTS, *CONDITIONS)]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no part {', '.join(unknown)!r}; choose {', '.join(PARTS)}, "
            f"or with control {', '.join(CONDITIONS)}"
        )
    return parts


def _checked_parts(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The parts, which must be those of what is measured: one part of prompts, or any conditions."""
    parts: tuple[str, ...] = arguments.only
    if arguments.what == "control":
        if parts == ("all",):
            return CONDITIONS
        if foreign := [part for part in parts if part not in CONDITIONS]:
            raise InputError(f"{foreign[0]} is no condition; with control choose from {', '.join(CONDITIONS)}.")
        return tuple(part for part in CONDITIONS if part in parts)
    if len(parts) > 1 or parts[0] not in PARTS:
        raise InputError(
            f"--only {','.join(parts)} belongs to `kinora measure control MODEL`; of prompts choose one of "
            f"{', '.join(PARTS)}."
        )
    return parts


def _measure_control(arguments: argparse.Namespace, parts: tuple[str, ...]) -> int:
    from kinora.measure.control.run import Wanted, measure_control
    from kinora.measure.control.trials import Setting
    from kinora.pipeline import load_pipeline
    from kinora.pipeline.model import weights_hash

    pipeline = load_pipeline(arguments.model)
    setting = Setting(
        model=arguments.model,
        weights=weights_hash(pipeline.model.manifest),
        maker=pipeline,
        codec=own_codec(pipeline),
        judge=cache(partial(_reader, arguments)),
        folder=arguments.out,
        side=pipeline.model.manifest.sizes["1:1"][0],
        seconds=arguments.seconds,
        quality="draft" if arguments.quick else arguments.quality,
    )
    count = CONTROL_COUNT if arguments.count is None else arguments.count
    wanted = Wanted(
        conditions=parts,
        count=min(count, QUICK_CONTROL_COUNT) if arguments.quick else count,
        long_films=arguments.films,
        long_seconds=arguments.long,
    )
    print(measure_control(setting, wanted, on_trial=_tell_trial))
    print(arguments.out / "control.md")
    return 0


def _tell_trial(condition: str, done: int, total: int, spent: float) -> None:
    rest = "" if done == total else f", {duration(spent / done * (total - done))} left"
    say(f"{condition}: {done} of {total}{rest}")


def _measure_model(arguments: argparse.Namespace, pipeline: Pipeline) -> int:
    from kinora.measure.cases import choose_cases, choose_falls
    from kinora.measure.model import measure_falls, measure_model, write_report

    subject = _subject(arguments, pipeline)
    cases: list[Case] = [] if arguments.only == "codec" else choose_cases(arguments.count, subject.world)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = measure_model(subject, _reader(arguments), cases, arguments.out, on_case=_tell) if cases else []
    wanted = len(cases) // PROMPTS_A_FALL if arguments.falls is None else arguments.falls
    falls = measure_falls(
        subject, choose_falls(wanted, subject.world), arguments.out, on_case=partial(_tell, what="fall")
    )
    figures = [] if arguments.only == "clips" else _codec(arguments, pipeline)
    write_report(subject, results, figures, arguments.out, falls)
    print((arguments.out / "report.md").read_text(encoding="utf-8"))
    print(arguments.out / "report.md")
    return 0


def _measure_reader(arguments: argparse.Namespace) -> int:
    from kinora.measure.cases import choose_cases
    from kinora.measure.model import judge_alone
    from kinora.measure.score import Tally
    from kinora.presets import find_model
    from kinora.weights.manifest import read_manifest

    world = arguments.world or read_manifest(find_model(arguments.model)).world
    results = judge_alone(_reader(arguments), choose_cases(arguments.count, world), arguments.out, on_case=_tell)
    tally = Tally.of((result.case.full, result.read) for result in results)
    for slot, accuracy in sorted(tally.accuracy().items()):
        print(f"{slot:18} {100 * accuracy:6.2f}%  of {tally.slots[slot][1]}")
    print(f"{'macro':18} {100 * tally.macro:6.2f}%\n{'all right':18} {100 * tally.share_all_right:6.2f}%")
    return 0


def _draw_gallery(arguments: argparse.Namespace, pipeline: Pipeline) -> int:
    from kinora.measure.gallery import draw_gallery
    from kinora.measure.prompts import FREE, IN_GRAMMAR

    arguments.out.mkdir(parents=True, exist_ok=True)
    path = draw_gallery(
        _subject(arguments, pipeline),
        (*IN_GRAMMAR, *FREE),
        arguments.out,
        unknown=lambda text: pipeline.check(text).unknown,
        on_case=_tell,
    )
    print(path)
    return 0


def _subject(arguments: argparse.Namespace, pipeline: Pipeline) -> Subject:
    from kinora.measure.model import Subject
    from kinora.pipeline.model import weights_hash

    return Subject(
        name=pipeline.name,
        weights=weights_hash(pipeline.model.manifest),
        maker=pipeline,
        quality=arguments.quality,
        seconds=arguments.seconds,
        world=arguments.world or pipeline.model.manifest.world,
    )


def _reader(arguments: argparse.Namespace) -> Reader:
    """The reader in the file given, else the model's own."""
    from kinora.presets import find_model
    from kinora.understanding.store import load_reader

    if arguments.reader is None:
        return load_reader(find_model(arguments.model))
    from kinora.training.parts import load_part
    from kinora.understanding.config import ReaderConfig
    from kinora.understanding.model import Reader

    part = load_part(arguments.reader, "reader")
    reader = Reader(ReaderConfig(**part.config))
    reader.load_state_dict({name: tensor.float() for name, tensor in part.tensors.items()})
    return reader.eval()


def own_codec(pipeline: Pipeline) -> Codec:
    """The codec of a model of Kinora's own; raises `InputError` for published weights, which nothing here measures."""
    from kinora.codec import Codec
    from kinora.core.errors import InputError

    codec = pipeline.model.codec
    if not isinstance(codec, Codec):
        raise InputError(f"{pipeline.name} is a published model; what is measured here are models of Kinora's world.")
    return codec


def _codec(arguments: argparse.Namespace, pipeline: Pipeline) -> list[CodecFigure]:
    from kinora.measure.codec import measure_codec

    height, _ = pipeline.model.manifest.sizes["1:1"]

    def tell(name: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            say(f"codec, {name}: {done} of {total}")

    count = QUICK_CODEC_COUNT if arguments.quick else 200
    return measure_codec(own_codec(pipeline), count=count, size=height, on_clip=tell)


def _tell(done: int, total: int, left: float | None, what: str = "clip") -> None:
    rest = "" if left is None or done == total else f", {duration(left)} left"
    say(f"{what} {done} of {total}{rest}")
