"""`kinora scene` and `kinora sheet`: material to practise on, films at a glance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinora.cli.main import main
from kinora.media.film import read_film


def test_a_scene_is_a_film_a_picture_and_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, picture, masks = tmp_path / "s.mp4", tmp_path / "s.png", tmp_path / "masks"
    assert main(["scene", "80000011", "-o", str(film), "--side", "64"]) == 0
    assert main(["scene", "80000011", "-o", str(picture), "--side", "64", "--masks", str(masks)]) == 0
    clip = read_film(film)
    assert clip.shape.frames == 81
    first = np.asarray(Image.open(picture))
    assert first.shape == (64, 64, 3)
    assert np.abs(clip.frames_FHWC[0].astype(int) - first).mean() < 6, "one scene"
    inside = np.asarray(Image.open(masks / "body-1.png").convert("L")) > 127
    assert 0.02 < inside.mean() < 0.5
    told = capsys.readouterr().err
    assert "block" in told
    assert "箱子" in told


def test_a_picture_of_the_theatre_shows_no_real_person(tmp_path: Path) -> None:
    picture = tmp_path / "s.png"
    main(["scene", "67", "-o", str(picture), "--side", "64"])
    plan = ["generate", "@mia walks", "--plan", "--reference", f"{picture}@mia"]
    assert main(plan) == 0
    stranger = tmp_path / "x.png"
    Image.open(picture).save(stranger)  # without a word on where it comes from
    assert main([*plan[:-1], f"{stranger}@mia"]) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("scene", "5", "--side", "63"), "A side of 63 pixels cannot be rendered"),
        (("scene", "-5", "-o", "s.png"), "0 or more"),
        (("scene", "5", "-o", "s.gif"), "must end in .mp4 or .png"),
        (("sheet", "nothing.mp4", "-o", "s.jpg"), "nothing.mp4 cannot be read"),
        (("sheet", "nothing.mp4", "--frames", "0"), "A row of 0 moments"),
        (("sheet", "nothing.mp4", "--height", "4"), "A row 4 pixels high"),
        (("generate", "a ball", "--consent", "--plan"), "there are none"),
        (("extend", "."), "is a folder"),
        (("edit", ".", "x", "--box", "0,0,1,1"), "is a folder"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(arguments)) == 2
    assert sentence in capsys.readouterr().err


def test_a_sheet_has_a_row_for_each_film(tmp_path: Path) -> None:
    film, sheet = tmp_path / "s.mp4", tmp_path / "sheet.png"
    main(["scene", "5", "-o", str(film), "--side", "64"])
    assert main(["sheet", str(film), str(film), "-o", str(sheet), "--frames", "3", "--height", "32"]) == 0
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (64, 96, 3)
    assert (pixels[:32] == pixels[32:]).all()
    assert main(["sheet", str(film), "-o", str(sheet)]) == 2, "it exists"
