"""What each step of `kinora train` does with its options; true when it is finished, false when it is to be continued.

The recipes are imported when they are called: the command line starts without torch.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinora.recipes.sizes import Size
    from kinora.training.objective import ObjectiveConfig
    from kinora.training.run import RunConfig

__all__ = [
    "bundle", "card", "codec", "director", "distil", "library", "painter", "probe", "reader", "text", "transformer",
]  # fmt: skip


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
    return dataclasses.replace(
        size, codec=codec, objective=_objective(args, size.objective),
        optimiser=dataclasses.replace(size.optimiser, **dict(getattr(args, "optimiser", ()))),
    )  # fmt: skip


def _run_config(args: argparse.Namespace) -> RunConfig:
    from kinora.training.run import RunConfig

    return RunConfig(
        seconds=60.0 * args.minutes, steps=args.steps, seed=args.seed, device=args.device, stop_after=args.stop_after,
        finish_in=None if args.finish_in is None else 60.0 * args.finish_in, optimiser=_size(args).optimiser,
    )  # fmt: skip


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _progress(done: int, total: int) -> None:
    _say(f"library: {done} of {total} clips")


def probe(args: argparse.Namespace) -> bool:
    from kinora.recipes.probe import Question, probe_recipe

    question = Question(
        size=_size(args), minutes=args.minutes, render_minutes=args.render_minutes, device=args.device,
        processes=args.processes, mix=args.mix, compile_blocks=args.compile, limit=args.limit,
    )  # fmt: skip
    probe_recipe(args.out, question, say=_say)
    return True


def library(args: argparse.Namespace) -> bool:
    from kinora.recipes.library import READER_SEED, codec_library, transformer_library

    if args.decode is not None:
        _decode(args)
    elif args.portraits:
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
            keep_frames=args.keep_frames or reads, map_cell=_map_cell(args), device=args.device,
            processes=args.processes, on_progress=_progress,
        )  # fmt: skip
    return True


def _map_cell(args: argparse.Namespace) -> int | None:
    """Pixels along a cell of truth maps: as many as make the reader's grid, for a library of the reader's."""
    from kinora.understanding.config import ReaderConfig

    if args.no_maps:
        return 0
    if args.purpose != "reader":
        return None
    size, grid = _size(args), ReaderConfig().fine_grid
    return size.height // grid if size.height == size.width and size.height % grid == 0 else 0


def _decode(args: argparse.Namespace) -> None:
    """Frames for a library that kept latents only."""
    from kinora.core.errors import InputError
    from kinora.training.decoding import decode_library
    from kinora.training.library import Library
    from kinora.training.parts import load_codec
    from kinora.understanding.config import ReaderConfig

    if args.codec is None:
        raise InputError("--decode needs --codec: the codec that made the latents of that library.")
    side = args.height or ReaderConfig().size
    decode_library(args.out, Library(args.decode), load_codec(args.codec), side=side, on_progress=_progress)


def codec(args: argparse.Namespace) -> bool:
    from kinora.recipes.codec import codec_recipe
    from kinora.training.library import Library

    config = _run_config(args) if args.minutes > 0 or args.steps else None
    return codec_recipe(
        args.out, args.folder, Library(args.library), _size(args).codec, config, start=args.start, device=args.device,
        say=_say,
    )  # fmt: skip


def text(args: argparse.Namespace) -> bool:
    from kinora.recipes.text import text_recipe

    config = _run_config(args) if args.minutes > 0 or args.steps else None
    return text_recipe(
        args.out, args.folder, _size(args), config, scenes=args.scenes, mix=args.mix, start=args.start, say=_say
    )


def transformer(args: argparse.Namespace) -> bool:
    from kinora.recipes.transformer import transformer_recipe

    return transformer_recipe(
        args.out, args.folder, _size(args), _run_config(args), library_folders=args.library, codec_path=args.codec,
        text_path=args.text, image_library_folders=args.image_library, long_library_folder=args.long_library,
        start=args.start, new_head=args.new_head, compile_blocks=args.compile, say=_say,
    )  # fmt: skip


def distil(args: argparse.Namespace) -> bool:
    import dataclasses

    from kinora.recipes.distil import OPTIMISERS, Course, distil_recipe

    return distil_recipe(
        args.out, args.folder, _size(args), dataclasses.replace(_run_config(args), optimiser=OPTIMISERS[args.stage]),
        Course(stage=args.stage, few_steps=args.few_steps, small_steps=args.small_steps), teacher_path=args.teacher,
        text_path=args.text, codec_path=args.codec, library_folders=args.library,
        image_library_folders=args.image_library, compile_blocks=args.compile, say=_say,
    )  # fmt: skip


def director(args: argparse.Namespace) -> bool:
    from kinora.recipes.director import director_recipe

    return director_recipe(
        args.out, args.folder, _run_config(args), text_path=args.text, mixes=args.mix, scenes=args.scenes,
        scripts=args.scripts, start=args.start, processes=args.processes, say=_say,
    )  # fmt: skip


def painter(args: argparse.Namespace) -> bool:
    from kinora.recipes.painter import painter_recipe
    from kinora.training.library import Library

    return painter_recipe(
        args.out, args.folder, _run_config(args), libraries=[Library(folder) for folder in args.library],
        codec_path=args.codec, start=args.start, say=_say,
    )  # fmt: skip


def reader(args: argparse.Namespace) -> bool:
    from kinora.recipes.reader import reader_recipe
    from kinora.training.library import Library

    return reader_recipe(
        args.out, args.folder, _run_config(args), libraries=[Library(folder) for folder in args.library],
        stills=[Library(folder) for folder in args.stills], start=args.start, say=_say,
    )  # fmt: skip


def bundle(args: argparse.Namespace) -> bool:
    from kinora.recipes.bundle import STORAGE, bundle_recipe

    bundle_recipe(
        args.out, name=args.name, codec=args.codec, text=args.text, transformer=args.transformer, reader=args.reader,
        director=args.director, painter=args.painter, few_steps=args.few_steps, sketch=args.sketch, probe=args.probe,
        storage=None if args.storage is None else {**STORAGE, "transformer": args.storage},
    )  # fmt: skip
    return True


def card(args: argparse.Namespace) -> bool:
    from kinora.recipes.card import card_recipe

    card_recipe(args.out, args.model, args.measures)
    return True
