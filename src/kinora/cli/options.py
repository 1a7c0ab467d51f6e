"""Options that several verbs share, and the request they add up to."""

from __future__ import annotations

import argparse
from typing import Any

from kinora.core.errors import InputError
from kinora.core.request import ASPECTS, QUALITIES, SECONDS_RANGE, Line, Request

__all__ = [
    "SPEECH_FILES",
    "add_making_options",
    "add_model_option",
    "add_output_option",
    "add_plan_option",
    "add_request_options",
    "add_script_option",
    "add_speech_options",
    "request_of",
    "script_of",
]

SPEECH_FILES = """\
speech.json  {"frame_rate": 16, "frames": [[openness, width, rounding, teeth], ...]}, each in [0, 1]
face.json    {"track": [{"seconds": 0, "x": 0.5, "y": 0.3, "radius": 0.1}, ...]}
"""
"""What the files of `add_speech_options` hold, for the help page's end."""
Options = argparse._ActionsContainer


def add_request_options(parser: Options, *, seconds: bool) -> None:
    """Everything that makes up a request without conditions; `seconds` for films only."""
    parser.add_argument("prompt", metavar="PROMPT", help="what to show, in English or Chinese")
    if seconds:
        low, high = SECONDS_RANGE
        parser.add_argument(
            "--seconds",
            type=float,
            default=5.0,
            metavar="S",
            help=f"length, {low:g} to {high:g} (default: %(default)g)",
        )
    nearest = ", or with a picture the nearest to it" if seconds else ""
    parser.add_argument("--aspect", metavar="W:H", help=f"{', '.join(ASPECTS)} (default: {ASPECTS[0]}{nearest})")
    parser.add_argument("--size", metavar="WxH", help="another size, for a model that draws any: 832x480")
    add_making_options(parser)


def add_making_options(parser: Options) -> None:
    """How it is made, whatever it is."""
    parser.add_argument(
        "--quality", default="standard", metavar="Q", help=f"{', '.join(QUALITIES)} (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another take (default: 0)")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what not to show")
    parser.add_argument(
        "--reuse", type=float, default=0.0, metavar="SHARE",
        help="leave out steps that would change less than this share: faster, not the same film (default: 0, none)",
    )  # fmt: skip
    add_model_option(parser)


def add_model_option(parser: Options, *, default: str | None = "tiny") -> None:
    """Which model: the bundled one, one of the store, or a folder."""
    parser.add_argument(
        "--model", default=default, metavar="NAME", help="tiny, a name that `kinora models list` shows, or a folder"
    )


def add_output_option(parser: Options, *, default: str | None, told: str = "%(default)s") -> None:
    """Where the result goes, and whether it may replace what is there."""
    parser.add_argument("-o", "--output", default=default, metavar="FILE", help=f"where to write (default: {told})")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def add_plan_option(parser: Options) -> None:
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it costs, and stop")


def add_script_option(parser: Options, *, counted: str) -> None:
    """Other prompts from some moments on; `counted` says from where."""
    parser.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="T=PROMPT",
        help=f"from T seconds{counted} on, show this instead, for example 5s=...; may be repeated",
    )


def add_speech_options(parser: Options, *, required: bool) -> None:
    """A voice and the face that speaks."""
    parser.add_argument("--speech", required=required, metavar="FILE.json", help="mouth shapes, frame by frame")
    parser.add_argument(
        "--face",
        required=required,
        metavar="X,Y,R|FILE.json",
        help="the face that speaks: its place and radius in shares of the picture, or how it moves",
    )


def script_of(arguments: argparse.Namespace) -> tuple[Line, ...]:
    """The lines that `--then` states."""
    if not arguments.then:
        return ()
    from kinora.core.parsing import parse_line

    return tuple(parse_line(text) for text in arguments.then)


def size_of(text: str) -> tuple[int, int]:
    """Width and height of `832x480`; raises `InputError` for another text."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"A size is written as width x height, such as 832x480, not {text!r}.")
    return int(width), int(height)


def request_of(arguments: argparse.Namespace, **other: Any) -> Request:
    """The request that the options state; `other` are fields of it that no option of the verb states as they are.

    Raises `InputError` for one that cannot be.
    """
    options: dict[str, Any] = vars(arguments)
    told: dict[str, Any] = {
        name: options[name] for name in ("prompt", "seconds", "quality", "seed", "negative", "reuse") if name in options
    }
    if options.get("size"):
        told["size"] = size_of(options["size"])
    return Request(**{**told, "aspect": options.get("aspect") or ASPECTS[0], **other})
