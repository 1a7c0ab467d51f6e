"""`kinora scene`: a scene of the theatre itself, rendered, with its truth: material to practise on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.cli.main import say
from kinora.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from kinora.world.scene import Scene

__all__ = ["register", "run"]

SIDES = (64, 1024)


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "scene",
        help="a rendered scene of the theatre, to practise on",
        description="Render one of the scenes that teach the bundled model: a film (.mp4) or its first picture (.png), "
        "and the masks of what stands in it. No model is used; the same seed gives the same scene.",
    )
    parser.add_argument("seed", type=int, metavar="SEED", help="which scene")
    parser.add_argument("-o", "--output", default="scene.mp4", metavar="FILE", help=".mp4 or .png (default: scene.mp4)")
    parser.add_argument("--side", type=int, default=256, metavar="N", help="width and height (default: 256)")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="write a mask of everything in the first picture there"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace) -> int:
    low, high = SIDES
    if not low <= arguments.side <= high or arguments.side % 2:
        raise InputError(
            f"A side of {arguments.side} pixels cannot be rendered; choose an even one from {low} to {high}."
        )
    if arguments.seed < 0:
        raise InputError(f"A scene's seed is 0 or more; {arguments.seed} is not.")
    from kinora.media.film import FILM_SUFFIXES
    from kinora.media.output import check_output
    from kinora.media.picture import PICTURE_SUFFIXES

    path = Path(arguments.output)
    check_output(path, suffixes=(*FILM_SUFFIXES, *PICTURE_SUFFIXES), force=arguments.force)
    from kinora.world.captions import describe
    from kinora.world.sampler import sample_scene

    scene = sample_scene(arguments.seed)
    say(describe(scene, language="en", seed=arguments.seed).text)
    say(describe(scene, language="zh", seed=arguments.seed).text)
    if arguments.masks is not None:
        write_masks(scene, arguments)
    write(scene, path, arguments)
    print(path)
    return 0


def write(scene: Scene, path: Path, arguments: argparse.Namespace) -> None:
    """The whole scene as a film, or its first picture."""
    from kinora.cli.materials import THEATRE
    from kinora.core.clip import Clip
    from kinora.media.film import write_film
    from kinora.media.picture import PICTURE_SUFFIXES, write_picture
    from kinora.world.render import render

    side = arguments.side
    if path.suffix.lower() in PICTURE_SUFFIXES:
        rgb_HW3 = render([scene], height=side, width=side, frames=[[0]]).rgb_BFHW3[0, 0].numpy()
        write_picture(path, rgb_HW3, source=THEATRE, force=arguments.force)
        return
    frames_FHW3 = render([scene], height=side, width=side).rgb_BFHW3[0].numpy()
    write_film(path, Clip(frames_FHWC=frames_FHW3, frame_rate=scene.frame_rate), force=arguments.force)


def write_masks(scene: Scene, arguments: argparse.Namespace) -> None:
    """White where each body and figure is seen in the first picture."""
    from kinora.media.picture import write_picture
    from kinora.world.render import render

    arguments.masks.mkdir(parents=True, exist_ok=True)
    drawn = render([scene], height=arguments.side, width=arguments.side, frames=[[0]], truth=True)
    assert drawn.ids_BFHW is not None
    ids_HW: np.ndarray = drawn.ids_BFHW[0, 0].numpy()
    named = [(2 + index, f"body-{index + 1}") for index in range(len(scene.bodies))]
    named += [(32 + index, f"figure-{index + 1}") for index in range(len(scene.figures))]
    for number, name in named:
        inside_HW = ids_HW == number
        if inside_HW.any():
            path = arguments.masks / f"{name}.png"
            write_picture(path, (255 * inside_HW[:, :, None].repeat(3, axis=2)).astype("uint8"), force=arguments.force)
            say(f"{path}: {inside_HW.mean():.1%} of the picture")
