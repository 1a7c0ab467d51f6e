"""`kinora train`: the recipes, one step at a time, from rendered clips to a model folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinora.recipes.sizes import Size
    from kinora.training.objective import ObjectiveConfig
    from kinora.training.run import RunConfig

__all__ = ["register", "run"]

SIZES = ("smoke", "small", "gpu")
SHARES = (
    "text", "first", "continuation", "ends", "independent", "before", "anchored", "region", "guide", "references",
)  # fmt: skip
"""What `--share` changes: `kinora.training.tasks.TASKS`, and the share of steps with references."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its steps."""
    parser = subparsers.add_parser("train", help="train a model from nothing", description=__doc__)
    parser.set_defaults(run=run)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    generator = (_add_text, _add_transformer, _add_distil)
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="checkpoint and leave after so long")


def _add_probe(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "probe", "time renderer, codec and transformer here, and choose what to train", _probe)
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
    parser = _step(steps, "library", "render clips to train on; resumes", _library)
    parser.add_argument("--out", type=Path, required=True, help="folder of the library")
    parser.add_argument("--clips", type=int, help="how many, if not the preset's")
    parser.add_argument("--for", dest="purpose", choices=("transformer", "codec", "reader"), default="transformer")
    parser.add_argument("--codec", type=Path, help="encode with this codec on the way and keep latents only")
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
    parser = _step(steps, "codec", "fit the codec's encoder; with --minutes, train its decoder too", _codec)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--channels", type=int, help="numbers kept of each patch, if not the preset's")
    parser.add_argument("--start", type=Path, help="keep the encoder of this codec and train the decoder only")
    parser.add_argument("--linear", action="store_true", help="leave the learned correction out")
    _add_run_options(parser)
    parser.set_defaults(minutes=0.0)


def _add_text(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "text", "train vocabulary and text encoder on captions alone", _text)
    parser.add_argument("--scenes", type=int, default=3000, help="scenes whose captions are read (8 of each)")
    parser.add_argument("--mix", default="training", help="training, or wide for world 2.0 (default: training)")
    _add_run_options(parser)


def _add_transformer(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "transformer", "train the transformer, and the text encoder with it", _transformer)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--image-library", type=Path, help="single pictures, mixed into the steps")
    parser.add_argument("--long-library", type=Path, help="clips of every latent frame, for a last stage")
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="go on from this trained transformer, in a new run")
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
    parser.add_argument("--compile", action="store_true", help="compile the blocks (GPU)")
    parser.add_argument("--finish-in", type=float, metavar="MINUTES", help="let a run end sooner or later than planned")
    _add_run_options(parser)


def _add_distil(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "distil", "teach a student one call a step (guidance), or few steps", _distil)
    parser.add_argument("--teacher", type=Path, required=True, help="the trained transformer, or a student of guidance")
    parser.add_argument("--text", type=Path, required=True, help="the text encoder trained with it; stays as it is")
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--image-library", type=Path, help="single pictures, mixed into the steps")
    parser.add_argument("--stage", choices=("guidance", "steps"), required=True, help="what to teach")
    parser.add_argument("--few-steps", type=int, default=6, metavar="N", help="steps to teach (default: 6)")
    parser.add_argument(
        "--small-steps", type=int, default=4, metavar="K", help="the teacher's steps in each of them (default: 4)"
    )
    parser.add_argument("--batch", type=int, help="clips a step, if not the preset's")
    _add_choice(parser)
    parser.add_argument("--compile", action="store_true", help="compile the blocks (GPU)")
    _add_run_options(parser)


def _add_reader(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "reader", "train the scene reader", _reader)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--stills", type=Path, help="a library of single pictures, for lessons without motion")
    _add_run_options(parser)


def _add_bundle(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "bundle", "join trained parts into a model folder", _bundle)
    for name in ("codec", "text", "transformer"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--reader", type=Path)
    parser.add_argument("--name", default="tiny")
    parser.add_argument("--out", type=Path, required=True, help="model folder, for example src/kinora/presets/tiny")
    parser.add_argument("--probe", type=Path, metavar="FILE", help="what `train probe` wrote, for the model card")
    parser.add_argument(
        "--storage", choices=("float32", "bfloat16", "int8"), help="how the transformer is kept, if not as bfloat16"
    )
    parser.add_argument(
        "--few-steps", type=int, metavar="N", help="steps of draft and standard, if the transformer was not taught any"
    )


def _add_card(steps: Steps[argparse.ArgumentParser]) -> None:
    parser = _step(steps, "card", "write the model card, from a model's own records", _card)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument(
        "--measures", type=Path, nargs="*", default=[], metavar="DIR", help="folders of `kinora measure`, oldest first"
    )
    parser.add_argument("--out", type=Path, required=True, help="the card, for example docs/model-card.md")


def _share(text: str) -> tuple[str, float]:
    """`guide=0.2` as a name and a number."""
    name, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if name not in SHARES or not 0.0 <= share < float("inf"):
        known = ", ".join(SHARES)
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write NAME=VALUE, value zero or more, name of {known}")
    return name, share


def _objective(args: argparse.Namespace, objective: ObjectiveConfig) -> ObjectiveConfig:
    """The objective with the shares that the command line changes."""
    import dataclasses

    shares: dict[str, float] = dict(getattr(args, "share", ()))
    references = shares.pop("references", objective.references)
    mix = dataclasses.replace(objective.mix, **shares)
    maps = objective.maps if getattr(args, "maps", None) is None else args.maps
    return dataclasses.replace(objective, mix=mix, references=references, maps=maps)


def _size(args: argparse.Namespace) -> Size:
    """The preset, with whatever the command line changes in it."""
    import dataclasses

    from kinora.recipes.sizes import size_named

    size = size_named(args.size)
    if getattr(args, "probe", None):
        from kinora.recipes.probe import chosen_size

        size = chosen_size(args.probe, size)
    changes: dict[str, Any] = {
        name: value
        for name in ("height", "width", "image_share", "picture_steps")
        if (value := getattr(args, name, None)) is not None
    }
    for option, name in (("patch", "patch"), ("layers", "transformer_layers")):
        if getattr(args, option, None):
            changes[name] = getattr(args, option)
    if getattr(args, "batch", None):
        changes["image_batch"] = size.image_batch * args.batch // size.video_batch
        changes["video_batch"] = args.batch
    size = dataclasses.replace(size, **changes)
    codec = size.codec
    if getattr(args, "channels", None):
        codec = dataclasses.replace(codec, channels=args.channels)
    if getattr(args, "linear", False):
        codec = dataclasses.replace(codec, trunk_blocks=0, picture_blocks=0)
    return dataclasses.replace(size, codec=codec, objective=_objective(args, size.objective))


def _run_config(args: argparse.Namespace) -> RunConfig:
    from kinora.training.run import RunConfig

    return RunConfig(
        seconds=60.0 * args.minutes, steps=args.steps, seed=args.seed, device=args.device, stop_after=args.stop_after,
        optimiser=_size(args).optimiser,
    )  # fmt: skip


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _progress(done: int, total: int) -> None:
    _say(f"library: {done} of {total} clips")


def _probe(args: argparse.Namespace) -> bool:
    from kinora.recipes.probe import Question, probe_recipe

    question = Question(
        size=_size(args), minutes=args.minutes, render_minutes=args.render_minutes, device=args.device,
        processes=args.processes, mix=args.mix, compile_blocks=args.compile, limit=args.limit,
    )  # fmt: skip
    probe_recipe(args.out, question, say=_say)
    return True


def _library(args: argparse.Namespace) -> bool:
    from kinora.recipes.library import READER_SEED, codec_library, transformer_library

    if args.portraits:
        from kinora.training.portrait_library import render_portraits

        render_portraits(
            args.out, device=args.device, processes=args.processes, codec=args.codec,
            keep_frames=args.keep_frames or args.codec is None, on_progress=_progress,
        )  # fmt: skip
    elif args.purpose == "codec":
        codec_library(
            args.out, _size(args), clips=args.clips or 512, mix=args.mix or "training", device=args.device,
            processes=args.processes, on_progress=_progress,
        )  # fmt: skip
    else:
        reads = args.purpose == "reader"
        transformer_library(
            args.out, _size(args), clips=args.clips, latent_frames=args.latent_frames,
            first_seed=args.first_seed + (READER_SEED if reads else 0),
            mix=args.mix or ("reader" if reads else "training"), codec=args.codec,
            keep_frames=args.keep_frames or reads, maps=not (reads or args.no_maps), device=args.device,
            processes=args.processes, on_progress=_progress,
        )  # fmt: skip
    return True


def _codec(args: argparse.Namespace) -> bool:
    from kinora.recipes.codec import codec_recipe
    from kinora.training.library import Library

    config = _run_config(args) if args.minutes > 0 or args.steps else None
    return codec_recipe(
        args.out, args.folder, Library(args.library), _size(args).codec, config, start=args.start, device=args.device,
        say=_say,
    )  # fmt: skip


def _text(args: argparse.Namespace) -> bool:
    from kinora.recipes.text import text_recipe

    return text_recipe(
        args.out, args.folder, _size(args), _run_config(args), scenes=args.scenes, mix=args.mix, say=_say
    )


def _transformer(args: argparse.Namespace) -> bool:
    from kinora.recipes.transformer import transformer_recipe

    return transformer_recipe(
        args.out, args.folder, _size(args), _run_config(args), library_folder=args.library, codec_path=args.codec,
        text_path=args.text, image_library_folder=args.image_library, long_library_folder=args.long_library,
        start=args.start, compile_blocks=args.compile,
        finish_in=None if args.finish_in is None else 60.0 * args.finish_in, say=_say,
    )  # fmt: skip


def _distil(args: argparse.Namespace) -> bool:
    import dataclasses

    from kinora.recipes.distil import OPTIMISERS, Course, distil_recipe

    return distil_recipe(
        args.out, args.folder, _size(args), dataclasses.replace(_run_config(args), optimiser=OPTIMISERS[args.stage]),
        Course(stage=args.stage, few_steps=args.few_steps, small_steps=args.small_steps), teacher_path=args.teacher,
        text_path=args.text, codec_path=args.codec, library_folder=args.library,
        image_library_folder=args.image_library, compile_blocks=args.compile, say=_say,
    )  # fmt: skip


def _reader(args: argparse.Namespace) -> bool:
    from kinora.recipes.reader import reader_recipe
    from kinora.training.library import Library

    stills = None if args.stills is None else Library(args.stills)
    return reader_recipe(
        args.out, args.folder, _run_config(args), library=Library(args.library), stills=stills, say=_say
    )


def _bundle(args: argparse.Namespace) -> bool:
    from kinora.recipes.bundle import STORAGE, bundle_recipe

    bundle_recipe(
        args.out, name=args.name, codec=args.codec, text=args.text, transformer=args.transformer, reader=args.reader,
        few_steps=args.few_steps, probe=args.probe,
        storage=None if args.storage is None else {**STORAGE, "transformer": args.storage},
    )  # fmt: skip
    return True


def _card(args: argparse.Namespace) -> bool:
    from kinora.recipes.card import card_recipe

    card_recipe(args.out, args.model, args.measures)
    return True
