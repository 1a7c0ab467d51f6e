"""`kinora speak`: a face in an existing film speaks."""

from __future__ import annotations

import argparse

from kinora.cli.options import (
    SPEECH_FILES,
    add_making_options,
    add_output_option,
    add_plan_option,
    add_speech_options,
    request_of,
)

__all__ = ["register", "run"]

PROMPT = "a person speaks"


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "speak",
        help="a face in a film speaks",
        description="Let a face in an existing film speak. Only the region of its mouth changes.",
        epilog=SPEECH_FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the film")
    add_speech_options(parser, required=True)
    add_making_options(parser)
    add_output_option(parser, default=None, told="FILE-speaking.mp4")
    add_plan_option(parser)


def run(arguments: argparse.Namespace) -> int:
    from kinora.cli.conditions import manifest_of, nearest_aspect, prompt_in, speech_of
    from kinora.cli.filming import beside, carry_out, check_place
    from kinora.cli.materials import footage_file

    path = beside(arguments, "speaking")
    check_place(arguments, path)
    footage = footage_file(arguments.file, manifest_of(arguments.model).frame_rate)
    request = request_of(
        arguments,
        prompt=prompt_in(arguments.file) or PROMPT,
        seconds=footage.clip.seconds,
        aspect=nearest_aspect(footage.clip.shape.height, footage.clip.shape.width),
        conditions=(speech_of(arguments, seconds=footage.clip.seconds, footage=footage),),
    )
    return carry_out(arguments, request, path)
