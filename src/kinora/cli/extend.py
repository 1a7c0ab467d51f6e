"""`kinora extend`: a film goes on, forward or backward."""

from __future__ import annotations

import argparse

from kinora.cli.options import (
    add_making_options,
    add_output_option,
    add_plan_option,
    add_script_option,
    request_of,
    script_of,
)
from kinora.core.errors import PromptError
from kinora.core.request import SECONDS_RANGE

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "extend",
        help="a film goes on, forward or backward",
        description="Make a film longer. The result is the whole film. Killed and started again, it goes on where it "
        "was.",
    )
    parser.add_argument("file", metavar="FILE", help="the film to go on from, Kinora's or any other")
    parser.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help="what it goes on to show (default: what its recipe says)"
    )
    low, high = SECONDS_RANGE
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S",
        help=f"how much is added, {low:g} to {high:g} (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--before", action="store_true", help="add what happens before it instead")
    add_script_option(parser, counted=" after the old end")
    add_making_options(parser)
    add_output_option(parser, default=None, told="FILE-longer.mp4")
    add_plan_option(parser)


def run(arguments: argparse.Namespace) -> int:
    script = script_of(arguments)
    from kinora.cli.conditions import manifest_of, nearest_aspect, prompt_in
    from kinora.cli.filming import beside, carry_out, check_place
    from kinora.cli.materials import footage_file
    from kinora.core.conditions import Continue

    path = beside(arguments, "longer")
    check_place(arguments, path)
    footage = footage_file(arguments.file, manifest_of(arguments.model).frame_rate)
    told = prompt_in(arguments.file, last=not arguments.before)
    prompt = told if arguments.prompt is None else arguments.prompt
    if prompt is None:
        raise PromptError(
            f"{arguments.file} carries no recipe to take a prompt from; write what the film goes on to show after its "
            "name."
        )
    request = request_of(
        arguments,
        prompt=prompt,
        aspect=nearest_aspect(footage.clip.shape.height, footage.clip.shape.width),
        conditions=(Continue(footage=footage, before=arguments.before, told=told or ""),),
        script=script,
    )
    return carry_out(arguments, request, path)
