"""`kinora image`: pictures from a sentence."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from kinora.cli.options import add_output_option, add_request_options, request_of
from kinora.cli.progress import ProgressBar
from kinora.cli.prompts import note_unknown_words
from kinora.core.errors import InputError
from kinora.core.request import SEED_LIMIT

__all__ = ["register", "run"]

MOST = 64


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("image", help="pictures from a sentence", description="Make pictures from a sentence.")
    add_request_options(parser, seconds=False)
    parser.add_argument("--n", type=int, default=1, metavar="N", help=f"how many, seeds counting up (at most {MOST})")
    add_output_option(parser, default="image.png")


def run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    if not 1 <= arguments.n <= MOST:
        raise InputError(f"{arguments.n} pictures cannot be made at once; choose 1 to {MOST}.")
    paths = numbered(Path(arguments.output), arguments.n)
    from kinora.media.output import check_output
    from kinora.media.picture import PICTURE_SUFFIXES, write_picture

    for path in paths:
        check_output(path, suffixes=PICTURE_SUFFIXES, force=arguments.force)
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(arguments.model)
    note_unknown_words(pipeline, request)
    pictures = pipeline.image(request, n=arguments.n, on_progress=ProgressBar())
    for index, (path, rgb_HW3) in enumerate(zip(paths, pictures, strict=True)):
        recipe = pipeline.recipe(replace(request, seed=(request.seed + index) % SEED_LIMIT), kind="image")
        write_picture(path, rgb_HW3, recipe=recipe, force=arguments.force)
        print(path)
    return 0


def numbered(path: Path, count: int) -> list[Path]:
    """`image.png` for one; `image-1.png`, `image-2.png` ... for several."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{index}{path.suffix}") for index in range(1, count + 1)]
