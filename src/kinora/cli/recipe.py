"""`kinora recipe`: how a file was made, and the same again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.cli.main import say
from kinora.cli.options import add_model_option
from kinora.cli.progress import ProgressBar
from kinora.core.errors import InputError, MediaError

if TYPE_CHECKING:
    from kinora.media.recipe import Recipe

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "recipe",
        help="how a film or picture was made; make it again",
        description="Print the recipe stored inside a film or picture, or follow it again.",
    )
    parser.add_argument("file", metavar="FILE", help="an .mp4 or .png that Kinora made")
    parser.add_argument(
        "--replay", action="store_true",
        help="make it again, into the file that -o names; pictures and films it was made of are looked for in this "
        "folder and in FILE's",
    )  # fmt: skip
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="where to write the replay")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    add_model_option(parser, default=None)


def run(arguments: argparse.Namespace) -> int:
    source = Path(arguments.file)
    recipe = read_recipe(source)
    if not arguments.replay:
        print(json.dumps(json.loads(recipe.to_json()), indent=2, ensure_ascii=False))
        return 0
    if arguments.output is None:
        raise InputError("A replay needs a place to go; name it with -o FILE.")
    path, model = Path(arguments.output), arguments.model or recipe.model
    check_output_of(recipe, path, force=arguments.force)
    if recipe.needs:
        recipe = with_files(recipe, source, model)
    replay(recipe, path, model=model, force=arguments.force)
    print(arguments.output)
    return 0


def read_recipe(path: Path) -> Recipe:
    """The recipe of a film or picture, told apart by the file's ending."""
    from kinora.media.film import FILM_SUFFIXES, read_film_recipe
    from kinora.media.picture import PICTURE_SUFFIXES, read_picture_recipe

    if not path.is_file():
        raise MediaError(f"There is no file {path}.")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return read_picture_recipe(path)
    if path.suffix.lower() in FILM_SUFFIXES:
        return read_film_recipe(path)
    raise MediaError(f"{path} is neither .mp4 nor .png; only those carry recipes.")


def check_output_of(recipe: Recipe, path: Path, *, force: bool) -> None:
    """Raise `OutputError` if what the recipe makes could not be written to `path`."""
    from kinora.media.film import FILM_SUFFIXES
    from kinora.media.output import check_output
    from kinora.media.picture import PICTURE_SUFFIXES

    check_output(path, suffixes=FILM_SUFFIXES if recipe.kind == "film" else PICTURE_SUFFIXES, force=force)


def with_files(recipe: Recipe, source: Path, model: str) -> Recipe:
    """The recipe with the files it was made of, from the working directory or from beside `source`."""
    from kinora.cli.conditions import manifest_of
    from kinora.cli.materials import Finder

    return recipe.brought(Finder(folders=(Path(), source.parent), frame_rate=manifest_of(model).frame_rate))


def replay(recipe: Recipe, path: Path, *, model: str, force: bool) -> None:
    """Follow `recipe` into `path`."""
    from kinora.cli.filming import make_film
    from kinora.media.picture import write_picture
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(model)
    again = pipeline.recipe(recipe.request, kind=recipe.kind)
    if again.weights != recipe.weights:
        say(
            f"note: made with weights {recipe.weights[:12]}, followed with {again.weights[:12]}: it will look different"
        )
    if recipe.kind == "film":
        make_film(pipeline, recipe.request, path, force=force)
    else:
        (rgb_HW3,) = pipeline.image(recipe.request, n=1, on_progress=ProgressBar())
        write_picture(path, rgb_HW3, recipe=again, force=force)
