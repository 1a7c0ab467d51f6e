"""`kinora train`: the recipes, one step at a time, from rendered clips to a model folder."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from kinora.cli import train_steps

__all__ = ["register", "run"]

SIZES = ("smoke", "small", "gpu")
SHARES = (
    "text", "first", "continuation", "ends", "independent", "before", "anchored", "region", "guide", "references",
)  # fmt: skip
"""What `--share` changes: `kinora.training.tasks.TASKS`, and the share of steps with references."""

OPTIMISER = ("muon_rate", "adam_rate", "cool_down", "average")
"""What `--optimiser` changes: fields of `kinora.training.optimise.OptimiserConfig`."""

SEVERAL = "several: each step shows one, the larger ones more often"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its steps."""
    parser = subparsers.add_parser("train", help="train a model from nothing", description=__doc__)
    parser.set_defaults(run=run)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    generator = (_add_text, _add_transformer, _add_distil, _add_director, _add_painter)
    for add in (_add_probe, _add_library, _add_codec, *generator, _add_reader, _add_bundle, _add_card):
        add(steps)


def run(args: argparse.Namespace) -> int:
    """Carry out one step; 0 when it is finished, 3 when it stopped to be continued."""
    import torch

    from kinora.pipeline.model import checked_device

    checked_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    finished: bool = args.carry_out(args)
    return 0 if finished else 3


Steps = argparse._SubParsersAction


def _step(
    steps: Steps[argparse.ArgumentParser],
    name: str,
    summary: str,
    carry_out: Callable[[argparse.Namespace], bool],
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=summary, description=summary)
    parser.add_argument("--size", choices=SIZES, default="small", help="preset of size (default: small)")
    parser.add_argument("--height", type=int, help="picture height, if not the preset's")
    parser.add_argument("--width", type=int, help="picture width, if not the preset's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")
    parser.set_defaults(run=run, carry_out=carry_out)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, dest="folder", help="folder of the run; again: it resumes")
    parser.add_argument("--out", type=Path, required=True, help="where the trained part goes (.safetensors)")
    parser.add_argument("--minutes", type=float, default=5.0, help="time budget of a new run (default: 5)")
    parser.add_argument("--steps", type=int, help="fix the number of steps of a new run instead")
    parser.add_argument("--finish-in", type=float, metavar="MINUTES", help="let a run end sooner or later than planned")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="checkpoint and leave after so long")


def _add_probe(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(
        steps, "probe", "time renderer, codec and transformer here, and choose what to train", train_steps.probe
    )
    parser.add_argument("--out", type=Path, required=True, help="where figures and choice go (.json)")
    parser.add_argument("--minutes", type=float, default=8.0, help="that the transformer will train (default: 8)")
    parser.add_argument("--render-minutes", type=float, default=4.0, help="that its clips may take (default: 4)")
    parser.add_argument("--processes", type=int, default=1, help="renderers side by side")
    parser.add_argument("--mix", default="wide", help="of the clips that are rendered (default: wide)")
    parser.add_argument("--limit", type=float, default=180.0, metavar="SECONDS", help="no new try after (default: 180)")
    parser.add_argument("--compile", action="store_true", help="compile the blocks, as the run will (GPU)")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--probe", type=Path, metavar="FILE", help="take size and batch from what `train probe` chose")


def _add_library(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "library", "render clips to train on; resumes", train_steps.library)
    parser.add_argument("--out", type=Path, required=True, help="folder of the library")
    parser.add_argument("--clips", type=int, help="how many, if not the preset's")
    parser.add_argument("--for", dest="purpose", choices=("transformer", "codec", "reader"), default="transformer")
    parser.add_argument("--codec", type=Path, help="encode with this codec on the way and keep latents only")
    parser.add_argument(
        "--decode", type=Path, metavar="LIBRARY",
        help="for the reader: the clips of this library, from its latents, as squares of --height pixels",
    )  # fmt: skip
    parser.add_argument("--keep-frames", action="store_true", help="keep the frames beside the latents")
    parser.add_argument(
        "--portraits", action="store_true", help="add portraits of its figures to a library that is there"
    )
    parser.add_argument("--latent-frames", type=int, help="latent frames kept of each clip (21: all of 5 seconds)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--mix", help="training, simple, richest, reader; of world 2.0: wide, wide-reader (default: by what it is for)"
    )
    parser.add_argument("--no-maps", action="store_true", help="keep no truth maps for auxiliary heads")
    parser.add_argument("--processes", type=int, default=1, help="renderers side by side, one thread each")


def _add_codec(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "codec", "fit the codec's encoder; with --minutes, train its decoder too", train_steps.codec)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--channels", type=int, help="numbers kept of each patch, if not the preset's")
    parser.add_argument("--start", type=Path, help="keep the encoder of this codec and train the decoder only")
    parser.add_argument("--linear", action="store_true", help="leave the learned correction out")
    _add_run_options(parser)
    parser.set_defaults(minutes=0.0)


def _add_text(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "text", "train vocabulary and text encoder on captions alone", train_steps.text)
    parser.add_argument("--scenes", type=int, default=3000, help="scenes whose captions are read (8 of each)")
    parser.add_argument("--mix", default="training", help="training, or wide for world 2.0 (default: training)")
    parser.add_argument(
        "--start",
        type=Path,
        help="go on from this trained encoder, with the words of this mix; --minutes 0 stops there",
    )
    _add_run_options(parser)


def _add_transformer(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "transformer", "train the transformer, and the text encoder with it", train_steps.transformer)
    _add_libraries(parser)
    parser.add_argument("--long-library", type=Path, help="clips of every latent frame, for a last stage")
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from this trained transformer, in a new run")
    parser.add_argument(
        "--new-head", action="store_true",
        help="with --start: learn the head anew, on what the best linear guess leaves of the velocity",
    )  # fmt: skip
    parser.add_argument("--image-share", type=float, help="share of the time for a first stage of pictures alone")
    parser.add_argument(
        "--picture-steps", type=float, help="share of the steps that show pictures, if not the preset's"
    )
    parser.add_argument("--maps", type=float, metavar="W", help="weight of the auxiliary heads; 0 leaves them out")
    parser.add_argument("--batch", type=int, help="clips a step, if not the preset's")
    _add_choice(parser)
    parser.add_argument("--patch", type=int, choices=(1, 2), help="latent cells along a token's side")
    parser.add_argument("--layers", type=int, help="blocks of the transformer, if not the preset's")
    parser.add_argument(
        "--share", action="append", type=_share, default=[], metavar="NAME=VALUE",
        help="how often a task is drawn, if not the preset's, and what share of the steps show references; repeatable: "
        f"{', '.join(SHARES)}",
    )  # fmt: skip
    _add_optimiser(parser)
    parser.add_argument("--compile", action="store_true", help="compile the blocks (GPU)")
    _add_run_options(parser)


def _add_optimiser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--optimiser", action="append", type=_optimiser, default=[], metavar="NAME=VALUE",
        help="of the optimiser, if not the preset's; repeatable: "
        "muon_rate, adam_rate (learning rates), cool_down (share of the steps over which they fall), average (decay)",
    )  # fmt: skip


def _add_libraries(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", type=Path, nargs="+", required=True, help=f"clips; {SEVERAL}")
    parser.add_argument(
        "--image-library", type=Path, nargs="+", default=[], help="single pictures, mixed into the steps"
    )


def _add_distil(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "distil", "teach a student one call a step (guidance), or few steps", train_steps.distil)
    parser.add_argument("--teacher", type=Path, required=True, help="the trained transformer, or a student of guidance")
    parser.add_argument("--text", type=Path, required=True, help="the text encoder trained with it; stays as it is")
    parser.add_argument("--codec", type=Path, required=True)
    _add_libraries(parser)
    parser.add_argument("--stage", choices=("guidance", "steps"), required=True, help="what to teach")
    parser.add_argument("--few-steps", type=int, default=6, metavar="N", help="steps to teach (default: 6)")
    parser.add_argument(
        "--small-steps", type=int, default=4, metavar="K", help="the teacher's steps in each of them (default: 4)"
    )
    parser.add_argument("--batch", type=int, help="clips a step, if not the preset's")
    _add_choice(parser)
    parser.add_argument("--compile", action="store_true", help="compile the blocks (GPU)")
    _add_run_options(parser)


def _add_director(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(
        steps, "director", "train what decides where things stand before they are drawn", train_steps.director
    )
    parser.add_argument("--text", type=Path, required=True, help="the text encoder trained with the transformer")
    parser.add_argument("--mix", nargs="+", default=["wide"], help="scenes to learn from (default: wide)")
    parser.add_argument("--scenes", type=int, default=12_288, help="of each mix (default: 12288)")
    parser.add_argument("--scripts", type=Path, metavar="FOLDER", help="keep the scenes here, for other runs")
    parser.add_argument("--start", type=Path, help="go on from this trained director, perhaps under other text")
    parser.add_argument("--processes", type=int, default=1, help="samplers of scenes side by side, one thread each")
    _add_optimiser(parser)
    _add_run_options(parser)


def _add_painter(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "painter", "train what draws the things that stand somewhere", train_steps.painter)
    parser.add_argument("--library", type=Path, nargs="+", required=True, help="clips or pictures, as many a step")
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from this trained painter")
    _add_optimiser(parser)
    _add_run_options(parser)


def _add_reader(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "reader", "train the scene reader", train_steps.reader)
    parser.add_argument("--library", type=Path, nargs="+", required=True, help=f"clips with their frames; {SEVERAL}")
    parser.add_argument(
        "--stills", type=Path, nargs="+", default=[], help="libraries of single pictures, for lessons without motion"
    )
    parser.add_argument("--start", type=Path, help="go on from this trained reader, perhaps one that was asked less")
    _add_optimiser(parser)
    _add_run_options(parser)


def _add_bundle(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "bundle", "join trained parts into a model folder", train_steps.bundle)
    for name in ("codec", "text", "transformer"):
        told = f"a trained {name}, or the folder of a model to take it from"
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PART", help=told)
    parser.add_argument("--director", type=Path, metavar="PART")
    parser.add_argument("--painter", type=Path, metavar="PART")
    parser.add_argument("--reader", type=Path, metavar="PART")
    parser.add_argument("--name", default="tiny")
    parser.add_argument("--out", type=Path, required=True, help="model folder, for example src/kinora/presets/tiny")
    parser.add_argument("--probe", type=Path, metavar="FILE", help="what `train probe` wrote, for the model card")
    parser.add_argument(
        "--storage", choices=("float32", "bfloat16", "int8"), help="how the transformer is kept, if not as bfloat16"
    )
    parser.add_argument(
        "--few-steps", type=int, metavar="N", help="steps of draft and standard, if the transformer was not taught any"
    )
    parser.add_argument(
        "--sketch", type=int, default=0, metavar="N", help="moments imagined before all of a film's first window"
    )


def _add_card(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "card", "write the model card, from a model's own records", train_steps.card)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument(
        "--measures", type=Path, nargs="*", default=[], metavar="DIR", help="folders of `kinora measure`, oldest first"
    )
    parser.add_argument("--out", type=Path, required=True, help="the card, for example docs/model-card.md")


def _share(text: str) -> tuple[str, float]:
    """`guide=0.2` as a name and a number."""
    return _setting(text, SHARES, "share", float("inf"))


def _optimiser(text: str) -> tuple[str, float]:
    """`muon_rate=0.015` as a name and a number."""
    return _setting(text, OPTIMISER, "setting of the optimiser", 1.0)


def _setting(text: str, names: tuple[str, ...], kind: str, below: float) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if name not in names or not 0.0 <= number < below:
        most = "" if math.isinf(below) else f" and less than {below:g}"
        raise argparse.ArgumentTypeError(
            f"{text!r} is no {kind}; write NAME=VALUE, value zero or more{most}, name of {', '.join(names)}"
        )
    return name, number
