"""PNG there and back, and contact sheets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinora.core.clip import Clip
from kinora.core.errors import MediaError, OutputError
from kinora.media.picture import contact_sheet, film_strip, read_picture, read_picture_recipe, write_picture
from kinora.media.recipe import Recipe

NOISE_HW3 = np.random.default_rng(1).integers(0, 256, (48, 80, 3), dtype=np.uint8)

FullDisk = Callable[[int], AbstractContextManager[None]]


def test_pixels_and_recipe_come_back_exactly(tmp_path: Path, recipe: Recipe) -> None:
    write_picture(tmp_path / "a.png", NOISE_HW3, recipe=recipe)
    assert (read_picture(tmp_path / "a.png") == NOISE_HW3).all()
    assert read_picture_recipe(tmp_path / "a.png") == recipe


def test_a_picture_without_recipe_says_so(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", NOISE_HW3)
    with pytest.raises(MediaError, match="no recipe"):
        read_picture_recipe(tmp_path / "a.png")


def test_other_kinds_are_read_as_rgb(tmp_path: Path) -> None:
    Image.new("L", (8, 4), 77).save(tmp_path / "grey.png")
    assert (read_picture(tmp_path / "grey.png") == 77).all()
    assert read_picture(tmp_path / "grey.png").shape == (4, 8, 3)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "whole.png", NOISE_HW3)
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("hello")
    for name in ("half.png", "text.png", "missing.png"):
        with pytest.raises(MediaError, match=name):
            read_picture(tmp_path / name)


def test_a_full_disk_leaves_nothing(tmp_path: Path, full_disk: FullDisk) -> None:
    with full_disk(1000), pytest.raises(OutputError, match="disk is full"):
        write_picture(tmp_path / "a.png", NOISE_HW3)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_puts_every_picture_in_its_place() -> None:
    pictures = [np.full((4, 6, 3), 10 * (index + 1), dtype=np.uint8) for index in range(5)]
    sheet_HW3 = contact_sheet(pictures, columns=3, gap=2, grey=1)
    assert sheet_HW3.shape == (2 + 2 * 6, 2 + 3 * 8, 3)
    assert (sheet_HW3[2:6, 2:8] == 10).all()
    assert (sheet_HW3[2:6, 18:24] == 30).all()
    assert (sheet_HW3[8:12, 10:16] == 50).all()
    assert (sheet_HW3[8:12, 18:24] == 1).all(), "an empty place stays grey"
    assert int(sheet_HW3.astype(int).sum()) == 3 * (24 * (10 + 20 + 30 + 40 + 50) + 14 * 26 - 5 * 24)


def test_a_sheet_needs_pictures_of_one_size() -> None:
    with pytest.raises(MediaError, match="at least one"):
        contact_sheet([], columns=2)
    with pytest.raises(MediaError, match="Picture 1"):
        contact_sheet([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], columns=2)


def test_a_strip_runs_from_the_first_frame_to_the_last() -> None:
    frames_FHWC = np.zeros((9, 2, 2, 3), dtype=np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None]
    strip_HW3 = film_strip(Clip(frames_FHWC=frames_FHWC, frame_rate=16.0), moments=3)
    assert strip_HW3[5, [5, 11, 17], 0].tolist() == [0, 4, 8]
