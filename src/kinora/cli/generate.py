"""`kinora generate`: a film from a sentence."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from kinora.cli.main import say
from kinora.cli.options import add_output_option, add_request_options, request_of
from kinora.cli.progress import ProgressBar, duration
from kinora.cli.prompts import note_unknown_words

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("generate", help="a film from a sentence", description="Make a film from a sentence.")
    add_request_options(parser, seconds=True)
    add_output_option(parser, default="film.mp4")
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it costs, and stop")


def run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    path = Path(arguments.output)
    from kinora.media.film import FILM_SUFFIXES, write_film
    from kinora.media.output import check_output

    if not arguments.plan:
        check_output(path, suffixes=FILM_SUFFIXES, force=arguments.force)
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(arguments.model)
    if arguments.plan:
        print(pipeline.plan(request))
        return 0
    note_unknown_words(pipeline, request)
    started = time.monotonic()
    clip = pipeline.generate(request, on_progress=ProgressBar())
    write_film(path, clip, recipe=pipeline.recipe(request, kind="film"), force=arguments.force)
    shape = clip.shape
    say(
        f"{clip.seconds:.1f} s of {shape.width} x {shape.height} at {clip.frame_rate:g} frames a second, "
        f"made in {duration(time.monotonic() - started)}, seed {request.seed}"
    )
    print(path)
    return 0
