"""Files are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kinora.core.errors import OutputError
from kinora.media.output import check_output, whole_file

FullDisk = Callable[[int], AbstractContextManager[None]]


def test_a_good_block_gives_the_file_its_name(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.txt", force=False) as part:
        part.write_text("whole")
        assert part.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_the_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.txt", force=False) as part:
        part.write_text("x")
    (tmp_path / "b.txt").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_name_as_long_as_the_system_allows_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".mp4")
    check_output(path, suffixes=(".mp4",), force=False)
    with whole_file(path, force=False) as part:
        part.write_text("whole")
    assert path.read_text() == "whole"


def test_a_name_longer_than_the_system_allows_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name too long"):
        check_output(tmp_path / ("a" * 300 + ".mp4"), suffixes=(".mp4",), force=False)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_trouble_leaves_nothing_and_the_old_file(tmp_path: Path, trouble: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(trouble), whole_file(target, force=True) as part:
        part.write_text("half")
        raise trouble
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_said_in_words(tmp_path: Path, full_disk: FullDisk) -> None:
    with (
        full_disk(1000),
        pytest.raises(OutputError, match="disk is full"),
        whole_file(tmp_path / "a.txt", force=False) as part,
    ):
        part.write_bytes(b"x" * 5000)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_without_force(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        check_output(tmp_path / "a.mp4", suffixes=(".mp4",), force=False)
    check_output(tmp_path / "a.mp4", suffixes=(".mp4",), force=True)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="appeared"), whole_file(tmp_path / "a.txt", force=False) as part:
        part.write_text("late")
        (tmp_path / "a.txt").write_text("first")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for path, says in (
        (tmp_path / "a.avi", r"\.mp4"),
        (tmp_path / "folder.mp4", "folder"),
        (tmp_path / "no" / "a.mp4", "no folder"),
    ):
        with pytest.raises(OutputError, match=says):
            check_output(path, suffixes=(".mp4",), force=True)


def test_an_unwritable_folder_is_found_before_the_work() -> None:
    place = Path("/proc/self")  # refuses new files even to the superuser
    if not place.is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(OutputError, match="choose another place"):
        check_output(place / "a.mp4", suffixes=(".mp4",), force=False)


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied"):
            check_output(tmp_path / "a.mp4", suffixes=(".mp4",), force=False)
    finally:
        tmp_path.chmod(0o700)
