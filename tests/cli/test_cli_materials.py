"""Files named for recipes, and found again by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinora.cli.conditions import nearest_aspect
from kinora.cli.materials import (
    Finder,
    drawn_mask,
    footage_file,
    mask_file,
    name_of,
    outside_mask,
    read_json,
    redrawn,
    still_file,
    voice_file,
)
from kinora.core.conditions import Keyframe
from kinora.core.errors import InputError
from kinora.core.request import Request
from kinora.media.recipe import Recipe

Bring = Callable[..., Path]


def test_names_tell_nothing_of_the_machine(here: Path) -> None:
    assert name_of("../pictures/a.png") == "../pictures/a.png"
    assert name_of(here / "in" / "a.png") == "in/a.png"
    assert name_of("/somewhere/else/a.png") == "a.png"


def test_every_kind_of_file_is_found_again(
    here: Path, picture: Bring, painted: Bring, film: Bring, written: Callable[[str, Any], Path]
) -> None:
    picture("a.png")
    painted("mask.png", 64, 32, (0, 0, 8, 8))
    film("bar.mp4", rate=8.0)
    written("hi.json", [[0.5, 0, 0, 0]])
    find = Finder(folders=(Path(),), frame_rate=16.0)
    materials = {
        "still": still_file("a.png"),
        "mask": mask_file("mask.png", (32, 64)),
        "footage": footage_file("bar.mp4", 16.0),
        "voice": voice_file("hi.json"),
    }
    for kind, material in materials.items():
        again = find(kind, material.name, material.digest)
        assert again == material
        assert again.seen
    with pytest.raises(InputError, match=r"bar\.mp4 is not the footage"):
        Finder(folders=(Path(),), frame_rate=8.0)("footage", "bar.mp4", materials["footage"].digest)
    with pytest.raises(InputError, match=r"a\.png is not the voice"):
        find("voice", "a.png", "0")


def test_a_changed_file_here_does_not_hide_the_right_one_there(here: Path, picture: Bring) -> None:
    picture("there/a.png")
    wanted = still_file("there/a.png")
    picture("a.png", red=10)
    find = Finder(folders=(Path(), here / "there"), frame_rate=16.0)
    assert find("still", "a.png", wanted.digest).digest == wanted.digest
    assert find("still", "gone/a.png", wanted.digest).name == "gone/a.png", "the file's own name is enough"


def test_drawn_masks_are_drawn_again_from_their_names() -> None:
    third = drawn_mask([(0.1, 1 / 3), (0.9, 1 / 3), (0.5, 0.99)], (90, 160))
    assert redrawn(third.name) == third
    assert third.inside_HW.any()
    around = outside_mask((90, 160), (64, 64))
    assert redrawn(around.name) == around
    assert redrawn("mask.png") is None


def test_outside_is_what_a_whole_picture_leaves() -> None:
    outside_HW = outside_mask((50, 100), (64, 64)).inside_HW
    rows = np.flatnonzero(~outside_HW.any(axis=1))
    assert (rows.min(), rows.max()) == (16, 47), "a picture twice as wide as high lies across the middle half"
    with pytest.raises(InputError, match="100 x 100 fills 64 x 64 already"):
        outside_mask((100, 100), (64, 64))


@pytest.mark.parametrize(
    "name",
    [
        "polygon in 99999x99999: 0,0 1,0 1,1",
        "polygon in 0x5: 0,0 1,0 1,1",
        "polygon in 8x8: 0,0 a,b 1,1",
        "polygon in 8x8: 0,0 9,0 1,1",
        "polygon in 8x8: 0,0 1,1",
        "outside 8x8 in 99999x99999",
    ],
)
def test_drawings_of_strangers_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        redrawn(name)


@pytest.mark.parametrize(
    ("height", "width", "aspect"),
    [
        (9, 9, "1:1"),
        (1080, 1920, "16:9"),
        (1920, 1080, "9:16"),
        (100, 120, "1:1"),
        (100, 140, "16:9"),
        (90, 60, "9:16"),
    ],
)
def test_the_nearest_aspect(height: int, width: int, aspect: str) -> None:
    assert nearest_aspect(height, width) == aspect


def test_json_that_is_none_is_told_with_its_place(here: Path) -> None:
    (here / "bom.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json("bom.json") == [1]
    (here / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json is not JSON"):
        read_json("deep.json")
    (here / "cut.json").write_text('{"a": 1')
    with pytest.raises(InputError, match="line 1, column 8"):
        read_json("cut.json")


def test_a_recipe_read_from_a_file_names_its_needs_and_takes_them(here: Path, picture: Bring) -> None:
    picture("a.png")
    request = Request(prompt="x", conditions=(Keyframe(still=still_file("a.png")),))
    recipe = Recipe(kind="film", request=request, model="tiny", weights="0", world="1", kinora="0")
    read = Recipe.from_json(recipe.to_json())
    assert read == recipe
    assert read.to_json() == recipe.to_json()
    assert [(kind, name) for kind, name, _ in read.needs] == [("still", "a.png")]
    (keyframe,) = read.brought(Finder(folders=(Path(),), frame_rate=16.0)).request.conditions
    assert isinstance(keyframe, Keyframe)
    assert keyframe.still.seen
