"""`kinora measure`: how well a model does what prompts ask, read back from its own clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.cli.main import say
from kinora.cli.progress import duration

if TYPE_CHECKING:
    from kinora.measure.cases import Case
    from kinora.measure.codec import CodecFigure
    from kinora.measure.model import Subject
    from kinora.pipeline import Pipeline
    from kinora.understanding.model import Reader

__all__ = ["register", "run"]

PARTS = ("all", "clips", "codec", "reader", "gallery")
QUICK_COUNT, QUICK_CODEC_COUNT = 12, 12


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "measure",
        help="how well a model follows held-out prompts",
        description="Generate held-out prompts (fixed seeds, both languages, three splits), read the clips back, and "
        "write a table, a JSON record and sheets of pictures. Cut off and started again, it goes on where it stopped.",
    )
    parser.add_argument("model", metavar="MODEL", help="tiny, a name in $KINORA_MODELS, or a model's folder")
    parser.add_argument("--count", type=int, default=60, metavar="N", help="prompts (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("measured"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--quality", default="standard", metavar="Q", help="draft, standard or pro (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each clip (default: %(default)g)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} prompts, draft, few codec clips")
    parser.add_argument(
        "--only", choices=PARTS, default="all", metavar="PART",
        help="all (clips and codec), clips, codec, reader (on true renders only), gallery",
    )  # fmt: skip
    parser.add_argument("--reader", type=Path, metavar="FILE", help="a trained reader instead of the model's own")


def run(arguments: argparse.Namespace) -> int:
    if arguments.quick:
        arguments.count, arguments.quality = min(arguments.count, QUICK_COUNT), "draft"
    if arguments.only == "reader":
        return _measure_reader(arguments)
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(arguments.model)
    if arguments.only == "gallery":
        return _draw_gallery(arguments, pipeline)
    return _measure_model(arguments, pipeline)


def _measure_model(arguments: argparse.Namespace, pipeline: Pipeline) -> int:
    from kinora.measure.cases import choose_cases
    from kinora.measure.model import measure_model, write_report

    subject = _subject(arguments, pipeline)
    cases: list[Case] = [] if arguments.only == "codec" else choose_cases(arguments.count)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = measure_model(subject, _reader(arguments), cases, arguments.out, on_case=_tell) if cases else []
    figures = [] if arguments.only == "clips" else _codec(arguments, pipeline)
    write_report(subject, results, figures, arguments.out)
    print((arguments.out / "report.md").read_text(encoding="utf-8"))
    print(arguments.out / "report.md")
    return 0


def _measure_reader(arguments: argparse.Namespace) -> int:
    from kinora.measure.cases import choose_cases
    from kinora.measure.model import judge_alone
    from kinora.measure.score import Tally

    results = judge_alone(_reader(arguments), choose_cases(arguments.count), arguments.out, on_case=_tell)
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


def _codec(arguments: argparse.Namespace, pipeline: Pipeline) -> list[CodecFigure]:
    from kinora.measure.codec import measure_codec

    height, _ = pipeline.model.manifest.sizes["1:1"]

    def tell(name: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            say(f"codec, {name}: {done} of {total}")

    count = QUICK_CODEC_COUNT if arguments.quick else 200
    return measure_codec(pipeline.model.codec, count=count, size=height, on_clip=tell)


def _tell(done: int, total: int, left: float | None) -> None:
    rest = "" if left is None or done == total else f", {duration(left)} left"
    say(f"clip {done} of {total}{rest}")
