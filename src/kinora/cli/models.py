"""`kinora models`: what models there are, and putting open weights into the store and out of it.

The steps themselves are in `kinora.cli.model_steps`, which is imported when one is taken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "models",
        help="fetch, add, check and remove open weights",
        description="The store of models: Wan 2.1 and 2.2 are fetched, or used where they lie. See "
        "docs/howto/open-weights.md.",
    )
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    steps.add_parser("list", help="what there is, and what can be fetched")
    _add_pull(steps)
    _add_add(steps)
    step = steps.add_parser("convert", help="make a safetensors file of a .pth, in a confined process")
    step.add_argument("file", type=Path, metavar="FILE.pth")
    step.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to write (default: beside, .safetensors)"
    )
    step = steps.add_parser("verify", help="compare every file with its hash")
    step.add_argument("name", nargs="?", metavar="NAME", help="a model (default: all of the store)")
    step = steps.add_parser("remove", help="take a model out of the store; files that were not fetched stay")
    step.add_argument("name", metavar="NAME")
    _add_yes(step)


def _add_pull(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    step = steps.add_parser("pull", help="fetch a published model; again: it goes on")
    step.add_argument("name", metavar="NAME", help="such as wan2.1-t2v-1.3b; kinora models list shows all")
    step.add_argument(
        "--layout",
        choices=("diffusers", "wan"),
        default="diffusers",
        help="diffusers: all safetensors; wan: as its makers published it, with parts to convert (default: diffusers)",
    )
    step.add_argument("--revision", default="main", metavar="REV", help="branch, tag or commit (default: main)")
    step.add_argument("--convert", action="store_true", help="convert what comes as a pickle, and delete the pickle")
    _add_yes(step)


def _add_add(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    step = steps.add_parser("add", help="use weights where they lie: a download, a ComfyUI folder, a file, a LoRA")
    step.add_argument("path", type=Path, metavar="PATH")
    step.add_argument("--name", metavar="NAME", help="what to call it (default: the published name)")
    step.add_argument("--as", dest="called", default="", metavar="MODEL", help="which published model it is")
    step.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="PART=PATH",
        help="where a part lies, if not there: transformer, transformer_low, codec, text, tokenizer or image",
    )
    lora = step.add_argument_group("for a LoRA")
    lora.add_argument("--base", metavar="NAME", help="the model it is for, in the store")
    lora.add_argument("--low", type=Path, metavar="FILE", help="the LoRA of the second expert, if it has its own")
    lora.add_argument("--steps", type=int, metavar="N", help="steps of a distilled model")
    lora.add_argument("--guidance", type=float, default=1.0, metavar="G", help="with --steps (default: 1)")
    lora.add_argument("--shift", type=float, metavar="S", help="with --steps (default: the model's own)")


def _add_yes(step: argparse.ArgumentParser) -> None:
    step.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    from kinora.cli.model_steps import STEPS

    return STEPS[arguments.step](arguments)
