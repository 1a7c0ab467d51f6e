"""`kinora generate`: a film from a sentence, and whatever else steers it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.cli.options import (
    SPEECH_FILES,
    add_output_option,
    add_plan_option,
    add_request_options,
    add_script_option,
    add_speech_options,
    request_of,
    script_of,
)
from kinora.core.request import Request

if TYPE_CHECKING:
    from kinora.core.conditions import Condition

__all__ = ["register", "run"]

FILES = """\
brush.json   {"units": "pixels", "origin": "top-left", "static": MASK,
              "strokes": [{"mask": MASK, "points": [[x, y], ...]}, ...]}
             MASK is a picture beside the file, white inside, or {"polygon": [[x, y], ...]};
             units "normalised" (shares of the picture, the default) or "pixels"
path.json    {"keys": [{"seconds": 0}, {"seconds": 2, "x": 0.2, "pan": 10}, ...]}; x, y, z, pan,
             tilt, roll, orbit (degrees), zoom
"""
STEERING = (
    "image",
    "end_image",
    "keyframe",
    "camera",
    "camera_path",
    "brush",
    "reference",
    "speech",
    "face",
    "consent",
)


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "generate",
        help="a film from a sentence",
        description="Make a film from a sentence, and from pictures, camera moves, painted motion and speech.",
        epilog=FILES + SPEECH_FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_request_options(parser, seconds=True)
    add_output_option(parser, default="film.mp4")
    add_plan_option(parser)
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--image", metavar="FILE", help="the film begins with this picture")
    pictures.add_argument("--end-image", metavar="FILE", help="it ends with this one")
    pictures.add_argument(
        "--keyframe", action="append", default=[], metavar="T=FILE", help="at T seconds it shows this one; up to 10"
    )
    pictures.add_argument(
        "--fit", choices=("crop", "pad"), default="crop", help="pictures of another shape (default: %(default)s)"
    )
    pictures.add_argument(
        "--reference", action="append", default=[], metavar="FILE[@NAME]",
        help="who or what is to appear, @NAME in the prompt; up to 7",
    )  # fmt: skip
    pictures.add_argument(
        "--consent", action="store_true", help="whoever a reference shows has agreed; needed unless Kinora made it"
    )
    motion = parser.add_argument_group("motion")
    motion.add_argument(
        "--camera", metavar="MOVE",
        help="pan=5,zoom=-2: horizontal, vertical, pan, tilt, roll, zoom, orbit, forward from -10 to 10; or down_back, "
        "forward_up, right_turn_forward, left_turn_forward, still",
    )  # fmt: skip
    motion.add_argument("--camera-path", metavar="FILE.json", help="a free path instead")
    motion.add_argument("--brush", metavar="FILE.json", help="motion painted on --image")
    story = parser.add_argument_group("story and speech")
    add_script_option(story, counted="")
    add_speech_options(story, required=False)


def run(arguments: argparse.Namespace) -> int:
    request = asked(arguments)
    from kinora.cli.filming import carry_out

    return carry_out(arguments, request, Path(arguments.output))


def asked(arguments: argparse.Namespace) -> Request:
    """The request; a mistake in a plain one is told before numpy is imported."""
    script = script_of(arguments)
    if not any(getattr(arguments, name) not in (None, [], False) for name in STEERING):
        return request_of(arguments, script=script)
    from kinora.cli.conditions import conditions_of, said_aspect

    conditions: tuple[Condition, ...] = conditions_of(arguments)
    aspect = arguments.aspect or said_aspect(conditions)
    return request_of(arguments, conditions=conditions, script=script, **({"aspect": aspect} if aspect else {}))
