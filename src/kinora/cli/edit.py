"""`kinora edit`: a part of an existing film made anew."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kinora.cli.options import add_making_options, add_output_option, add_plan_option, request_of
from kinora.core.errors import ShapeError
from kinora.core.request import ASPECTS

if TYPE_CHECKING:
    from kinora.core.materials import Footage, Mask
    from kinora.weights.manifest import Manifest

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "edit",
        help="make a part of a film anew",
        description="Replace, remove or add something inside a region of a film, or continue it beyond its edges. "
        "Outside the region every pixel stays.",
    )
    parser.add_argument("file", metavar="FILE", help="the film")
    parser.add_argument("prompt", metavar="PROMPT", help="what the film shows afterwards")
    where = parser.add_argument_group("where (one of them)").add_mutually_exclusive_group(required=True)
    where.add_argument("--mask", metavar="FILE", help="a picture of the film's size, white where it is made anew")
    where.add_argument("--box", metavar="X0,Y0,X1,Y1", help="a box, in shares of width and height from the top left")
    where.add_argument("--outpaint", metavar="W:H", help=f"all around: the whole film laid into {', '.join(ASPECTS)}")
    add_making_options(parser)
    add_output_option(parser, default=None, told="FILE-edited.mp4")
    add_plan_option(parser)


def run(arguments: argparse.Namespace) -> int:
    from kinora.cli.conditions import manifest_of
    from kinora.cli.filming import beside, carry_out, check_place
    from kinora.cli.materials import footage_file
    from kinora.core.conditions import Region

    path = beside(arguments, "edited")
    check_place(arguments, path)
    manifest = manifest_of(arguments.model)
    footage = footage_file(arguments.file, manifest.frame_rate)
    mask, aspect = region_of(arguments, footage, manifest)
    request = request_of(
        arguments,
        seconds=footage.clip.seconds,
        aspect=aspect,
        conditions=(Region(footage=footage, mask=mask),),
    )
    return carry_out(arguments, request, path)


def region_of(arguments: argparse.Namespace, footage: Footage, manifest: Manifest) -> tuple[Mask, str]:
    """What is made anew, and the aspect of the film it is in."""
    from kinora.cli.conditions import nearest_aspect
    from kinora.cli.materials import drawn_mask, mask_file, outside_mask
    from kinora.core.parsing import parse_box

    size_HW = footage.clip.shape.height, footage.clip.shape.width
    if arguments.outpaint is not None:
        if arguments.outpaint not in manifest.sizes:
            raise ShapeError(
                f"{manifest.name} makes no {arguments.outpaint} films; choose one of {', '.join(manifest.sizes)}."
            )
        return outside_mask(size_HW, manifest.sizes[arguments.outpaint]), arguments.outpaint
    if arguments.box is not None:
        return drawn_mask(parse_box(arguments.box), size_HW), nearest_aspect(*size_HW)
    return mask_file(arguments.mask, size_HW), nearest_aspect(*size_HW)
