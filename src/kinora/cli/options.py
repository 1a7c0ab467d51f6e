"""Options that several verbs share, and the request they add up to."""

from __future__ import annotations

import argparse

from kinora.core.request import ASPECTS, QUALITIES, SECONDS_RANGE, Request

__all__ = ["add_output_option", "add_request_options", "request_of"]


def add_request_options(parser: argparse.ArgumentParser, *, seconds: bool) -> None:
    """Everything that makes up a request; `seconds` for films only."""
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
    parser.add_argument("--aspect", default="1:1", metavar="W:H", help=f"{', '.join(ASPECTS)} (default: %(default)s)")
    parser.add_argument(
        "--quality", default="standard", metavar="Q", help=f"{', '.join(QUALITIES)} (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another take (default: 0)")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what not to show")
    add_model_option(parser)


def add_model_option(parser: argparse.ArgumentParser, *, default: str | None = "tiny") -> None:
    """Which model: the bundled one, a name in `$KINORA_MODELS`, or a folder."""
    parser.add_argument(
        "--model", default=default, metavar="NAME", help="tiny, a name in $KINORA_MODELS, or a model's folder"
    )


def add_output_option(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Where the result goes, and whether it may replace what is there."""
    parser.add_argument("-o", "--output", default=default, metavar="FILE", help="where to write (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def request_of(arguments: argparse.Namespace) -> Request:
    """The request that the options state; raises `InputError` for one that cannot be."""
    return Request(
        prompt=arguments.prompt,
        seconds=getattr(arguments, "seconds", 5.0),
        aspect=arguments.aspect,
        quality=arguments.quality,
        seed=arguments.seed,
        negative=arguments.negative,
    )
